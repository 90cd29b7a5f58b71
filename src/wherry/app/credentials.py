"""Whose a key is: the administrator's of the settings, a user's of the store, or that of a session token."""

from __future__ import annotations

from wherry.api.context import Context
from wherry.api.iam.permissions import identity_of
from wherry.api.sts import sessions
from wherry.keyring import Keyring, SealError
from wherry.model.call import Principal
from wherry.model.iam.identity import AccessKey, User
from wherry.model.iam.ids import account_of
from wherry.settings import Settings
from wherry.store import Tx
from wherry.wire.sigv4 import Reason, Secret, SignatureError
from wherry.wire.trust import Credentials, administrator


def credentials_of(ctx: Context) -> Credentials:
    """Make the look-up of a control plane. Keys of other accounts, which tell so themselves, cost no look.

    A key of this account that is not known here, or not any more, is refused: it must not make an administrator of
    whoever lost it.
    """
    own = _administrators(ctx.settings)

    async def look_up(key_id: str, token: str | None) -> Secret | None:
        if own is not None and key_id == own.principal.access_key_id:
            return own
        if not key_id.startswith(("AKIA", "ASIA")) or account_of(key_id) != ctx.scope.account_id:
            return None
        if key_id.startswith("ASIA"):
            return await _temporary(ctx, key_id, token)
        return await ctx.store.read(_of_user, key_id, ctx.keyring, ctx.scope.account_id)

    return look_up


def _administrators(settings: Settings) -> Secret | None:
    if settings.access_key_id is None or settings.secret_access_key is None:
        return None
    return Secret(
        secret_access_key=settings.secret_access_key,
        principal=administrator(settings.account_id, settings.access_key_id),
        session_token=settings.session_token,
    )


async def _temporary(ctx: Context, key_id: str, token: str | None) -> Secret:
    """Read a session; that of a role or user who is gone ends with it."""
    if token is None:
        raise _invalid()
    try:
        session = sessions.read(ctx.keyring, key_id, token, now=ctx.clock())
    except sessions.ExpiredTokenError as error:
        raise SignatureError(Reason.EXPIRED, str(error)) from error
    except sessions.SessionTokenError as error:
        raise SignatureError(Reason.UNKNOWN_KEY, str(error)) from error
    principal = Principal(
        account_id=ctx.scope.account_id,
        arn=session.principal_arn,
        access_key_id=key_id,
        user_id=session.user_id,
        identity_arn=session.issuer_arn,
        identity_id=session.issuer_id,
        session_policies=session.policies,
        session_policy_arns=session.policy_arns,
    )
    if not principal.is_administrator and await ctx.store.read(identity_of, principal) is None:
        raise _invalid()
    return Secret(secret_access_key=session.secret_access_key, principal=principal, session_token=token)


def _of_user(tx: Tx, key_id: str, keyring: Keyring, account_id: str) -> Secret:
    key = tx.get(AccessKey, key_id)
    user = None if key is None else tx.get(User, key.user_name)
    if key is None or user is None or key.status != "Active":
        raise _invalid()
    try:
        secret = keyring.open(key.sealed_secret, owner=key_id)
    except SealError as error:
        raise _invalid() from error
    principal = Principal(
        account_id=account_id,
        arn=user.arn,
        access_key_id=key_id,
        user_id=user.user_id,
        identity_arn=user.arn,
        identity_id=user.user_id,
    )
    return Secret(secret_access_key=secret, principal=principal)


def _invalid() -> SignatureError:
    return SignatureError(Reason.UNKNOWN_KEY, sessions.SessionTokenError.text)
