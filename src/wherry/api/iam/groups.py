"""Groups of users: the operations."""

from __future__ import annotations

from typing import Any

from wherry.api.context import Context
from wherry.api.iam import paging, users
from wherry.api.iam.entities import arn_of, check_free, new_name, new_path
from wherry.api.iam.entities import group as named
from wherry.api.iam.entities import user as named_user
from wherry.model.call import Call
from wherry.model.iam.errors import DeleteConflictException, NoSuchEntityException
from wherry.model.iam.identity import Attachment, Group, Membership, User
from wherry.model.iam.ids import unique_id
from wherry.store import Tx


async def create_group(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateGroup: make a group."""
    name, path = new_name(call, "GroupName"), new_path(call)
    group = Group(
        arn=arn_of(ctx.scope, "group", path, name),
        path=path,
        group_name=name,
        group_id=unique_id("AGPA", ctx.entropy),
        created_at=ctx.clock(),
    )
    return {"Group": _view(await ctx.store.write(_create, group))}


async def get_group(ctx: Context, call: Call) -> dict[str, Any]:
    """GetGroup: show a group and the users in it."""
    group, members = await ctx.store.read(_members, call.params["GroupName"])
    window = paging.window(call)
    answer = paging.cut(members, window, member="Users", key=lambda user: user.user_name, view=users.brief)
    return {"Group": _view(group)} | answer


async def list_groups(ctx: Context, call: Call) -> dict[str, Any]:
    """ListGroups: the groups below a path."""
    window = paging.window(call)
    found = await ctx.store.read(
        lambda tx: tx.find(Group, limit=window.limit, after=window.after, path=paging.below(call))
    )
    return paging.page(found, window, member="Groups", key=lambda group: group.group_name, view=_view)


async def list_groups_for_user(ctx: Context, call: Call) -> dict[str, Any]:
    """ListGroupsForUser: the groups that a user is in."""
    found = await ctx.store.read(groups_of, call.params["UserName"])
    window = paging.window(call)
    return paging.cut(found, window, member="Groups", key=lambda group: group.group_name, view=_view)


async def delete_group(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteGroup: remove a group without users and policies."""
    await ctx.store.write(_delete, call.params["GroupName"])
    return {}


async def add_user_to_group(ctx: Context, call: Call) -> dict[str, Any]:
    """AddUserToGroup: let the group's policies be the user's too."""
    await ctx.store.write(_add, call.params["GroupName"], call.params["UserName"])
    return {}


async def remove_user_from_group(ctx: Context, call: Call) -> dict[str, Any]:
    """RemoveUserFromGroup: undo it."""
    await ctx.store.write(_remove, call.params["GroupName"], call.params["UserName"])
    return {}


def groups_of(tx: Tx, user_name: str) -> list[Group]:
    """Read the groups that a user is in; raises NoSuchEntity."""
    named_user(tx, user_name)
    return [named(tx, membership.group_name) for membership in tx.find(Membership, user_name=user_name)]


def _view(group: Group) -> dict[str, Any]:
    return {
        "Path": group.path,
        "GroupName": group.group_name,
        "GroupId": group.group_id,
        "Arn": group.arn,
        "CreateDate": group.created_at,
    }


def _create(tx: Tx, group: Group) -> Group:
    check_free(tx, Group, group.group_name, f"Group with name {group.group_name} already exists.")
    return tx.put(group)


def _members(tx: Tx, name: str) -> tuple[Group, list[User]]:
    group = named(tx, name)
    return group, [named_user(tx, membership.user_name) for membership in tx.find(Membership, group_name=name)]


def _delete(tx: Tx, name: str) -> None:
    group = named(tx, name)
    if tx.count(Membership, group_name=name):
        raise DeleteConflictException("Cannot delete entity, must remove users from group first.")
    if group.inline_policies:
        raise DeleteConflictException("Cannot delete entity, must delete policies first.")
    if tx.count(Attachment, identity_arn=group.arn):
        raise DeleteConflictException("Cannot delete entity, must detach all policies first.")
    tx.delete(group)


def _add(tx: Tx, group_name: str, user_name: str) -> None:
    membership = Membership(group_name=named(tx, group_name).group_name, user_name=named_user(tx, user_name).user_name)
    if tx.get(Membership, membership.key) is None:
        tx.put(membership)


def _remove(tx: Tx, group_name: str, user_name: str) -> None:
    named(tx, group_name)
    found = tx.get(Membership, Membership(group_name=group_name, user_name=user_name).key)
    if found is None:
        raise NoSuchEntityException(f"The user with name {user_name} cannot be found in group {group_name}.")
    tx.delete(found)
