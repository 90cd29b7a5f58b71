"""Texts of policies against values: wildcards, and policy variables such as `${aws:username}`.

`*` is any text and `?` any character; `${*}`, `${?}` and `${$}` are the characters themselves. A variable's value is
taken as it is, wildcards and all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

Keys = Mapping[str, tuple[str, ...]]
"""Condition keys in lower case -> the values that a request has for them."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DEFAULT = re.compile(r"\s*([^,]*?)\s*,\s*'([^']*)'\s*")
_PIECE = re.compile(r"\$\{([*?$])\}|(\*+)|(\?)|([^*?$]+|\$)", re.DOTALL)
_LITERAL = frozenset("*?$")


def substitute(text: str, keys: Keys) -> str | None:
    """Put the values of its variables into a pattern; None if the request has no single value for one of them."""
    if "${" not in text:
        return text
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        if found[1] in _LITERAL:
            return found[0]
        with_default = _DEFAULT.fullmatch(found[1])
        name, default = (with_default[1], with_default[2]) if with_default else (found[1], None)
        values = keys.get(name.lower(), ())
        if len(values) == 1:
            return literal(values[0])
        missing = missing or default is None
        return literal(default or "")

    substituted = _VARIABLE.sub(value, text)
    return None if missing else substituted


def literal(text: str) -> str:
    """Write a text as a pattern that only it matches."""
    return re.sub(r"[*?$]", r"${\g<0>}", text)


def plain(pattern: str) -> str:
    """Return the text that a pattern without meaning for `*` and `?` stands for."""
    return re.sub(r"\$\{([*?$])\}", r"\1", pattern)


def matches(pattern: str, text: str) -> bool:
    """Tell whether a whole text is as the pattern says."""
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern so that matching never goes back over what one `*` took: no policy can make it slow."""
    segments = [""]
    for itself, star, one, other in _PIECE.findall(pattern):
        if star:
            segments.append("")
        else:
            segments[-1] += "." if one else re.escape(itself or other)
    first, *rest = segments
    if not rest:
        return re.compile(first, re.DOTALL)
    *middle, last = rest
    return re.compile(first + "".join(f"(?>.*?{segment})" for segment in middle) + f".*{last}", re.DOTALL)
