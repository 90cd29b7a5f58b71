"""Users: the operations."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.iam import documents, paging, tags
from wherry.api.iam.entities import arn_of, boundary_view, check_free, new_name, new_path
from wherry.api.iam.entities import user as named
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.iam.errors import DeleteConflictException, ValidationError
from wherry.model.iam.identity import AccessKey, Attachment, Membership, User
from wherry.model.iam.ids import unique_id
from wherry.store import Tx


def caller_or_named(call: Call) -> str:
    """Name the user that a call is about: the caller, if it names none; raises ValidationError for other callers."""
    name: str | None = call.params.get("UserName")
    if name is None:
        name = call.principal.user_name
    if name is None:
        raise ValidationError("Must specify userName when calling with non-User credentials")
    return name


async def create_user(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateUser: make a user, who has no access key yet."""
    params, name, path = call.params, new_name(call, "UserName"), new_path(call)
    user = User(
        arn=arn_of(ctx.scope, "user", path, name),
        path=path,
        user_name=name,
        user_id=unique_id("AIDA", ctx.entropy),
        permissions_boundary=params.get("PermissionsBoundary"),
        tags=tags.check(params.get("Tags")),
        created_at=ctx.clock(),
    )
    return {"User": view(await ctx.store.write(_create, user=user))}


async def get_user(ctx: Context, call: Call) -> dict[str, Any]:
    """GetUser: show a user; the caller if none is named, who may be the account's root."""
    principal = call.principal
    if call.params.get("UserName") is None and principal.arn.endswith(":root"):
        root = {"UserId": principal.account_id, "Arn": principal.arn, "UserName": "root", "Path": "/"}
        return {"User": root | {"CreateDate": 0.0}}
    return {"User": view(await ctx.store.read(named, caller_or_named(call)))}


async def list_users(ctx: Context, call: Call) -> dict[str, Any]:
    """ListUsers: the users below a path, without their tags and boundaries."""
    window = paging.window(call)
    found = await ctx.store.read(
        lambda tx: tx.find(User, limit=window.limit, after=window.after, path=paging.below(call))
    )
    return paging.page(found, window, member="Users", key=lambda user: user.user_name, view=brief)


async def update_user(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateUser: give a user another name or path."""
    params = call.params
    name = new_name(call, "NewUserName") if params.get("NewUserName") else params["UserName"]
    path = new_path(call, "NewPath") if params.get("NewPath") else None
    await ctx.store.write(_rename, params["UserName"], name=name, path=path, scope=ctx.scope)
    return {}


async def put_user_permissions_boundary(ctx: Context, call: Call) -> dict[str, Any]:
    """PutUserPermissionsBoundary: set the policy beyond which no other policy of the user goes."""
    await ctx.store.write(_bound, call.params["UserName"], call.params["PermissionsBoundary"])
    return {}


async def delete_user_permissions_boundary(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteUserPermissionsBoundary: take it away."""
    await ctx.store.write(_bound, call.params["UserName"], None)
    return {}


async def delete_user(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteUser: remove a user who has no access keys and policies and is in no group."""
    await ctx.store.write(_delete, call.params["UserName"])
    return {}


def view(user: User) -> dict[str, Any]:
    """Show a user."""
    return brief(user) | {
        "PermissionsBoundary": boundary_view(user.permissions_boundary),
        "Tags": tags.view(user.tags) or None,
    }


def brief(user: User) -> dict[str, Any]:
    """Show a user as lists do."""
    return {
        "Path": user.path,
        "UserName": user.user_name,
        "UserId": user.user_id,
        "Arn": user.arn,
        "CreateDate": user.created_at,
    }


def _create(tx: Tx, *, user: User) -> User:
    if user.permissions_boundary is not None:
        documents.check_boundary(tx, user.permissions_boundary)
    check_free(tx, User, user.user_name, f"User with name {user.user_name} already exists.")
    return tx.put(user)


def _rename(tx: Tx, old: str, *, name: str, path: str | None, scope: Scope) -> None:
    user = named(tx, old)
    path = path or user.path
    renamed = structs.replace(user, user_name=name, path=path, arn=arn_of(scope, "user", path, name), version=0)
    if name.lower() != old.lower():
        check_free(tx, User, name, f"User with name {name} already exists.")
    tx.delete(user)
    tx.put(renamed)
    for key in tx.find(AccessKey, user_name=old):
        tx.put(structs.replace(key, user_name=name))
    for membership in tx.find(Membership, user_name=old):
        tx.delete(membership)
        tx.put(Membership(group_name=membership.group_name, user_name=name))
    for attachment in tx.find(Attachment, identity_arn=user.arn):
        tx.delete(attachment)
        tx.put(Attachment(identity_arn=renamed.arn, policy_arn=attachment.policy_arn))


def _bound(tx: Tx, name: str, boundary: str | None) -> None:
    user = named(tx, name)
    if boundary is not None:
        documents.check_boundary(tx, boundary)
    tx.put(structs.replace(user, permissions_boundary=boundary))


def _delete(tx: Tx, name: str) -> None:
    user = named(tx, name)
    if tx.count(AccessKey, user_name=name):
        raise DeleteConflictException("Cannot delete entity, must delete access keys first.")
    if tx.count(Membership, user_name=name):
        raise DeleteConflictException("Cannot delete entity, must remove users from group first.")
    if user.inline_policies:
        raise DeleteConflictException("Cannot delete entity, must delete policies first.")
    if tx.count(Attachment, identity_arn=user.arn):
        raise DeleteConflictException("Cannot delete entity, must detach all policies first.")
    tx.delete(user)
