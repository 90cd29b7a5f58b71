"""Patterns over JSON messages: `{ $.user.id = 1 && ($.status >= 500 || $.error IS NULL) }`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from wherry.model.logs.pattern.scan import OPERATORS, Reader, alternatives, value_test

Judge = Callable[[Any], bool]
"""Judges a whole message."""

_KEY = re.compile(r"[^\s.\[\]=!<>&|()\"]+")
_INDEX = re.compile(r"\*|\d+")
_BARE = re.compile(r"[^&|(){}\"\s]+")
_WORDS = re.compile(r"IS\s+NULL|IS\s+TRUE|IS\s+FALSE|NOT\s+EXISTS|EXISTS", re.IGNORECASE)
_NOT_EXISTS = re.compile(r"NOT\s+EXISTS\b", re.IGNORECASE)

_decode = msgspec.json.Decoder().decode


def compile_selectors(text: str) -> Callable[[str], bool]:
    """Make the predicate; a message that is no JSON object does not match."""
    reader = Reader(text)
    reader.expect("{")
    judge = alternatives(reader, _condition)
    reader.expect("}")
    if not reader.is_at_end:
        raise reader.error("something follows the closing brace")

    def matches(message: str) -> bool:
        if not message.lstrip().startswith("{"):
            return False
        try:
            document = _decode(message)
        except (msgspec.MsgspecError, RecursionError):
            return False
        return judge(document)

    return matches


def _condition(reader: Reader) -> Judge:
    if reader.match(_NOT_EXISTS):
        find = _selector(reader)
        return lambda document: not find(document)
    find = _selector(reader)
    if (words := reader.match(_WORDS)) is not None:
        return _state(find, " ".join(words.upper().split()))
    sign = reader.take(*OPERATORS)
    if sign is None:
        raise reader.error("a comparison is missing")
    test = value_test(reader, sign, _BARE)

    def compare(document: Any) -> bool:
        return any(test(text) for text in map(_text, find(document)) if text is not None)

    return compare


def _state(find: Callable[[Any], list[Any]], words: str) -> Judge:
    match words:
        case "NOT EXISTS":
            return lambda document: not find(document)
        case "EXISTS":
            return lambda document: bool(find(document))
    wanted = {"IS NULL": None, "IS TRUE": True, "IS FALSE": False}[words]
    return lambda document: any(value is wanted for value in find(document))


def _selector(reader: Reader) -> Callable[[Any], list[Any]]:
    """Read a selector, and make what finds the values that it selects: none, one, or many where there is a `*`."""
    reader.expect("$")
    steps: list[str | int | None] = []
    while True:
        if reader.text.startswith(".", reader.at):
            reader.at += 1
            if reader.text.startswith("[", reader.at):
                continue
            steps.append(_key(reader))
        elif reader.text.startswith("[", reader.at):
            reader.at += 1
            steps.append(_index(reader))
            reader.expect("]")
        else:
            break
    if not steps:
        raise reader.error("a selector has the form $.name")

    def find(document: Any) -> list[Any]:
        values = [document]
        for step in steps:
            values = [inner for value in values for inner in _step(value, step)]
        return values

    return find


def _key(reader: Reader) -> str:
    if reader.text.startswith('"', reader.at):
        return reader.enclosed('"')
    key = reader.match(_KEY)
    if key is None:
        raise reader.error("a selector has the form $.name")
    return key


def _index(reader: Reader) -> str | int | None:
    if reader.peek('"'):
        return reader.enclosed('"')
    index = reader.match(_INDEX)
    if index is None:
        raise reader.error("an index is a number, * or a name in quotes")
    return None if index == "*" else int(index)


def _step(value: Any, step: str | int | None) -> list[Any]:
    if isinstance(step, str):
        return [value[step]] if isinstance(value, dict) and step in value else []
    if not isinstance(value, list):
        return []
    if step is None:
        return value
    return [value[step]] if step < len(value) else []


def _text(value: Any) -> str | None:
    """Write a value as a pattern would; objects, lists and null are equal to nothing."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return repr(value)
    return None
