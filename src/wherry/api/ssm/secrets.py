"""Secrets of Secrets Manager under the name of a parameter: `/aws/reference/secretsmanager/NAME`.

Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html
"""

from __future__ import annotations

import json
import re
from typing import Any

from wherry.api.context import Context
from wherry.api.secretsmanager import versions
from wherry.model.errors import ApiError, ResourceNotFoundException, ValidationException
from wherry.model.ssm import names
from wherry.model.ssm.errors import ParameterNotFound
from wherry.model.ssm.names import Selected
from wherry.model.ssm.parameter import ParameterType

_VERSION_ID = re.compile(r"[0-9A-Za-z-]{32,64}")


async def get(ctx: Context, wanted: Selected, *, decrypted: bool) -> dict[str, Any]:
    """Show a secret as GetParameter does; a version id or a staging label may follow its name after a colon."""
    if not decrypted:
        raise ValidationException("WithDecryption flag must be True for retrieving a Secret Manager secret.")
    secret_id, selector = wanted.name.removeprefix(names.SECRETS), wanted.selector
    is_id = selector is not None and _VERSION_ID.fullmatch(selector) is not None
    chosen = {} if selector is None else {"version_id" if is_id else "stage": selector}
    try:
        found = await versions.read_value(ctx, secret_id, **chosen)
    except ResourceNotFoundException:
        raise ParameterNotFound(
            f"An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret {wanted.name} not found."
        ) from None
    except ApiError as error:
        raise ValidationException(
            f"An error occurred ({error.code}) when referencing Secrets Manager: {error.message}"
        ) from error
    if "SecretString" not in found:
        raise ValidationException("Binary secrets have no text to show. Use GetSecretValue of Secrets Manager.")
    source = {name: found[name] for name in ("ARN", "Name", "VersionId", "VersionStages", "CreatedDate")}
    return {
        "Name": wanted.name,
        "Type": ParameterType.SECURE_STRING,
        "Value": found["SecretString"],
        "Version": 0,
        "Selector": None if selector is None else f":{selector}",
        "SourceResult": json.dumps(source),
        "LastModifiedDate": found["CreatedDate"],
        "ARN": found["ARN"],
        "DataType": "text",
    }
