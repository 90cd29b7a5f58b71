"""A demand: one action on one resource that a caller's policies must allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from wherry.model.arn import Scope
from wherry.model.base import Tag
from wherry.model.call import Call
from wherry.store import Tx

ANY = "*"
"""The resource of actions that know none."""

_PREFIXES = {
    "cloudcontrol": "cloudformation",
    "cloudwatch": "cloudwatch",
    "iotsecuretunneling": "iot",
    "mturk": "mechanicalturk",
    "resourcegroupstaggingapi": "tag",
}
"""Service -> what policies call it, where that is not what its requests are signed for.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """An action such as "ecs:RunTask" on an ARN; `keys` are condition keys that only this demand has."""

    action: str
    resource: str = ANY
    keys: Mapping[str, str | tuple[str, ...]] = {}


Demands = Callable[[Tx, Scope, Call], Iterable[Demand]]
"""Tells what a call of one service demands; what it names need not exist."""


def action_of(call: Call) -> str:
    """Name the action that an operation is: policies call most services what their requests are signed for."""
    return f"{_PREFIXES.get(call.service) or call.signing_name or call.service}:{call.operation}"


def resource_tags(tags: Iterable[Tag]) -> dict[str, str | tuple[str, ...]]:
    """Make the condition keys of a resource's tags."""
    return {f"aws:ResourceTag/{tag.key}": tag.value for tag in tags}


def request_tags(params: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    """Make the condition keys of the tags that a request gives or takes away, in the spelling of any service."""
    given = params.get("tags") or params.get("Tags") or ()
    removed = params.get("tagKeys") or params.get("TagKeys") or ()
    pairs: dict[str, str | None] = dict(given) if isinstance(given, Mapping) else dict(map(_pair, given))
    if not pairs and not removed:
        return {}
    values = {f"aws:RequestTag/{key}": value for key, value in pairs.items() if value is not None}
    return {"aws:TagKeys": (*pairs, *removed), **values}


def _pair(item: Mapping[str, str] | str) -> tuple[str, str | None]:
    """Read one of a list of tags, or of keys alone."""
    if isinstance(item, str):
        return item, None
    return item.get("key") or item.get("Key") or "", item.get("value") or item.get("Value") or ""
