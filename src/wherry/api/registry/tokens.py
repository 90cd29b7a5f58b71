"""Authorization tokens: the password of `docker login`, sealed, which says who it was given to and until when.

Nothing of them is stored, so they outlive any restart, and only who has the keys can make one.
"""

from __future__ import annotations

import base64

import msgspec

from wherry.keyring import Keyring, SealError
from wherry.model.base import Value
from wherry.model.call import Principal

USER = "AWS"
LIFETIME = 12 * 3600.0
"""Seconds, as on AWS."""

_OWNER = "ecr:authorization-token"


class _Token(Value, frozen=True):
    principal: Principal
    expires_at: float


class WrongTokenError(Exception):
    """These credentials prove nothing; the text says why."""


def make(keyring: Keyring, principal: Principal, *, expires_at: float) -> str:
    """Make the password by which `principal` is known to the registry until `expires_at`, in epoch seconds."""
    token = _Token(principal=principal, expires_at=expires_at)
    return keyring.seal(msgspec.json.encode(token).decode(), owner=_OWNER)


def basic(password: str) -> str:
    """Write user and password as GetAuthorizationToken and the header of HTTP do."""
    return base64.b64encode(f"{USER}:{password}".encode()).decode()


def read(keyring: Keyring, authorization: str, *, now: float) -> Principal:
    """Read the principal out of an Authorization header, Basic or Bearer; raises `WrongTokenError`."""
    if not authorization:
        raise WrongTokenError("no basic auth credentials")
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, given = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError as error:
            raise WrongTokenError("Your authorization token is not base64.") from error
        if user != USER:
            raise WrongTokenError(f"The user of this registry is {USER}.")
    elif scheme.lower() != "bearer":
        raise WrongTokenError("Your authorization is neither Basic nor Bearer.")
    try:
        token = msgspec.json.decode(keyring.open(given, owner=_OWNER), type=_Token)
    except (SealError, msgspec.MsgspecError, ValueError) as error:
        raise WrongTokenError(
            "Your authorization token is invalid. Get one by 'aws ecr get-login-password'."
        ) from error
    if token.expires_at <= now:
        raise WrongTokenError("Your authorization token has expired. Reauthenticate and try again.")
    return token.principal
