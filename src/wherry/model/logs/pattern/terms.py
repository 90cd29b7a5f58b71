"""Patterns of terms: `ERROR "exact phrase" -not ?either ?or`."""

from __future__ import annotations

import re
from collections.abc import Callable

from wherry.model.logs.pattern.scan import Reader, Test, regex_test, unescape

_WORD = re.compile(r"[^\s\"]+")


def compile_terms(text: str) -> tuple[Callable[[str], bool], tuple[str, ...]]:
    """Make the predicate, and tell which texts every match has in it.

    Terms are found anywhere in a message, in any order, and case counts. Optional terms are looked for only where there
    is no term that must be there.
    """
    reader = Reader(text)
    wanted: list[Test] = []
    unwanted: list[Test] = []
    either: list[Test] = []
    needles: list[str] = []
    while not reader.is_at_end:
        kind = reader.take("?", "-")
        term, needle = _term(reader)
        {"?": either, "-": unwanted, None: wanted}[kind].append(term)
        if kind is None and needle is not None:
            needles.append(needle)
    return _predicate(wanted, unwanted, either), tuple(needles)


def _predicate(wanted: list[Test], unwanted: list[Test], either: list[Test]) -> Callable[[str], bool]:
    optional = [] if wanted else either

    def matches(message: str) -> bool:
        # Loops, for this runs for every message: any() and all() over generators take three times as long.
        for test in wanted:
            if not test(message):
                return False
        for test in unwanted:
            if test(message):
                return False
        for test in optional:
            if test(message):
                return True
        return not optional

    return matches


def _term(reader: Reader) -> tuple[Test, str | None]:
    match reader.peek('"', "%"):
        case '"':
            needle = unescape(reader.enclosed('"'))
        case "%":
            return regex_test(reader), None
        case _:
            needle = reader.match(_WORD) or ""
    if not needle:
        raise reader.error("a term is missing")
    return (lambda message: needle in message), needle
