"""A revision as ECS shows it: which members are always there, which only when they say something."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from wherry.model.base import Value
from wherry.model.taskdef import ContainerDefinition, TaskDefinition

_ALWAYS = frozenset({"port_mappings", "environment", "system_controls", "mount_points", "volumes_from", "volumes"})
"""Members that are shown even when they are empty."""

_UNSHOWN = frozenset({"version", "tags", "requires_attributes", "container_definitions"})


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
    for field in _fields(type(value)):
        if field.name in without or (member := getattr(value, field.name)) is None:
            continue
        is_absent = member in ((), {}) and field.default is not None and field.name not in _ALWAYS
        if not is_absent:
            shown[field.encode_name] = _shown(member)
    return shown


@cache
def _fields(type_: type[Value]) -> tuple[FieldInfo, ...]:
    """Read a type's fields once: it means evaluating its annotations."""
    return fields(type_)


def _shown(member: Any) -> Any:
    if isinstance(member, Value):
        return _members(member)
    if isinstance(member, tuple):
        return [_shown(item) for item in member]
    return msgspec.to_builtins(member)
