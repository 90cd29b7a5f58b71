"""Which of the languages a pattern is written in."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from wherry.model.logs.pattern.fields import compile_fields
from wherry.model.logs.pattern.scan import PatternError
from wherry.model.logs.pattern.selectors import compile_selectors
from wherry.model.logs.pattern.terms import compile_terms

__all__ = ["MATCH_ALL", "Pattern", "PatternError", "compile_pattern"]


class Pattern(msgspec.Struct, frozen=True):
    """A compiled filter pattern. `needles` are texts that every message it matches has in it."""

    matches: Callable[[str], bool]
    needles: tuple[str, ...] = ()


MATCH_ALL = Pattern(lambda _: True)


def compile_pattern(text: str | None) -> Pattern:
    """Compile a filter pattern; none and an empty one match everything. Raises `PatternError`."""
    text = (text or "").strip()
    if not text:
        return MATCH_ALL
    if text.startswith("{"):
        return Pattern(compile_selectors(text))
    if text.startswith("["):
        return Pattern(compile_fields(text))
    return Pattern(*compile_terms(text))
