"""Tags of log groups, by the operations of old and of new."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.logs import rules
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.errors import ResourceNotFoundException
from wherry.model.logs import nouns
from wherry.model.logs.errors import TooManyTagsException
from wherry.store.logs import LogTx

LIMIT = 50
_CHARACTERS = re.compile(r"(?:[\w.:/=+\-@]|[^\S\x00-\x1f\x85])*")


def check_tags(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return the old tags with the new ones over them; raises for what CloudWatch Logs does not take as tags."""
    for key, value in new.items():
        if not 1 <= len(key) <= 128 or not _CHARACTERS.fullmatch(key) or key.lower().startswith("aws:"):
            raise rules.violation("tags", key, "A key has 1 to 128 letters, numbers, spaces and _.:/=+-@")
        if len(value) > 256 or not _CHARACTERS.fullmatch(value):
            raise rules.violation("tags", value, "A value has up to 256 letters, numbers, spaces and _.:/=+-@")
    merged = {**old, **new}
    if len(merged) > LIMIT:
        raise TooManyTagsException(f"A log group has at most {LIMIT} tags. Remove some first.")
    return merged


async def tag_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """TagResource."""
    params = rules.checked(call)
    await ctx.logs.write(_tag, _name_of(ctx.scope, params["resourceArn"]), params["tags"])
    return {}


async def untag_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """UntagResource: keys that are not there change nothing."""
    params = rules.checked(call)
    await ctx.logs.write(_untag, _name_of(ctx.scope, params["resourceArn"]), params["tagKeys"])
    return {}


async def list_tags_for_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """ListTagsForResource."""
    return {"tags": await ctx.logs.read(_tags_of, _name_of(ctx.scope, rules.checked(call)["resourceArn"]))}


async def tag_log_group(ctx: Context, call: Call) -> dict[str, Any]:
    """TagLogGroup."""
    params = rules.checked(call)
    await ctx.logs.write(_tag, params["logGroupName"], params["tags"])
    return {}


async def untag_log_group(ctx: Context, call: Call) -> dict[str, Any]:
    """UntagLogGroup."""
    params = rules.checked(call)
    await ctx.logs.write(_untag, params["logGroupName"], params["tags"])
    return {}


async def list_tags_log_group(ctx: Context, call: Call) -> dict[str, Any]:
    """ListTagsLogGroup."""
    return {"tags": await ctx.logs.read(_tags_of, rules.checked(call)["logGroupName"])}


def _name_of(scope: Scope, resource_arn: str) -> str:
    name = nouns.name_of(scope, resource_arn) if resource_arn.startswith("arn:") else None
    if name is None:
        raise ResourceNotFoundException(rules.NO_GROUP)
    return name


def _tag(tx: LogTx, name: str, tags: Mapping[str, str]) -> None:
    group = rules.group_named(tx, name)
    tx.put(structs.replace(group, tags=check_tags(group.tags, tags)))


def _untag(tx: LogTx, name: str, keys: Iterable[str]) -> None:
    group = rules.group_named(tx, name)
    gone = frozenset(keys)
    tx.put(structs.replace(group, tags={key: value for key, value in group.tags.items() if key not in gone}))


def _tags_of(tx: LogTx, name: str) -> dict[str, str]:
    return rules.group_named(tx, name).tags
