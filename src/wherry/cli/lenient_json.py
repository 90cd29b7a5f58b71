"""Reads JSON as people write it: goes on after the usual slips, tells where each stands, and gives back a mended text.

Strings and numbers are read by the standard library. What cannot be guessed ends the reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

from wherry.model.problem import Path

MAX_DEPTH = 100

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])")
_WORD = re.compile(r"[^\s,:{}\[\]\"']+")
_SINGLE_QUOTED = re.compile(r"'((?:[^'\\\n]|\\.)*)'")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")

_STRICT = json.JSONDecoder()
_LITERALS = {"true": True, "false": False, "null": None}
_PYTHON = {"True": "true", "False": "false", "None": "null"}


class Fault(msgspec.Struct, frozen=True):
    """What is no JSON, and at which character of the text."""

    offset: int
    message: str


class Reading(msgspec.Struct, frozen=True):
    """What could be read. `mended` is the text as JSON, None if it could not be read to its end.

    `places` are the characters at which members (their names) and list items begin.
    """

    value: Any
    places: dict[Path, int]
    faults: tuple[Fault, ...]
    mended: str | None


def read(text: str) -> Reading:
    """Read `text`; never raises."""
    reader = _Reader(text)
    try:
        value = reader.document()
    except _UnreadableError as error:
        return Reading(None, reader.places, reader.sorted_faults(error.fault), None)
    return Reading(value, reader.places, reader.sorted_faults(), reader.mended())


class _UnreadableError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Reader:
    """One pass over a text, and the edits that would make it JSON."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: dict[Path, int] = {}
        self.faults: list[Fault] = []
        self._edits: list[tuple[int, int, str]] = []

    def document(self) -> Any:
        self._skip()
        self.places[()] = self.at
        if self.at == len(self.text):
            raise self._unreadable("The file is empty.")
        value = self._value(())
        self._skip()
        if self.at < len(self.text):
            raise self._unreadable("The definition ends before this; remove what follows.")
        return value

    def sorted_faults(self, *last: Fault) -> tuple[Fault, ...]:
        return (*sorted(self.faults, key=lambda fault: fault.offset), *last)

    def mended(self) -> str:
        text = self.text
        for start, end, replacement in reversed(self._edits):
            text = text[:start] + replacement + text[end:]
        return text

    def _value(self, path: Path) -> Any:
        if len(path) > MAX_DEPTH:
            raise self._unreadable(f"This is nested more than {MAX_DEPTH} deep.")
        match self._peek():
            case "{":
                return self._object(path)
            case "[":
                return self._list(path)
            case '"' | "'":
                return self._string()
            case "":
                raise self._unreadable("The file ends where a value should stand.")
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return json.loads(number[0])
        return self._word()

    def _object(self, path: Path) -> dict[str, Any]:
        members: dict[str, Any] = {}

        def member() -> None:
            start = self.at
            name = self._name()
            if name in members:
                self.faults.append(Fault(start, f"{name} stands here for the second time; only this one counts."))
            self.places[(*path, name)] = start
            self._skip()
            if self._peek() != ":":
                raise self._unreadable(f"A colon and a value should follow the name {name}.")
            self.at += 1
            self._skip()
            members[name] = self._value((*path, name))

        self._items("}", member)
        return members

    def _list(self, path: Path) -> list[Any]:
        items: list[Any] = []

        def item() -> None:
            self.places[(*path, len(items))] = self.at
            items.append(self._value((*path, len(items))))

        self._items("]", item)
        return items

    def _items(self, closing: str, item: Callable[[], None]) -> None:
        """Read items up to the `closing` bracket, minding the commas between them."""
        opened, comma, end = self.at, None, self.at + 1
        self.at += 1
        is_first = True
        while True:
            self._skip()
            match self._peek():
                case "":
                    raise self._unreadable(f"The {self.text[opened]} of {self._line(opened)} is never closed.")
                case "," if comma is None and not is_first:
                    comma = self.at
                    self.at += 1
                case ",":
                    self._mend(self.at, self.at + 1, "", "This comma is one too many.")
                    self.at += 1
                case found if found == closing:
                    if comma is not None:
                        noun = "a list" if closing == "]" else "an object"
                        self._mend(comma, comma + 1, "", f"Trailing comma: JSON has none before the end of {noun}.")
                    self.at += 1
                    return
                case "}" | "]" as other:
                    raise self._unreadable(
                        f"{other} stands where {closing} should close the {self.text[opened]} of {self._line(opened)}."
                    )
                case _:
                    if comma is None and not is_first:
                        self._mend(end, end, ",", "A comma is missing here.")
                    item()
                    is_first, comma, end = False, None, self.at

    def _name(self) -> str:
        if self._peek() in ('"', "'"):
            return self._string()
        word = _WORD.match(self.text, self.at)
        if word is None:
            raise self._unreadable("The name of a member should stand here, in double quotes.")
        self._mend(self.at, word.end(), json.dumps(word[0]), "The names of members stand in double quotes.")
        self.at = word.end()
        return word[0]

    def _string(self) -> str:
        if self._peek() == '"':
            try:
                string, self.at = _STRICT.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                raise _UnreadableError(Fault(error.pos, f"{error.msg.removesuffix(' at')}.")) from None
            return str(string)
        quoted = _SINGLE_QUOTED.match(self.text, self.at)
        if quoted is None:
            raise self._unreadable("This string is not closed.")
        string = re.sub(r"\\(.)", r"\1", quoted[1])
        self._mend(self.at, quoted.end(), json.dumps(string), "Strings stand in double quotes.")
        self.at = quoted.end()
        return string

    def _word(self) -> Any:
        word = _WORD.match(self.text, self.at)
        if word is None:
            raise self._unreadable("A value should stand here.")
        name = _PYTHON.get(word[0], word[0])
        if name not in _LITERALS:
            raise self._unreadable(f"{word[0]} is no JSON value. Strings stand in double quotes.")
        if name != word[0]:
            self._mend(self.at, word.end(), name, f"JSON writes {name}, not {word[0]}.")
        self.at = word.end()
        return _LITERALS[name]

    def _skip(self) -> None:
        """Go past space, and past comments, which JSON does not have."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr] # it matches nothing, too
            comment = _COMMENT.match(self.text, self.at)
            if comment is None:
                return
            self._mend(self.at, comment.end(), "", "JSON has no comments.")
            self.at = comment.end()

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _mend(self, start: int, end: int, replacement: str, message: str) -> None:
        self.faults.append(Fault(start, message))
        self._edits.append((start, end, replacement))
        self._edits.sort()

    def _line(self, offset: int) -> str:
        return "line {}, column {}".format(*position(self.text, offset))

    def _unreadable(self, message: str) -> _UnreadableError:
        return _UnreadableError(Fault(self.at, message))


def position(text: str, offset: int) -> tuple[int, int]:
    """Tell the line and column of a character, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
