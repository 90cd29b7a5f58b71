"""Expressions: read from tokens, and made into functions of a row."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from wherry.model.logs.insights.functions import FUNCTIONS
from wherry.model.logs.insights.tokens import Tokens
from wherry.model.logs.insights.values import Expression, Row, Time, Value, number, text, truth
from wherry.model.logs.regex import RegexError, compile_regex

Special = Callable[[Tokens, str], Expression | None]
"""Reads a function that only some commands have, after its name has been taken; None if it is none of these."""

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_DURATION = re.compile(r"(\d+)(ms|[smhdw])")


class Expressions:
    """Reads expressions; `special` knows functions that the command has besides the common ones."""

    def __init__(self, tokens: Tokens, special: Special = lambda _tokens, _name: None) -> None:
        self._tokens = tokens
        self._special = special

    def read(self) -> Expression:
        """Read an expression; raises `QueryError`."""
        self._tokens.deeper()
        left = self._conjunction()
        while self._tokens.accept("or"):
            left = _either(left, self._conjunction())
        self._tokens.deeper(-1)
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self._tokens.accept("and"):
            left = _both(left, self._negation())
        return left

    def _negation(self) -> Expression:
        if self._tokens.accept("not"):
            self._tokens.deeper()
            inner = self._negation()
            self._tokens.deeper(-1)
            return lambda row: not truth(inner(row))
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self._sum()
        if sign := self._tokens.accept(*_COMPARISONS):
            return _compare(sign, left, self._sum())
        negated = self._tokens.follows("not", "like") or self._tokens.follows("not", "in")
        if negated:
            self._tokens.expect("not")
        if self._tokens.accept("like", "=~"):
            return _maybe_not(self._like(left), negated=negated)
        if self._tokens.accept("in"):
            return _maybe_not(self._member(left), negated=negated)
        return left

    def _like(self, left: Expression) -> Expression:
        token = self._tokens.take()
        if token.kind == "regex":
            try:
                compiled = compile_regex(token.text)
            except RegexError as error:
                raise self._tokens.error(str(error).rstrip(".")) from error
            return lambda row: (found := left(row)) is not None and compiled.search(text(found)) is not None
        if token.kind == "text":
            return lambda row: (found := left(row)) is not None and token.text in text(found)
        raise self._tokens.error("'like' is followed by a text or by a /regular expression/, which is missing")

    def _member(self, left: Expression) -> Expression:
        self._tokens.expect("[")
        members = [self._sum()]
        while self._tokens.accept(","):
            members.append(self._sum())
        self._tokens.expect("]")
        tests = [_compare("=", left, member) for member in members]
        return lambda row: any(test(row) for test in tests)

    def _sum(self) -> Expression:
        left = self._product()
        while sign := self._tokens.accept("+", "-"):
            left = _calculate(sign, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._power()
        while sign := self._tokens.accept("*", "/", "%"):
            left = _calculate(sign, left, self._power())
        return left

    def _power(self) -> Expression:
        base = self._primary()
        return _calculate("^", base, self._primary()) if self._tokens.accept("^") else base

    def _primary(self) -> Expression:
        if self._tokens.accept("("):
            inner = self.read()
            self._tokens.expect(")")
            return inner
        if self._tokens.accept("-"):
            self._tokens.deeper()
            negated = _calculate("-", lambda _: 0, self._primary())
            self._tokens.deeper(-1)
            return negated
        token = self._tokens.next
        match token.kind:
            case "number":
                self._tokens.take()
                value = float(token.text)
                return lambda _: value
            case "text":
                self._tokens.take()
                return lambda _: token.text
            case "name":
                return self._named(self._tokens.take().text)
        raise self._tokens.error("an expression is missing")

    def _named(self, name: str) -> Expression:
        if not self._tokens.accept("("):
            return lambda row: row.get(name)
        lowered = name.lower()
        special = self._special(self._tokens, lowered)
        found = special or self._time_function(lowered) or self._function(lowered)
        self._tokens.expect(")")
        return found

    def _time_function(self, name: str) -> Expression | None:
        if name not in {"bin", "datefloor", "dateceil"}:
            return None
        moment: Expression = lambda row: row.get("@timestamp")  # noqa: E731 - replaced below
        if name != "bin":
            moment = self.read()
            self._tokens.expect(",")
        period = self.duration()
        up = period - 1 if name == "dateceil" else 0

        def rounded(row: Row) -> Value:
            found = number(moment(row))
            return None if found is None else Time((int(found) + up) // period * period)

        return rounded

    def duration(self) -> int:
        """Read a period, in milliseconds."""
        found = _DURATION.match(self._tokens.next.text)
        if self._tokens.next.kind != "duration" or found is None or int(found[1]) == 0:
            raise self._tokens.error("a period such as 5m is missing")
        self._tokens.take()
        return int(found[1]) * _UNITS[found[2]]

    def _function(self, name: str) -> Expression:
        if name not in FUNCTIONS:
            raise self._tokens.error(f"the function {name} is not supported, which is called")
        least, most, fn = FUNCTIONS[name]
        arguments = [self.read()]
        while self._tokens.accept(","):
            arguments.append(self.read())
        if not least <= len(arguments) <= most:
            raise self._tokens.error(f"{name} takes {least} to {most} arguments, not {len(arguments)},")
        return lambda row: fn([argument(row) for argument in arguments])


def _either(left: Expression, right: Expression) -> Expression:
    return lambda row: truth(left(row)) or truth(right(row))


def _both(left: Expression, right: Expression) -> Expression:
    return lambda row: truth(left(row)) and truth(right(row))


def _maybe_not(test: Expression, *, negated: bool) -> Expression:
    return (lambda row: not test(row)) if negated else test


def _compare(sign: str, left: Expression, right: Expression) -> Expression:
    """Compare as numbers if both sides are some, else as texts; what is missing is unequal to everything."""
    compare = _COMPARISONS[sign]

    def judge(row: Row) -> Value:
        one, other = left(row), right(row)
        if one is None or other is None:
            return sign == "!="
        numbers = number(one), number(other)
        if numbers[0] is not None and numbers[1] is not None:
            return compare(*numbers)
        return compare(text(one), text(other))

    return judge


def _calculate(sign: str, left: Expression, right: Expression) -> Expression:
    def calculate(row: Row) -> Value:
        one, other = number(left(row)), number(right(row))
        if one is None or other is None:
            return None
        try:
            return _result(sign, one, other)
        except (ZeroDivisionError, OverflowError, ValueError):
            return None

    return calculate


def _result(sign: str, one: float, other: float) -> Value:
    match sign:
        case "+":
            return one + other
        case "-":
            return one - other
        case "*":
            return one * other
        case "/":
            return one / other
        case "%":
            return math.fmod(one, other)
    return math.pow(one, other)
