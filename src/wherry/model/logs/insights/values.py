"""What fields hold, how a row finds them, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from wherry.model.logs.pattern.scan import as_number

Value = str | float | int | bool | None
"""What a field holds; None: the row does not have it."""

Expression = Callable[["Row"], Value]

_decode = msgspec.json.Decoder().decode


class Time(int):
    """Epoch milliseconds that are shown as a date."""


class Row:
    """A log event, or a row of `stats`, with what the query has made of it."""

    __slots__ = ("_document", "_message", "fields")

    def __init__(self, fields: dict[str, Value], message: str | None = None) -> None:
        self.fields = fields
        self._message = message
        self._document: Any = None

    def get(self, name: str) -> Value:
        """Find a field: one that the query made, or one that the message has if it is JSON."""
        if name in self.fields:
            return self.fields[name]
        if self._message is None:
            return None
        if self._document is None:
            self._document = _parse(self._message)
        return _find(self._document, name)


def _parse(message: str) -> Any:
    if not message.lstrip().startswith("{"):
        return {}
    try:
        return _decode(message)
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _find(document: Any, name: str) -> Value:
    if isinstance(document, dict) and name in document:
        return _plain(document[name])
    for part in name.split("."):
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return _plain(document)


def _plain(value: Any) -> Value:
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value


def number(value: Value) -> float | None:
    """Read a value as a number, if it is one."""
    match value:
        case bool() | None:
            return None
        case str():
            return as_number(value.strip())
    return value


def truth(value: Value) -> bool:
    """Read a value as a condition."""
    return value.lower() == "true" if isinstance(value, str) else bool(value)


def text(value: Value) -> str:
    """Write a value as results show it."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case Time():
            return _date(value)
        case float():
            return _decimal(value)
    return str(value)


def _decimal(value: float) -> str:
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.4f}".rstrip("0").rstrip(".") if 1e-3 < abs(value) < 1e15 else repr(value)


def _date(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(int(milliseconds))
    return f"{moment:%Y-%m-%d %H:%M:%S}.{milliseconds % 1000:03d}"


def order(value: Value) -> tuple[int, float, str]:
    """Make the key by which values are sorted: numbers before texts, what is missing last of all."""
    if value is None:
        return (2, 0.0, "")
    as_a_number = number(value)
    return (1, 0.0, text(value)) if as_a_number is None else (0, as_a_number, "")
