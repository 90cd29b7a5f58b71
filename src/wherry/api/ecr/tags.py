"""Tags of repositories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.ecr import lookup
from wherry.model.base import Tag
from wherry.model.call import Call
from wherry.model.ecr.errors import InvalidTagParameterException, TooManyTagsException
from wherry.model.ecr.repository import Repository
from wherry.model.errors import InvalidParameterException
from wherry.store import Tx

LIMIT = 50


async def tag_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """TagResource: add tags to a repository, or change their values."""
    params = lookup.check(call)
    given = {tag.key: tag for tag in check(params["tags"])}

    def add(tx: Tx) -> None:
        found = _by_arn(tx, ctx, params["resourceArn"])
        tags = tuple(({tag.key: tag for tag in found.tags} | given).values())
        _check_number(tags)
        tx.put(structs.replace(found, tags=tags))

    await ctx.store.write(add)
    return {}


async def untag_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """UntagResource: take tags off; keys that are not there change nothing."""
    params = lookup.check(call)

    def take(tx: Tx) -> None:
        found = _by_arn(tx, ctx, params["resourceArn"])
        tx.put(structs.replace(found, tags=tuple(tag for tag in found.tags if tag.key not in params["tagKeys"])))

    await ctx.store.write(take)
    return {}


async def list_tags_for_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """ListTagsForResource: the tags of a repository."""
    params = lookup.check(call)
    found = await ctx.store.read(_by_arn, ctx, params["resourceArn"])
    return {"tags": view(found.tags)}


def check(raw: Sequence[Mapping[str, Any]] | None) -> tuple[Tag, ...]:
    """Read the `tags` of a request; raises InvalidTagParameterException and TooManyTagsException."""
    tags = tuple(Tag(key=item.get("Key") or "", value=item.get("Value") or "") for item in raw or ())
    for tag in tags:
        if not 1 <= len(tag.key) <= 128 or len(tag.value) > 256:
            raise InvalidTagParameterException
        if tag.key.lower().startswith("aws:"):
            raise InvalidTagParameterException(f"The tag key {tag.key} is reserved: keys may not begin with aws:.")
    if len({tag.key for tag in tags}) < len(tags):
        raise InvalidTagParameterException("Duplicate tag keys found. Specify each tag key once.")
    _check_number(tags)
    return tags


def view(tags: Iterable[Tag]) -> list[dict[str, str]]:
    """Show tags as ECR does."""
    return [{"Key": tag.key, "Value": tag.value} for tag in tags]


def _by_arn(tx: Tx, ctx: Context, arn: str) -> Repository:
    prefix = f"arn:aws:ecr:{ctx.scope.region}:{ctx.scope.account_id}:repository/"
    if not arn.startswith(prefix):
        raise InvalidParameterException(
            f"Invalid parameter at 'resourceArn' failed to satisfy constraint: 'must begin with {prefix}'"
        )
    name = arn.removeprefix(prefix)
    lookup.check_repository_name(name)
    return lookup.repository(tx, name, ctx.scope.account_id, ctx.scope.account_id)


def _check_number(tags: Sequence[Tag]) -> None:
    if len(tags) > LIMIT:
        raise TooManyTagsException
