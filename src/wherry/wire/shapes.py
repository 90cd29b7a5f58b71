"""botocore shapes as msgspec types: made once for each operation, then values are checked and copied in C.

A structure becomes a `msgspec.Struct` whose fields are all optional, because a missing required member is another error
than a wrong type. Input types ignore members that the model does not know, as AWS does. Output types refuse them: there
they are a handler's mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, ForwardRef

import msgspec

from wherry.model.errors import SerializationException

Check = Callable[[Any, str], None]
"""Looks at one value (builtins) at a path; raises `ApiError`."""

MissingError = Callable[[str, bool], Exception]
"""Makes the service's error for a missing required member from its path, and whether it is a list."""

MAX_DEPTH = 64
"""How deeply the values of a request may nest; ECS's own go to 8."""

_EARLIEST, _LATEST = -62_135_596_800.0, 253_402_300_799.0  # years 1 to 9999: what every SDK can represent

_SCALARS: dict[str, Any] = {
    "string": str,
    "character": str,
    "boolean": bool,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    "long": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "float": float,
    "double": float,
    "timestamp": Annotated[float, msgspec.Meta(ge=_EARLIEST, le=_LATEST)],
    "blob": bytes,
}


class ShapeTypes:
    """The msgspec types of one service's shapes in one direction; each is made once."""

    def __init__(self, *, forbid_unknown: bool) -> None:
        """Make types that refuse members unknown to the model if `forbid_unknown`."""
        self._forbid_unknown = forbid_unknown
        self._made: dict[str, type[msgspec.Struct]] = {}
        self._open: set[str] = set()
        self._recursive: set[str] = set()

    def root(self, shape: Any) -> type[msgspec.Struct]:
        """The type of an operation's input or output `shape`; `None` is the empty structure."""
        if shape is None:
            return msgspec.defstruct("Empty", [], forbid_unknown_fields=self._forbid_unknown)
        root = self._structure(shape)
        # msgspec resolves a type's forward references in its own namespace, at its first use.
        for struct in self._made.values():
            for name in self._recursive:
                setattr(struct, name, self._made[name])
        return root

    def _of(self, shape: Any) -> Any:
        if shape.type_name == "structure":
            if shape.is_document_type:
                return Any
            if shape.name in self._open:
                self._recursive.add(shape.name)
                return ForwardRef(shape.name)
            return self._structure(shape)
        if shape.type_name == "list":
            return list[self._of(shape.member)]  # type: ignore[misc]
        if shape.type_name == "map":
            return dict[str, self._of(shape.value)]  # type: ignore[misc]
        return _SCALARS[shape.type_name]

    def _structure(self, shape: Any) -> type[msgspec.Struct]:
        if (made := self._made.get(shape.name)) is not None:
            return made
        self._open.add(shape.name)
        # A member's name may be a Python keyword, so fields are numbered and renamed.
        names = {f"m{number}": name for number, name in enumerate(shape.members)}
        struct = msgspec.defstruct(
            shape.name,
            [(field, self._of(shape.members[name]) | None, None) for field, name in names.items()],
            rename=names,
            omit_defaults=True,
            forbid_unknown_fields=self._forbid_unknown,
            gc=False,
        )
        self._open.discard(shape.name)
        self._made[shape.name] = struct
        return struct


def to_params(value: msgspec.Struct) -> dict[str, Any]:
    """A checked value as plain dicts and lists; absent and null members are gone, blobs are bytes."""
    params: dict[str, Any] = msgspec.to_builtins(value, builtin_types=(bytes,))
    return params


def type_sentence(error: msgspec.ValidationError) -> str:
    """A complaint of msgspec as a sentence that starts with the member's path."""
    text = str(error)
    what, found, where = text.rpartition(" - at `$")
    if not found:
        return f"The request body is not as the operation's input: {text}."
    return f"{where.rstrip('`').removeprefix('.')}: {what.replace(' | null', '')}."


def compile_check(shape: Any, missing: MissingError) -> Check | None:
    """The check of what types cannot say: required members are present, a union has exactly one. `None`: nothing."""
    return None if shape is None else _Checks(missing).of(shape)


class _Checks:
    """Compiles the checks of one operation's input; a shape without any rule costs nothing."""

    def __init__(self, missing: MissingError) -> None:
        self._missing = missing
        self._made: dict[str, Check | None] = {}

    def of(self, shape: Any) -> Check | None:
        if shape.name in self._made:
            return self._made[shape.name]
        if shape.type_name not in ("structure", "list", "map") or getattr(shape, "is_document_type", False):
            return None
        compiled: Check | None = None

        def later(value: Any, path: str) -> None:  # a recursive shape meets itself before it is done
            if compiled is not None:
                compiled(value, path)

        self._made[shape.name] = later
        if shape.type_name == "structure":
            compiled = self._structure(shape)
        elif shape.type_name == "list":
            compiled = _each_item(self.of(shape.member))
        else:
            compiled = _each_value(self.of(shape.value))
        self._made[shape.name] = compiled
        return compiled

    def _structure(self, shape: Any) -> Check | None:
        required = [(name, shape.members[name].type_name == "list") for name in shape.required_members]
        inner = [(name, found) for name, member in shape.members.items() if (found := self.of(member)) is not None]
        union = shape.is_tagged_union
        if not (required or inner or union):
            return None

        def check(value: Any, path: str) -> None:
            for name, is_list in required:
                if name not in value:
                    raise self._missing(f"{path}{name}", is_list)
            if union and len(value) != 1:
                raise SerializationException(f"{path.rstrip('.')}: exactly one member must be set.")
            for name, check_member in inner:
                if (member := value.get(name)) is not None:
                    check_member(member, f"{path}{name}.")

        return check


def _each_item(check_item: Check | None) -> Check | None:
    if check_item is None:
        return None

    def check(value: Any, path: str) -> None:
        for number, item in enumerate(value):
            check_item(item, f"{path.rstrip('.')}[{number}].")

    return check


def _each_value(check_value: Check | None) -> Check | None:
    if check_value is None:
        return None

    def check(value: Any, path: str) -> None:
        for key, item in value.items():
            check_value(item, f"{path}{key}.")

    return check


_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def missing_sentence(path: str, *, is_list: bool) -> str:
    """ECS's two phrases: "Container Instances cannot be empty." and "ServiceName should not be null."."""
    if "." in path:
        return f"{path} should not be null."
    name = path[:1].upper() + path[1:]
    return f"{_BOUNDARY.sub(' ', name)} cannot be empty." if is_list else f"{name} should not be null."


def refuse_deep(value: Any, limit: int = MAX_DEPTH) -> None:
    """Refuse a value that nests deeper than `limit`."""
    if isinstance(value, dict | list):
        if limit == 0:
            raise SerializationException(f"The request nests deeper than {MAX_DEPTH} levels.")
        for item in value.values() if isinstance(value, dict) else value:
            refuse_deep(item, limit - 1)
