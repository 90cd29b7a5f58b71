"""Temporary credentials, of which nothing is stored: the session token is a sealed text that says everything.

So credentials outlive any restart, any number of them costs nothing, and only who has the keys can make one.
"""

from __future__ import annotations

import msgspec

from wherry.keyring import Keyring, SealError
from wherry.model import arn
from wherry.model.base import Value
from wherry.model.iam.ids import access_key_id, secret_access_key
from wherry.model.ids import Entropy


class SessionTokenError(Exception):
    """A session token was changed, is another key's, or comes from another installation."""

    text = "The security token included in the request is invalid."

    def __str__(self) -> str:
        """Say it as AWS does."""
        return self.text


class ExpiredTokenError(SessionTokenError):
    """A session token has come to its end."""

    text = "The security token included in the request is expired"


class SessionCredentials(Value, frozen=True):
    """Credentials as a caller gets them. `expires_at` is in epoch seconds."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: float

    def __repr__(self) -> str:
        """Show the id alone."""
        return f"SessionCredentials({self.access_key_id})"


class Session(Value, frozen=True):
    """What a session token says.

    The issuer is the role that was assumed, or the user or root that asked for a session; only a role's session has a
    `session_name`. `policies` are documents that limit the session, `policy_arns` managed policies that do.
    """

    issuer_arn: str
    issuer_id: str
    secret_access_key: str
    expires_at: float
    session_name: str = ""
    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Session({self.principal_arn})"

    @property
    def is_limited(self) -> bool:
        """Whether session policies limit it."""
        return bool(self.policies or self.policy_arns)

    @property
    def principal_arn(self) -> str:
        """The ARN of who calls: the assumed role's session, or the user or root itself."""
        return assumed_role_arn(self.issuer_arn, self.session_name) if self.session_name else self.issuer_arn

    @property
    def user_id(self) -> str:
        """The id of who calls: `AROA...:session` for a role's session."""
        return f"{self.issuer_id}:{self.session_name}" if self.session_name else self.issuer_id


def assumed_role_arn(role_arn: str, session_name: str) -> str:
    """Name a role's session; the role's path is not part of it."""
    return f"arn:aws:sts::{arn.account_of(role_arn)}:assumed-role/{arn.last(role_arn)}/{session_name}"


def mint(
    keyring: Keyring,
    *,
    role_arn: str,
    role_id: str,
    session_name: str,
    expires_at: float,
    entropy: Entropy,
    policies: tuple[str, ...] = (),
    policy_arns: tuple[str, ...] = (),
) -> SessionCredentials:
    """Make credentials that act as a role until `expires_at`, within what the session policies allow."""
    session = Session(
        issuer_arn=role_arn,
        issuer_id=role_id,
        session_name=session_name,
        secret_access_key=secret_access_key(entropy),
        expires_at=expires_at,
        policies=policies,
        policy_arns=policy_arns,
    )
    return _sealed(keyring, session, entropy)


def mint_for_caller(
    keyring: Keyring, *, principal_arn: str, user_id: str, expires_at: float, entropy: Entropy
) -> SessionCredentials:
    """Make credentials that act as a user, or as root, itself until `expires_at`."""
    session = Session(
        issuer_arn=principal_arn,
        issuer_id=user_id,
        secret_access_key=secret_access_key(entropy),
        expires_at=expires_at,
    )
    return _sealed(keyring, session, entropy)


def read(keyring: Keyring, key_id: str, session_token: str, *, now: float) -> Session:
    """Open the session token of an access key id; raises `SessionTokenError`, of an expired one `ExpiredTokenError`."""
    try:
        text = keyring.open(session_token, owner=key_id)
    except SealError as error:
        raise SessionTokenError from error
    session = msgspec.json.decode(text, type=Session)
    if session.expires_at <= now:
        raise ExpiredTokenError
    return session


def _sealed(keyring: Keyring, session: Session, entropy: Entropy) -> SessionCredentials:
    key_id = access_key_id("ASIA", arn.account_of(session.issuer_arn), entropy)
    return SessionCredentials(
        access_key_id=key_id,
        secret_access_key=session.secret_access_key,
        session_token=keyring.seal(msgspec.json.encode(session).decode(), owner=key_id),
        expires_at=session.expires_at,
    )
