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


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """An action such as "ecs:RunTask" on an ARN; `keys` are condition keys that only this demand has."""

    action: str
    resource: str = ANY
    keys: Mapping[str, str | tuple[str, ...]] = {}


Demands = Callable[[Tx, Scope, Call], Iterable[Demand]]
"""Tells what a call of one service demands; what it names need not exist."""


def action_of(call: Call) -> str:
    """Name the action that an operation is."""
    return f"{call.service}:{call.operation}"


def resource_tags(tags: Iterable[Tag]) -> dict[str, str | tuple[str, ...]]:
    """Make the condition keys of a resource's tags."""
    return {f"aws:ResourceTag/{tag.key}": tag.value for tag in tags}


def request_tags(raw: Any) -> dict[str, str | tuple[str, ...]]:
    """Make the condition keys of the tags in a request, in the spelling of any service."""
    pairs = {item.get("key") or item.get("Key") or "": item.get("value") or item.get("Value") or "" for item in raw}
    if not pairs:
        return {}
    return {"aws:TagKeys": tuple(pairs), **{f"aws:RequestTag/{key}": value for key, value in pairs.items()}}
