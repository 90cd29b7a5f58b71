"""A revision as ECS shows it: which members are always there, which only when they say something."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import msgspec
from msgspec import NODEFAULT, inspect

from wherry.model.taskdef import TaskDefinition

_ALWAYS = frozenset({"port_mappings", "environment", "system_controls", "mount_points", "volumes_from", "volumes"})
"""Members that are shown even when they are empty."""


class _Plan(NamedTuple):
    """What the JSON of a value leaves out although it is shown: its `defaults`, and those of its `parts`."""

    defaults: tuple[tuple[str, Any], ...]
    parts: tuple[tuple[str, _Plan], ...]


def view(definition: TaskDefinition) -> dict[str, Any]:
    """Show a revision as the member `taskDefinition`; its tags stand beside it, not in it.

    All members that are not None are shown, with their defaults filled in; an empty collection only if it was given.
    """
    shown: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(definition))
    _fill_in(shown, _PLAN)
    del shown["version"]
    shown.pop("tags", None)
    shown["requiresAttributes"] = [{"name": name} for name in definition.requires_attributes]
    shown["placementConstraints"] = []
    return shown


def _fill_in(shown: dict[str, Any], plan: _Plan) -> None:
    for label, default in plan.defaults:
        shown.setdefault(label, default)
    for label, plan_of_part in plan.parts:
        part = shown.get(label)
        if isinstance(part, dict):
            _fill_in(part, plan_of_part)
        elif part:
            for item in part:
                _fill_in(item, plan_of_part)


def _plan(described: inspect.StructType) -> _Plan:
    fields = described.fields
    parts = ((field.encode_name, _plan(part)) for field in fields if (part := _part(field.type)) is not None)
    return _Plan(
        defaults=tuple(
            (field.encode_name, [] if field.default == () else field.default)
            for field in fields
            if field.default not in (NODEFAULT, None, ()) or field.name in _ALWAYS
        ),
        parts=tuple((label, plan) for label, plan in parts if any(plan)),
    )


def _part(type_: inspect.Type) -> inspect.StructType | None:
    """Find the type of value that a member is, or is a list of."""
    match type_:
        case inspect.StructType():
            return type_
        case inspect.VarTupleType(item_type=item):
            return _part(item)
        case inspect.UnionType(types=(one, inspect.NoneType())):
            return _part(one)
        case _:
            return None


_PLAN = _plan(cast("inspect.StructType", inspect.type_info(TaskDefinition)))
