"""How a secret is found by what a caller may write for it, and how its values are sealed and opened."""

from __future__ import annotations

import base64
from typing import Any

from wherry.keyring import Keyring, SealError
from wherry.model.arn import Scope
from wherry.model.errors import InvalidParameterException
from wherry.model.secretsmanager.errors import (
    DecryptionFailure,
    InvalidRequestException,
    secret_not_found,
)
from wherry.model.secretsmanager.secret import Secret, SecretVersion, version_key
from wherry.store import Tx

MAX_BYTES = 65536


def arn_prefix(scope: Scope) -> str:
    """Return what the ARNs of all secrets begin with; the name follows."""
    return f"arn:aws:secretsmanager:{scope.region}:{scope.account_id}:secret:"


def find(tx: Tx, scope: Scope, secret_id: str) -> Secret:
    """Find a secret by its name, its ARN, or its ARN without the six characters of chance.

    Raises ResourceNotFoundException.
    """
    secret = tx.get(Secret, secret_id)
    if secret is None:
        # A partial ARN. Whoever calls in a foreign region's or account's name finds nothing.
        named = tx.find(Secret, name=secret_id.removeprefix(arn_prefix(scope)), limit=1)
        secret = named[0] if named else None
    if secret is None:
        raise secret_not_found()
    return secret


def find_living(tx: Tx, scope: Scope, secret_id: str) -> Secret:
    """Find a secret that was not deleted; raises ResourceNotFoundException and InvalidRequestException."""
    secret = find(tx, scope, secret_id)
    if secret.is_deleted:
        raise InvalidRequestException(
            "You can't perform this operation on the secret because it was marked for deletion."
        )
    return secret


def versions_of(tx: Tx, secret: Secret) -> list[SecretVersion]:
    """Read every version of a secret, the oldest first."""
    return tx.find(SecretVersion, secret_arn=secret.arn, order="created_date")


def remove(tx: Tx, secret: Secret) -> None:
    """Remove a secret and all of its versions for good."""
    for version in versions_of(tx, secret):
        tx.delete(version)
    tx.delete(secret)


class Plain:
    """A value before it is sealed; shows nothing of itself."""

    __slots__ = ("is_binary", "text")

    def __init__(self, text: str, *, is_binary: bool) -> None:
        self.text = text
        self.is_binary = is_binary

    def sealed(self, keyring: Keyring, *, secret_arn: str, version_id: str, now: float) -> SecretVersion:
        """Make a version of it that can be stored."""
        key = version_key(secret_arn, version_id)
        return SecretVersion(
            key=key,
            secret_arn=secret_arn,
            version_id=version_id,
            created_date=now,
            sealed=keyring.seal(self.text, owner=key),
            is_binary=self.is_binary,
        )

    def is_value_of(self, version: SecretVersion, keyring: Keyring) -> bool:
        """Tell whether a stored version has this very value."""
        return version.is_binary == self.is_binary and opened(version, keyring) == self.text


def plain(params: dict[str, Any]) -> Plain | None:
    """Read SecretString or SecretBinary, None if there is neither; raises InvalidParameterException for both."""
    text, binary = params.get("SecretString"), params.get("SecretBinary")
    if text is not None and binary is not None:
        raise InvalidParameterException(
            "You can't specify both a binary secret value and a string secret value in the same secret."
        )
    raw = text.encode() if text is not None else binary
    if raw is None:
        return None
    if len(raw) > MAX_BYTES:
        raise InvalidParameterException(f"The secret value has {len(raw)} bytes. At most {MAX_BYTES} are stored.")
    if params.get("ClientRequestToken") is None:
        raise InvalidRequestException("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
    return Plain(base64.b64encode(raw).decode() if text is None else text, is_binary=text is None)


def opened(version: SecretVersion, keyring: Keyring) -> str:
    """Open a version's value: the text, or base64 of the bytes; raises DecryptionFailure."""
    try:
        return keyring.open(version.sealed, owner=version.key)
    except SealError as error:
        raise DecryptionFailure(f"Secrets Manager can't decrypt the protected secret text. {error}") from error


def value_members(version: SecretVersion, keyring: Keyring) -> dict[str, Any]:
    """Show a version's value as GetSecretValue does."""
    text = opened(version, keyring)
    return {"SecretBinary": base64.b64decode(text)} if version.is_binary else {"SecretString": text}
