"""Tags of IAM: their rules, and the operations on everything that has some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.iam import entities, paging
from wherry.model.base import Tag
from wherry.model.call import Call
from wherry.model.errors import LimitExceededException
from wherry.model.iam.errors import InvalidInputException
from wherry.model.iam.identity import InstanceProfile, Role, User
from wherry.model.iam.managed import ManagedPolicy
from wherry.store import Tx

Tagged = Role | User | ManagedPolicy | InstanceProfile
Find = Callable[[Tx, str], Tagged]

LIMIT = 50


def check(raw: Sequence[Mapping[str, str]] | None) -> tuple[Tag, ...]:
    """Read the `Tags` member of a request; raises InvalidInput for what IAM does not take as tags."""
    tags = tuple(Tag(key=item["Key"], value=item["Value"]) for item in raw or ())
    if len({tag.key.lower() for tag in tags}) < len(tags):
        raise InvalidInputException("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if any(tag.key.lower().startswith("aws:") for tag in tags):
        raise InvalidInputException("Tag keys that begin with 'aws:' are reserved. Use another prefix.")
    return tags


def view(tags: Sequence[Tag]) -> list[dict[str, str]]:
    """Show tags as IAM does."""
    return [{"Key": tag.key, "Value": tag.value} for tag in tags]


async def tag_role(ctx: Context, call: Call) -> dict[str, Any]:
    """TagRole: add tags, or change their values."""
    return await _tag(ctx, call, "RoleName", entities.role)


async def untag_role(ctx: Context, call: Call) -> dict[str, Any]:
    """UntagRole: take tags off."""
    return await _untag(ctx, call, "RoleName", entities.role)


async def list_role_tags(ctx: Context, call: Call) -> dict[str, Any]:
    """ListRoleTags: all tags of a role."""
    return await _list(ctx, call, "RoleName", entities.role)


async def tag_user(ctx: Context, call: Call) -> dict[str, Any]:
    """TagUser: add tags, or change their values."""
    return await _tag(ctx, call, "UserName", entities.user)


async def untag_user(ctx: Context, call: Call) -> dict[str, Any]:
    """UntagUser: take tags off."""
    return await _untag(ctx, call, "UserName", entities.user)


async def list_user_tags(ctx: Context, call: Call) -> dict[str, Any]:
    """ListUserTags: all tags of a user."""
    return await _list(ctx, call, "UserName", entities.user)


async def tag_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """TagPolicy: add tags, or change their values."""
    return await _tag(ctx, call, "PolicyArn", entities.customer_policy)


async def untag_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """UntagPolicy: take tags off."""
    return await _untag(ctx, call, "PolicyArn", entities.customer_policy)


async def list_policy_tags(ctx: Context, call: Call) -> dict[str, Any]:
    """ListPolicyTags: all tags of a managed policy."""
    return await _list(ctx, call, "PolicyArn", entities.policy)


async def tag_instance_profile(ctx: Context, call: Call) -> dict[str, Any]:
    """TagInstanceProfile: add tags, or change their values."""
    return await _tag(ctx, call, "InstanceProfileName", entities.instance_profile)


async def untag_instance_profile(ctx: Context, call: Call) -> dict[str, Any]:
    """UntagInstanceProfile: take tags off."""
    return await _untag(ctx, call, "InstanceProfileName", entities.instance_profile)


async def list_instance_profile_tags(ctx: Context, call: Call) -> dict[str, Any]:
    """ListInstanceProfileTags: all tags of an instance profile."""
    return await _list(ctx, call, "InstanceProfileName", entities.instance_profile)


async def _tag(ctx: Context, call: Call, member: str, find: Find) -> dict[str, Any]:
    new = check(call.params["Tags"])
    await ctx.store.write(_merge, find, call.params[member], new)
    return {}


async def _untag(ctx: Context, call: Call, member: str, find: Find) -> dict[str, Any]:
    keys = frozenset(key.lower() for key in call.params["TagKeys"])
    await ctx.store.write(_drop, find, call.params[member], keys)
    return {}


async def _list(ctx: Context, call: Call, member: str, find: Find) -> dict[str, Any]:
    tagged = await ctx.store.read(find, call.params[member])
    window = paging.window(call)
    answer = paging.cut(tagged.tags, window, member="Tags", key=lambda tag: tag.key, view=lambda tag: tag)
    return answer | {"Tags": view(answer["Tags"])}


def _merge(tx: Tx, find: Find, name: str, new: tuple[Tag, ...]) -> None:
    tagged = find(tx, name)
    merged = {tag.key.lower(): tag for tag in (*tagged.tags, *new)}
    if len(merged) > LIMIT:
        raise LimitExceededException(f"The number of tags has reached the maximum limit. Limit: {LIMIT}")
    tx.put(structs.replace(tagged, tags=tuple(merged.values())))


def _drop(tx: Tx, find: Find, name: str, keys: frozenset[str]) -> None:
    tagged = find(tx, name)
    tx.put(structs.replace(tagged, tags=tuple(tag for tag in tagged.tags if tag.key.lower() not in keys)))
