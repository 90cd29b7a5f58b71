"""The bases of the model's structs: frozen values whose JSON is AWS's camelCase."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of an entity, or a parameter."""


class Entity(Value, frozen=True, kw_only=True):
    """A stored thing: one row. `version` counts its writes; 0 means that it has not been written yet."""

    version: int = 0


class Tag(Value, frozen=True):
    """A tag of a resource."""

    key: str
    value: str = ""


class KeyValuePair(Value, frozen=True):
    """A name and a value (ECS KeyValuePair)."""

    name: str = ""
    value: str = ""
