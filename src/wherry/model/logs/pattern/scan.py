"""What the three pattern languages have in common: a reader of tokens, and values that a field is compared with."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from wherry.model.logs.regex import RegexError, compile_regex

T = TypeVar("T")

Number = int | float

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_REGEX_CHARACTERS = re.compile(r"[A-Za-z0-9:_#=@/;,\-^$?\[\]{}|\\*+.\s]*")
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
OPERATORS = ("!=", ">=", "<=", "=", ">", "<")

Test = Callable[[str], bool]
"""Judges a text."""


MAX_DEPTH = 32
"""How deeply parentheses may nest."""


class PatternError(ValueError):
    """The pattern is not valid; the text says why."""


class Reader:
    """Takes a text apart from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> None:
        """Go past white space."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def peek(self, *words: str) -> str | None:
        """Tell which of the words comes next, if one does."""
        self.skip()
        return next((word for word in words if self.text.startswith(word, self.at)), None)

    def take(self, *words: str) -> str | None:
        """Take one of the words if it comes next."""
        word = self.peek(*words)
        if word is not None:
            self.at += len(word)
        return word

    def expect(self, word: str) -> None:
        """Take the word, which must come next."""
        if self.take(word) is None:
            raise self.error(f"{word!r} is missing")

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Take what a pattern matches here."""
        self.skip()
        found = pattern.match(self.text, self.at)
        if found is None or not found.group():
            return None
        self.at = found.end()
        return found.group()

    def enclosed(self, mark: str) -> str:
        """Take what stands between two marks, the first of which comes next; a backslash keeps the mark after it."""
        start = self.at + 1
        end = start
        while end < len(self.text) and self.text[end] != mark:
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise self.error(f"the closing {mark} is missing")
        self.at = end + 1
        return self.text[start:end]

    @property
    def is_at_end(self) -> bool:
        """Say whether nothing but white space is left."""
        self.skip()
        return self.at >= len(self.text)

    def error(self, what: str) -> PatternError:
        """Make the error that says what is wrong, and where."""
        return PatternError(f"Invalid filter pattern: {what} at position {self.at + 1}.")


def unescape(text: str) -> str:
    """Take the backslashes away that keep characters."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def value_test(reader: Reader, sign: str, bare: re.Pattern[str]) -> Test:
    """Read the value after a comparison sign, and make the test of a field's text; raises `PatternError`."""
    kind = reader.peek('"', "%")
    if kind == "%":
        test = regex_test(reader)
    elif kind == '"':
        test = _text_test(unescape(reader.enclosed('"')))
    else:
        word = reader.match(bare)
        if word is None:
            raise reader.error("a value is missing")
        word = word.strip()
        if _NUMBER.fullmatch(word):
            return _number_test(sign, float(word), word)
        test = _text_test(word)
    if sign == "=":
        return test
    if sign == "!=":
        return lambda text: not test(text)
    raise reader.error(f"{sign} compares numbers only")


def regex_test(reader: Reader) -> Test:
    """Read a regular expression between percent signs; raises `PatternError`."""
    source = reader.enclosed("%")
    if not _REGEX_CHARACTERS.fullmatch(source):
        raise reader.error(f"the regular expression %{source}% has a character that is not supported")
    try:
        compiled = compile_regex(source)
    except RegexError as error:
        raise PatternError(f"Invalid filter pattern: {error}") from error
    return lambda text: compiled.search(text) is not None


def as_number(text: str) -> float | None:
    """Read a text as a number, if it is one."""
    return float(text) if _NUMBER.fullmatch(text) else None


def _number_test(sign: str, wanted: float, word: str) -> Test:
    if sign in _ORDERS:
        order = _ORDERS[sign]
        return lambda text: (number := as_number(text)) is not None and order(number, wanted)

    def equal(text: str) -> bool:
        number = as_number(text)
        return text == word if number is None else number == wanted

    return equal if sign == "=" else lambda text: not equal(text)


def _text_test(wanted: str) -> Test:
    if "*" not in wanted:
        return lambda text: text == wanted
    first, *between, last = wanted.split("*")
    return lambda text: _fits(text, first, between, last)


def _fits(text: str, first: str, between: list[str], last: str) -> bool:
    """Say whether the parts follow each other in a text, which begins with the first and ends with the last."""
    if not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for part in between:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


def alternatives(reader: Reader, leaf: Callable[[Reader], Callable[[T], bool]], depth: int = 0) -> Callable[[T], bool]:
    """Read what `||` and `&&` join, the second first, and parentheses around more of it; `leaf` reads one condition."""
    if depth > MAX_DEPTH:
        raise reader.error("parentheses nest too deeply")
    found = [_conjunction(reader, leaf, depth)]
    while reader.take("||"):
        found.append(_conjunction(reader, leaf, depth))
    return found[0] if len(found) == 1 else lambda subject: any(one(subject) for one in found)


def _conjunction(reader: Reader, leaf: Callable[[Reader], Callable[[T], bool]], depth: int) -> Callable[[T], bool]:
    found = [_part(reader, leaf, depth)]
    while reader.take("&&"):
        found.append(_part(reader, leaf, depth))
    return found[0] if len(found) == 1 else lambda subject: all(one(subject) for one in found)


def _part(reader: Reader, leaf: Callable[[Reader], Callable[[T], bool]], depth: int) -> Callable[[T], bool]:
    if not reader.take("("):
        return leaf(reader)
    inner = alternatives(reader, leaf, depth + 1)
    reader.expect(")")
    return inner
