"""Access keys of users: the secret is told once, and lies sealed."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.iam import paging
from wherry.api.iam.entities import user as named_user
from wherry.api.iam.users import caller_or_named
from wherry.model.call import Call
from wherry.model.errors import LimitExceededException
from wherry.model.iam.errors import NoSuchEntityException
from wherry.model.iam.identity import AccessKey
from wherry.model.iam.ids import access_key_id, secret_access_key
from wherry.store import Tx

_PER_USER = 2


async def create_access_key(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateAccessKey: make a key for a user, for the caller if none is named; its secret is shown this once."""
    secret = secret_access_key(ctx.entropy)
    key_id = access_key_id("AKIA", ctx.scope.account_id, ctx.entropy)
    key = AccessKey(
        access_key_id=key_id,
        user_name=caller_or_named(call),
        sealed_secret=ctx.keyring.seal(secret, owner=key_id),
        created_at=ctx.clock(),
    )
    await ctx.store.write(_create, key)
    return {"AccessKey": _view(key) | {"SecretAccessKey": secret}}


async def list_access_keys(ctx: Context, call: Call) -> dict[str, Any]:
    """ListAccessKeys: the keys of a user, of the caller if none is named."""
    keys = await ctx.store.read(_of_user, caller_or_named(call))
    return paging.cut(
        keys, paging.window(call), member="AccessKeyMetadata", key=lambda key: key.access_key_id, view=_view
    )


async def update_access_key(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateAccessKey: switch a key on or off."""
    key_id, status = call.params["AccessKeyId"], call.params["Status"]
    await ctx.store.write(_switch, caller_or_named(call), key_id, status)
    return {}


async def delete_access_key(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteAccessKey: end a key."""
    await ctx.store.write(_delete, caller_or_named(call), call.params["AccessKeyId"])
    return {}


def _view(key: AccessKey) -> dict[str, Any]:
    return {
        "UserName": key.user_name,
        "AccessKeyId": key.access_key_id,
        "Status": key.status,
        "CreateDate": key.created_at,
    }


def _create(tx: Tx, key: AccessKey) -> None:
    if len(_of_user(tx, key.user_name)) >= _PER_USER:
        raise LimitExceededException(f"Cannot exceed quota for AccessKeysPerUser: {_PER_USER}")
    tx.put(key)


def _of_user(tx: Tx, user_name: str) -> list[AccessKey]:
    named_user(tx, user_name)
    return tx.find(AccessKey, user_name=user_name)


def _named(tx: Tx, user_name: str, key_id: str) -> AccessKey:
    named_user(tx, user_name)
    key = tx.get(AccessKey, key_id)
    if key is None or key.user_name != user_name:
        raise NoSuchEntityException(f"The Access Key with id {key_id} cannot be found.")
    return key


def _switch(tx: Tx, user_name: str, key_id: str, status: str) -> None:
    tx.put(structs.replace(_named(tx, user_name, key_id), status=status))


def _delete(tx: Tx, user_name: str, key_id: str) -> None:
    tx.delete(_named(tx, user_name, key_id))
