"""Tags of parameters; resources of other types are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.secretsmanager.tags import view
from wherry.api.ssm import lookup
from wherry.model.arn import Scope
from wherry.model.base import Tag
from wherry.model.call import Call
from wherry.model.errors import ValidationException
from wherry.model.ssm.errors import InvalidResourceId, InvalidResourceType, ParameterNotFound, TooManyTagsError
from wherry.model.ssm.parameter import Parameter
from wherry.store import Tx

LIMIT = 50


async def add_tags_to_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """AddTagsToResource: add tags to a parameter, or change their values."""
    name = _parameter(call)
    await ctx.store.write(_add, scope=ctx.scope, name=name, tags=check(call.params["Tags"]))
    return {}


async def remove_tags_from_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """RemoveTagsFromResource: take tags off; keys that are not there change nothing."""
    name = _parameter(call)
    await ctx.store.write(_remove, scope=ctx.scope, name=name, keys=frozenset(call.params["TagKeys"]))
    return {}


async def list_tags_for_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """ListTagsForResource: all tags of a parameter."""
    name = _parameter(call)
    parameter = await ctx.store.read(_find, ctx.scope, name)
    return {"TagList": view(parameter.tags)}


def check(raw: Sequence[Mapping[str, Any]] | None) -> tuple[Tag, ...]:
    """Read the `Tags` of a request; raises ValidationException and TooManyTagsError."""
    tags = tuple(Tag(key=item["Key"], value=item["Value"]) for item in raw or ())
    for tag in tags:
        if tag.key.lower().startswith("aws:"):
            raise ValidationException(f"The tag key {tag.key} is reserved: keys may not begin with aws:.")
    if len({tag.key for tag in tags}) < len(tags):
        raise ValidationException("Duplicate tag keys found. Specify each tag key once.")
    if len(tags) > LIMIT:
        raise TooManyTagsError
    return tags


def _parameter(call: Call) -> str:
    constraints.check(call)
    if call.params["ResourceType"] != "Parameter":
        raise InvalidResourceType
    name: str = call.params["ResourceId"]
    return name


def _find(tx: Tx, scope: Scope, name: str) -> Parameter:
    try:
        return lookup.find(tx, scope, name)
    except ParameterNotFound:
        raise InvalidResourceId from None


def _add(tx: Tx, *, scope: Scope, name: str, tags: tuple[Tag, ...]) -> None:
    parameter = _find(tx, scope, name)
    merged = tuple(({tag.key: tag for tag in parameter.tags} | {tag.key: tag for tag in tags}).values())
    if len(merged) > LIMIT:
        raise TooManyTagsError
    tx.put(structs.replace(parameter, tags=merged))


def _remove(tx: Tx, *, scope: Scope, name: str, keys: frozenset[str]) -> None:
    parameter = _find(tx, scope, name)
    tx.put(structs.replace(parameter, tags=tuple(tag for tag in parameter.tags if tag.key not in keys)))
