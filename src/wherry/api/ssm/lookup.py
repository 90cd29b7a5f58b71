"""How a parameter and a version of it are found, and how its value is shown."""

from __future__ import annotations

from typing import Any

from wherry.keyring import Keyring, SealError
from wherry.model.arn import Scope
from wherry.model.ssm import names
from wherry.model.ssm.errors import InvalidKeyId, ParameterNotFound, ParameterVersionNotFound
from wherry.model.ssm.names import Selected
from wherry.model.ssm.parameter import Parameter, ParameterVersion, version_key
from wherry.store import Tx


def find(tx: Tx, scope: Scope, name: str) -> Parameter:
    """Find a parameter by its name or ARN; raises ParameterNotFound."""
    parameter = tx.get(Parameter, names.arn(scope, name))
    if parameter is None or name not in (parameter.name, parameter.arn):
        raise ParameterNotFound
    return parameter


def version(tx: Tx, parameter: Parameter, selector: str | None) -> ParameterVersion:
    """Find the version that a number or a label selects, the newest without one; raises ParameterVersionNotFound."""
    if selector is None:
        number: int | None = parameter.latest.number
    elif selector.isascii() and selector.isdigit():
        number = int(selector)
    else:
        number = parameter.labels.get(selector)
    found = tx.get(ParameterVersion, version_key(parameter.arn, number)) if number is not None else None
    if found is None:
        raise ParameterVersionNotFound(
            f"Systems Manager could not find version {selector} of {parameter.name}. Verify the version and try again."
        )
    return found


def selected(tx: Tx, scope: Scope, wanted: Selected) -> tuple[Parameter, ParameterVersion]:
    """Find a parameter and the version of it that is meant."""
    parameter = find(tx, scope, wanted.name)
    return parameter, version(tx, parameter, wanted.selector)


def value(found: ParameterVersion, keyring: Keyring, *, decrypted: bool) -> str:
    """Return a value as it is shown: a secure string without decryption as the text that it is sealed in.

    Raises InvalidKeyId if it cannot be opened.
    """
    if not found.is_secure or not decrypted:
        return found.value
    try:
        return keyring.open(found.value, owner=found.key)
    except SealError as error:
        raise InvalidKeyId(f"The value of {found.key} cannot be decrypted. {error}") from error


def view(
    parameter: Parameter, found: ParameterVersion, keyring: Keyring, *, decrypted: bool, selector: str | None = None
) -> dict[str, Any]:
    """Show a parameter as GetParameter does."""
    return {
        "Name": parameter.name,
        "Type": found.state.type,
        "Value": value(found, keyring, decrypted=decrypted),
        "Version": found.number,
        "Selector": None if selector is None else f":{selector}",
        "LastModifiedDate": found.state.last_modified_date,
        "ARN": parameter.arn,
        "DataType": found.state.data_type,
    }
