"""A revision as ECS shows it: which members are always there, which only when they say something."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec.structs import fields

from wherry.model.base import Value
from wherry.model.taskdef import ContainerDefinition, TaskDefinition

_ALWAYS = frozenset({"port_mappings", "environment", "system_controls", "mount_points", "volumes_from", "volumes"})
"""Members that are shown even when they are empty."""

_UNSHOWN = frozenset({"version", "tags", "requires_attributes", "container_definitions"})
_PLAIN = frozenset({str, int, float, bool})


def view(definition: TaskDefinition) -> dict[str, Any]:
    """Show a revision as the member `taskDefinition`; its tags stand beside it, not in it."""
    shown = {
        "containerDefinitions": [_container(container) for container in definition.container_definitions],
        "requiresAttributes": [{"name": name} for name in definition.requires_attributes],
        "placementConstraints": [],
    }
    return shown | _members(definition, without=_UNSHOWN)


def _container(container: ContainerDefinition) -> dict[str, Any]:
    return _members(container)


def _members(value: Value, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """All members that are not None, with their defaults filled in; an empty collection only if it was given."""
    shown: dict[str, Any] = {}
    for name, label, only_if_given in _fields(type(value), without):
        member = getattr(value, name)
        if member is None or (only_if_given and member in ((), {})):
            continue
        shown[label] = member if type(member) in _PLAIN else _shown(member)
    return shown


@cache
def _fields(type_: type[Value], without: frozenset[str]) -> tuple[tuple[str, str, bool], ...]:
    """Tell of each field its name here and there, and whether it is shown only if it was given."""
    return tuple(
        (field.name, field.encode_name, field.default is not None and field.name not in _ALWAYS)
        for field in fields(type_)
        if field.name not in without
    )


def _shown(member: Any) -> Any:
    if isinstance(member, Value):
        return _members(member)
    if isinstance(member, tuple):
        return [_shown(item) for item in member]
    return msgspec.to_builtins(member)
