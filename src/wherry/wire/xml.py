"""Query and EC2-Query answers: values as the XML that AWS sends, by writers compiled from output shapes."""

from __future__ import annotations

import base64
import datetime as dt
import math
import re
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from xml.sax.saxutils import escape

Writer = Callable[[str, Any, list[str]], None]
"""Appends the element `name` that holds a value to the parts of a document; a structure without name: its members."""

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_KEPT = {"\r": "&#13;"}  # a parser would read it as a line feed


def text_of(value: str) -> str:
    """A text as XML; what XML 1.0 cannot say becomes U+FFFD."""
    return escape(_FORBIDDEN.sub("\ufffd", value), _KEPT)


def compile_writer(shape: Any) -> Writer:
    """The writer of an output `shape`."""
    return _Writers().of(shape)


class _Writers:
    """Compiles the writers of one operation; a recursive shape meets its own, unfinished writer by name."""

    def __init__(self) -> None:
        self._structures: dict[str, Writer] = {}

    def of(self, shape: Any) -> Writer:
        match shape.type_name:
            case "structure":
                return self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case "timestamp":
                return _scalar(_TIMESTAMPS[shape.serialization.get("timestampFormat", "iso8601").lower()])
            case name:
                return _scalar(_SCALARS[name])

    def _structure(self, shape: Any) -> Writer:
        if shape.name in self._structures:
            return self._structures[shape.name]
        members: list[tuple[str, str, Writer]] = []

        def write(name: str, value: Any, parts: list[str]) -> None:
            parts.append(f"<{name}>" if name else "")  # EC2's members stand in the answer itself
            for member, element, write_member in members:
                if (found := value.get(member)) is not None:
                    write_member(element, found, parts)
            parts.append(f"</{name}>" if name else "")

        self._structures[shape.name] = write
        members.extend((member, element_name(member, inner), self.of(inner)) for member, inner in shape.members.items())
        return write

    def _list(self, shape: Any) -> Writer:
        write_item = self.of(shape.member)
        flattened = shape.serialization.get("flattened")
        item_name = shape.member.serialization.get("name", "member")

        def write(name: str, value: Any, parts: list[str]) -> None:
            if flattened:
                for item in value:
                    write_item(name, item, parts)
                return
            parts.append(f"<{name}>")
            for item in value:
                write_item(item_name, item, parts)
            parts.append(f"</{name}>")

        return write

    def _map(self, shape: Any) -> Writer:
        write_key, write_value = self.of(shape.key), self.of(shape.value)
        key_name = shape.key.serialization.get("name") or "key"
        value_name = shape.value.serialization.get("name") or "value"
        flattened = shape.serialization.get("flattened")

        def write(name: str, value: Any, parts: list[str]) -> None:
            if not flattened:
                parts.append(f"<{name}>")
            entry = name if flattened else "entry"
            for key, item in value.items():
                parts.append(f"<{entry}>")
                write_key(key_name, key, parts)
                write_value(value_name, item, parts)
                parts.append(f"</{entry}>")
            if not flattened:
                parts.append(f"</{name}>")

        return write


def element_name(member: str, shape: Any) -> str:
    """The element of a structure's `member`; a flattened list goes by its items' name."""
    if shape.type_name == "list" and shape.serialization.get("flattened") and "name" in shape.member.serialization:
        return str(shape.member.serialization["name"])
    return str(shape.serialization.get("name", member))


def _scalar(to_text: Callable[[Any], str]) -> Writer:
    def write(name: str, value: Any, parts: list[str]) -> None:
        parts.append(f"<{name}>{to_text(value)}</{name}>")

    return write


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"


def _iso8601(value: float) -> str:
    moment = dt.datetime.fromtimestamp(value, dt.UTC)
    return f"{moment.strftime('%Y').zfill(4)}{moment.strftime('-%m-%dT%H:%M:%S')}.{moment.microsecond // 1000:03d}Z"


_TIMESTAMPS: dict[str, Callable[[Any], str]] = {
    "iso8601": _iso8601,
    "unixtimestamp": _number,
    "rfc822": lambda value: formatdate(value, usegmt=True),
}

_SCALARS: dict[str, Callable[[Any], str]] = {
    "string": text_of,
    "character": text_of,
    "boolean": lambda value: "true" if value else "false",
    "integer": str,
    "long": str,
    "float": _number,
    "double": _number,
    "blob": lambda value: base64.b64encode(value).decode(),
}
