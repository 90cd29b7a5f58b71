"""Inline policies of roles, users and groups."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.iam import paging
from wherry.api.iam.entities import GROUP, ROLE, USER, Noun, encoded, new_name
from wherry.model.call import Call
from wherry.model.errors import LimitExceededException
from wherry.model.iam.document import parse_identity_policy, size_of
from wherry.model.iam.errors import NoSuchEntityException
from wherry.model.iam.identity import Identity, InlinePolicy
from wherry.store import Tx


async def put_role_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """PutRolePolicy: give a role an inline policy, or replace it."""
    return await _put(ctx, call, ROLE)


async def get_role_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """GetRolePolicy: show an inline policy of a role."""
    return await _get(ctx, call, ROLE)


async def list_role_policies(ctx: Context, call: Call) -> dict[str, Any]:
    """ListRolePolicies: the names of a role's inline policies."""
    return await _list(ctx, call, ROLE)


async def delete_role_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteRolePolicy: take an inline policy from a role."""
    return await _delete(ctx, call, ROLE)


async def put_user_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """PutUserPolicy: give a user an inline policy, or replace it."""
    return await _put(ctx, call, USER)


async def get_user_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """GetUserPolicy: show an inline policy of a user."""
    return await _get(ctx, call, USER)


async def list_user_policies(ctx: Context, call: Call) -> dict[str, Any]:
    """ListUserPolicies: the names of a user's inline policies."""
    return await _list(ctx, call, USER)


async def delete_user_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteUserPolicy: take an inline policy from a user."""
    return await _delete(ctx, call, USER)


async def put_group_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """PutGroupPolicy: give a group an inline policy, or replace it."""
    return await _put(ctx, call, GROUP)


async def get_group_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """GetGroupPolicy: show an inline policy of a group."""
    return await _get(ctx, call, GROUP)


async def list_group_policies(ctx: Context, call: Call) -> dict[str, Any]:
    """ListGroupPolicies: the names of a group's inline policies."""
    return await _list(ctx, call, GROUP)


async def delete_group_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteGroupPolicy: take an inline policy from a group."""
    return await _delete(ctx, call, GROUP)


async def _put(ctx: Context, call: Call, noun: Noun) -> dict[str, Any]:
    policy = InlinePolicy(name=new_name(call, "PolicyName"), document=call.params["PolicyDocument"])
    parse_identity_policy(policy.document)
    await ctx.store.write(_replace, noun, call.params[noun.member], policy)
    return {}


async def _get(ctx: Context, call: Call, noun: Noun) -> dict[str, Any]:
    name = call.params[noun.member]
    identity = await ctx.store.read(noun.find, name)
    policy = _named(identity, noun, call.params["PolicyName"])
    return {noun.member: name, "PolicyName": policy.name, "PolicyDocument": encoded(policy.document)}


async def _list(ctx: Context, call: Call, noun: Noun) -> dict[str, Any]:
    identity = await ctx.store.read(noun.find, call.params[noun.member])
    names = [policy.name for policy in identity.inline_policies]
    return paging.cut(names, paging.window(call), member="PolicyNames", key=str, view=str)


async def _delete(ctx: Context, call: Call, noun: Noun) -> dict[str, Any]:
    await ctx.store.write(_remove, noun, call.params[noun.member], call.params["PolicyName"])
    return {}


def _named(identity: Identity, noun: Noun, name: str) -> InlinePolicy:
    policy = identity.inline(name)
    if policy is None:
        raise NoSuchEntityException(f"The {noun.kind} policy with name {name} cannot be found.")
    return policy


def _replace(tx: Tx, noun: Noun, name: str, policy: InlinePolicy) -> None:
    identity = noun.changeable(tx, name)
    policies = {each.name: each for each in identity.inline_policies} | {policy.name: policy}
    if sum(size_of(each.document) for each in policies.values()) > noun.inline_limit:
        raise LimitExceededException(
            f"Maximum policy size of {noun.inline_limit} bytes exceeded for {noun.kind} {name}"
        )
    tx.put(structs.replace(identity, inline_policies=tuple(policies.values())))


def _remove(tx: Tx, noun: Noun, name: str, policy_name: str) -> None:
    identity = noun.changeable(tx, name)
    gone = _named(identity, noun, policy_name)
    kept = tuple(policy for policy in identity.inline_policies if policy is not gone)
    tx.put(structs.replace(identity, inline_policies=kept))
