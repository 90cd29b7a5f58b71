"""Who calls, and whose a key is."""

from __future__ import annotations

from typing import Any

from wherry.api.context import Context
from wherry.model.call import Call
from wherry.model.iam.errors import ValidationError
from wherry.model.iam.ids import account_of


async def get_caller_identity(_: Context, call: Call) -> dict[str, Any]:
    """GetCallerIdentity: the principal that signed the request; a root's user id is the account."""
    principal = call.principal
    user_id = principal.account_id if principal.is_administrator else principal.user_id
    return {"Account": principal.account_id, "Arn": principal.arn, "UserId": user_id}


async def get_access_key_info(_: Context, call: Call) -> dict[str, Any]:
    """GetAccessKeyInfo: the account that is written into an access key id."""
    account = account_of(call.params["AccessKeyId"])
    if account is None:
        raise ValidationError("Invalid access key ID: it tells no account.")
    return {"Account": account}
