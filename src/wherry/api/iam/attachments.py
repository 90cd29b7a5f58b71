"""Managed policies attached to roles, users and groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.api.context import Context
from wherry.api.iam import paging
from wherry.api.iam.entities import GROUP, ROLE, USER, Noun, find_policy, policy
from wherry.model import arn
from wherry.model.call import Call
from wherry.model.errors import LimitExceededException
from wherry.model.iam.errors import NoSuchEntityException
from wherry.model.iam.identity import Attachment, Group, Identity, Role, User
from wherry.store import Tx

_PER_IDENTITY = 10
_NOUNS: Mapping[str, Noun] = {noun.kind: noun for noun in (ROLE, USER, GROUP)}


async def attach_role_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """AttachRolePolicy: let a managed policy count for a role."""
    return await _attach(ctx, call, ROLE)


async def detach_role_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """DetachRolePolicy: undo it."""
    return await _detach(ctx, call, ROLE)


async def list_attached_role_policies(ctx: Context, call: Call) -> dict[str, Any]:
    """ListAttachedRolePolicies: the managed policies of a role."""
    return await _list(ctx, call, ROLE)


async def attach_user_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """AttachUserPolicy: let a managed policy count for a user."""
    return await _attach(ctx, call, USER)


async def detach_user_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """DetachUserPolicy: undo it."""
    return await _detach(ctx, call, USER)


async def list_attached_user_policies(ctx: Context, call: Call) -> dict[str, Any]:
    """ListAttachedUserPolicies: the managed policies of a user."""
    return await _list(ctx, call, USER)


async def attach_group_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """AttachGroupPolicy: let a managed policy count for the users of a group."""
    return await _attach(ctx, call, GROUP)


async def detach_group_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """DetachGroupPolicy: undo it."""
    return await _detach(ctx, call, GROUP)


async def list_attached_group_policies(ctx: Context, call: Call) -> dict[str, Any]:
    """ListAttachedGroupPolicies: the managed policies of a group."""
    return await _list(ctx, call, GROUP)


async def list_entities_for_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """ListEntitiesForPolicy: whom a policy is attached to, or bounds."""
    params = call.params
    roles, users, groups = await ctx.store.read(
        _entities,
        params["PolicyArn"],
        kind=params.get("EntityFilter"),
        prefix=params.get("PathPrefix", "/"),
        usage=params.get("PolicyUsageFilter"),
    )
    return {
        "PolicyRoles": [{"RoleName": role.role_name, "RoleId": role.role_id} for role in roles],
        "PolicyUsers": [{"UserName": user.user_name, "UserId": user.user_id} for user in users],
        "PolicyGroups": [{"GroupName": group.group_name, "GroupId": group.group_id} for group in groups],
        "IsTruncated": False,
    }


async def _attach(ctx: Context, call: Call, noun: Noun) -> dict[str, Any]:
    await ctx.store.write(_put, noun, call.params[noun.member], call.params["PolicyArn"])
    return {}


async def _detach(ctx: Context, call: Call, noun: Noun) -> dict[str, Any]:
    await ctx.store.write(_delete, noun, call.params[noun.member], call.params["PolicyArn"])
    return {}


async def _list(ctx: Context, call: Call, noun: Noun) -> dict[str, Any]:
    found = await ctx.store.read(_attached, noun, call.params[noun.member])
    prefix = call.params.get("PathPrefix", "/")
    below = [each for each in found if arn.resource(each.policy_arn).removeprefix("policy").startswith(prefix)]
    window = paging.window(call)
    return paging.cut(below, window, member="AttachedPolicies", key=lambda each: arn.last(each.policy_arn), view=_view)


def _view(attachment: Attachment) -> dict[str, Any]:
    return {"PolicyName": arn.last(attachment.policy_arn), "PolicyArn": attachment.policy_arn}


def _attached(tx: Tx, noun: Noun, name: str) -> list[Attachment]:
    return tx.find(Attachment, identity_arn=noun.find(tx, name).arn)


def _put(tx: Tx, noun: Noun, name: str, policy_arn: str) -> None:
    identity = noun.changeable(tx, name)
    if find_policy(tx, policy_arn) is None:
        raise NoSuchEntityException(f"Policy {policy_arn} does not exist or is not attachable.")
    attachment = Attachment(identity_arn=identity.arn, policy_arn=policy_arn)
    if tx.get(Attachment, attachment.key) is not None:
        return
    if tx.count(Attachment, identity_arn=identity.arn) >= _PER_IDENTITY:
        quota = f"PoliciesPer{noun.kind.capitalize()}"
        raise LimitExceededException(f"Cannot exceed quota for {quota}: {_PER_IDENTITY}")
    tx.put(attachment)


def _delete(tx: Tx, noun: Noun, name: str, policy_arn: str) -> None:
    identity = noun.changeable(tx, name)
    attachment = tx.get(Attachment, Attachment(identity_arn=identity.arn, policy_arn=policy_arn).key)
    if attachment is None:
        raise NoSuchEntityException(f"Policy {policy_arn} was not found.")
    tx.delete(attachment)


def _entities(
    tx: Tx, policy_arn: str, *, kind: str | None, prefix: str, usage: str | None
) -> tuple[list[Role], list[User], list[Group]]:
    policy(tx, policy_arn)
    found: dict[str, Identity] = {}
    if usage != "PermissionsBoundary":
        for attachment in tx.find(Attachment, policy_arn=policy_arn):
            noun = _NOUNS[arn.resource(attachment.identity_arn).partition("/")[0]]
            found[attachment.identity_arn] = noun.find(tx, arn.last(attachment.identity_arn))
    if usage != "PermissionsPolicy":
        found |= {role.arn: role for role in tx.find(Role, permissions_boundary=policy_arn)}
        found |= {user.arn: user for user in tx.find(User, permissions_boundary=policy_arn)}
    wanted = [identity for identity in found.values() if identity.path.startswith(prefix)]
    return (
        [each for each in wanted if isinstance(each, Role) and kind in (None, "Role")],
        [each for each in wanted if isinstance(each, User) and kind in (None, "User")],
        [each for each in wanted if isinstance(each, Group) and kind in (None, "Group")],
    )
