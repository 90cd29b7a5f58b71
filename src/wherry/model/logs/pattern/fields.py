"""Patterns of fields that spaces divide: `[ip, user, ..., status=4*, bytes>100]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from wherry.model.logs.pattern.scan import OPERATORS, Reader, Test, alternatives, value_test

_NAME = re.compile(r"[^\s,\]=!<>&|\"%().]+")
_BARE = re.compile(r"[^\s,\]&|\"()]+")
_FIELD = re.compile(r'"([^"]*)"|\[([^\]]*)\]|(\S+)')


def compile_fields(text: str) -> Callable[[str], bool]:
    """Make the predicate. A message matches that has as many fields; `...` stands for any number of them.

    What stands in double quotes or in brackets in a message is one field.
    """
    reader = Reader(text)
    reader.expect("[")
    before: list[Test] = []
    after: list[Test] | None = None
    while True:
        if reader.take("..."):
            if after is not None:
                raise reader.error("there can be only one '...'")
            after = []
        else:
            (before if after is None else after).append(alternatives(reader, _comparison))
        if reader.take("]"):
            break
        reader.expect(",")
    if not reader.is_at_end:
        raise reader.error("something follows the closing bracket")
    return _predicate(before, after)


def _predicate(before: Sequence[Test], after: Sequence[Test] | None) -> Callable[[str], bool]:
    def matches(message: str) -> bool:
        fields = split(message)
        if after is None:
            return len(fields) == len(before) and _all(before, fields)
        if len(fields) < len(before) + len(after):
            return False
        return _all(before, fields) and _all(after, fields[len(fields) - len(after) :])

    return matches


def _all(tests: Sequence[Test], fields: Sequence[str]) -> bool:
    return all(test(field) for test, field in zip(tests, fields, strict=False))


def split(message: str) -> list[str]:
    """Take a message apart into its fields."""
    return [next(part for part in found if part is not None) for found in map(_groups, _FIELD.finditer(message))]


def _groups(found: re.Match[str]) -> Sequence[str | None]:
    return found.groups()


def _comparison(reader: Reader) -> Test:
    if reader.match(_NAME) is None and reader.peek(*OPERATORS) is None:
        if reader.peek(",", "]") is None:
            raise reader.error("the name of a field is missing")
        return lambda _: True
    sign = reader.take(*OPERATORS)
    return (lambda _: True) if sign is None else value_test(reader, sign, _BARE)
