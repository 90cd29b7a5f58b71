"""Regular expressions that callers write: RE2, whose time grows with the text alone, whatever the expression."""

from __future__ import annotations

from typing import Any, Protocol

import re2


class RegexError(ValueError):
    """The expression is none; the text says why."""


class Match(Protocol):
    """A place where the expression matches."""

    def groupdict(self) -> dict[str, str | None]:
        """Return the named groups."""


class Regex(Protocol):
    """A compiled expression."""

    def search(self, text: str, /) -> Match | None:
        """Find the first match in a text."""


MAX_MEMORY = 4 * 1024 * 1024


def compile_regex(source: str, *, ignore_case: bool = False) -> Regex:
    """Compile an expression; raises `RegexError`."""
    options: Any = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    options.case_sensitive = not ignore_case
    try:
        compiled: Regex = re2.compile(source, options)
    except re2.error as error:
        [reason] = error.args
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise RegexError(f"The regular expression {source!r} is not valid: {text}.") from error
    return compiled
