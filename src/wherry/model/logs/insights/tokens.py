"""Takes a query apart into tokens: names, numbers, texts, regular expressions, durations and signs."""

from __future__ import annotations

import re
from typing import NamedTuple

from wherry.model.logs.pattern.scan import unescape

_TOKENS = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<duration>\d+(?:ms|mo|[smhdwqy])(?:in|onth|ec|r|ay|ear|eek|tr|uarter)?s?\b)
  | (?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)
  | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<name>(?:[@A-Za-z_][\w@]*|`[^`]+`)(?:\.(?:[\w@-]+|`[^`]+`))*)
  | (?P<sign>=~|!=|<=|>=|[=<>|,()\[\]+\-*/%^])
    """,
    re.VERBOSE | re.DOTALL,
)
_REGEX = re.compile(r"/((?:\\.|[^/\\\n])+)/([a-z]*)")
_BEFORE_REGEX = frozenset({"like", "=~", "parse"})


class QueryError(ValueError):
    """The query is not valid; the text says why."""


class Token(NamedTuple):
    """A token: its kind, what it says, and where it stands, counted from 1."""

    kind: str
    text: str
    at: int


def tokenize(query: str) -> list[Token]:
    """Take a query apart; raises `QueryError`."""
    tokens: list[Token] = []
    at = 0
    while at < len(query):
        if query[at] == "/" and _is_before_regex(tokens) and (regex := _REGEX.match(query, at)) is not None:
            source = f"(?{regex[2]}){regex[1]}" if regex[2] else regex[1]
            tokens.append(Token("regex", source.replace(r"\/", "/"), at + 1))
            at = regex.end()
            continue
        found = _TOKENS.match(query, at)
        if found is None:
            raise QueryError(f"Unexpected character {query[at]!r} at position {at + 1}.")
        kind = found.lastgroup or ""
        if kind != "space":
            tokens.append(Token(*_meant(kind, found.group()), at + 1))
        at = found.end()
    return tokens


def _meant(kind: str, text: str) -> tuple[str, str]:
    match kind:
        case "text":
            return kind, unescape(text[1:-1])
        case "name":
            return "name", text.replace("`", "")
    return kind, text


def _is_before_regex(tokens: list[Token]) -> bool:
    """A slash divides, except where only a regular expression can stand."""
    if not tokens:
        return False
    if tokens[-1].text.lower() in _BEFORE_REGEX:
        return True
    return len(tokens) > 1 and tokens[-1].kind == "name" and tokens[-2].text.lower() == "parse"


class Tokens:
    """Tokens, taken one after the other."""

    def __init__(self, query: str) -> None:
        self._tokens = tokenize(query)
        self._length = len(query)
        self._at = 0
        self._depth = 0

    @property
    def next(self) -> Token:
        """The token that comes next; of kind "end" after the last."""
        if self._at < len(self._tokens):
            return self._tokens[self._at]
        return Token("end", "the end", self._length + 1)

    def take(self) -> Token:
        """Take the next token."""
        token = self.next
        self._at += 1
        return token

    def accept(self, *words: str) -> str | None:
        """Take the next token if it is one of these words or signs."""
        token = self.next
        if token.kind in {"name", "sign"} and token.text.lower() in words:
            self._at += 1
            return token.text.lower()
        return None

    def follows(self, *words: str) -> bool:
        """Say whether these words come next, one after the other."""
        ahead = self._tokens[self._at : self._at + len(words)]
        return [token.text.lower() for token in ahead] == list(words)

    def expect(self, word: str) -> None:
        """Take the next token, which must be this word or sign."""
        if self.accept(word) is None:
            raise self.error(f"{word!r} is missing")

    def name(self) -> str:
        """Take the next token, which must be a name."""
        if self.next.kind != "name":
            raise self.error("the name of a field is missing")
        return self.take().text

    def deeper(self, by: int = 1) -> None:
        """Count how deeply expressions nest, which has a limit."""
        self._depth += by
        if self._depth > 50:
            raise self.error("the expression nests too deeply")

    def error(self, what: str) -> QueryError:
        """Make the error that says what is wrong, and where."""
        return QueryError(f"{what[:1].upper()}{what[1:]} before {self.next.text!r} at position {self.next.at}.")
