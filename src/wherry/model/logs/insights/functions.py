"""The functions of expressions: a name, how many arguments it takes, and what it makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from wherry.model.logs.insights.values import Time, Value, number, text

Function = Callable[[Sequence[Value]], Value]


def _numeric(fn: Callable[..., float]) -> Function:
    def call(values: Sequence[Value]) -> Value:
        numbers = [found for found in map(number, values) if found is not None]
        if len(numbers) < len(values):
            return None
        try:
            return fn(*numbers)
        except (ValueError, OverflowError, ZeroDivisionError):
            return None

    return call


def _textual(fn: Callable[..., Value]) -> Function:
    def call(values: Sequence[Value]) -> Value:
        return None if values[0] is None else fn(*map(text, values))

    return call


def _substr(value: str, start: str, length: str | None = None) -> Value:
    first = int(number(start) or 0)
    return value[first:] if length is None else value[first : first + int(number(length) or 0)]


def _time(values: Sequence[Value]) -> Value:
    found = number(values[0])
    return None if found is None or not math.isfinite(found) else Time(found)


def _is_empty(values: Sequence[Value]) -> Value:
    return values[0] is None or text(values[0]) == ""


def _is_blank(values: Sequence[Value]) -> Value:
    return values[0] is None or not text(values[0]).strip()


FUNCTIONS: Mapping[str, tuple[int, int, Function]] = {
    "abs": (1, 1, _numeric(abs)),
    "ceil": (1, 1, _numeric(math.ceil)),
    "floor": (1, 1, _numeric(math.floor)),
    "sqrt": (1, 1, _numeric(math.sqrt)),
    "log": (1, 1, _numeric(math.log)),
    "greatest": (1, 100, _numeric(max)),
    "least": (1, 100, _numeric(min)),
    "strlen": (1, 1, _textual(len)),
    "toupper": (1, 1, _textual(str.upper)),
    "tolower": (1, 1, _textual(str.lower)),
    "trim": (1, 2, _textual(str.strip)),
    "ltrim": (1, 2, _textual(str.lstrip)),
    "rtrim": (1, 2, _textual(str.rstrip)),
    "substr": (2, 3, _textual(_substr)),
    "replace": (3, 3, _textual(lambda value, old, new: value.replace(old, new) if old else value)),
    "strcontains": (2, 2, _textual(lambda value, part: int(part in value))),
    "concat": (1, 100, lambda values: "".join(map(text, values))),
    "ispresent": (1, 1, lambda values: values[0] is not None),
    "isempty": (1, 1, _is_empty),
    "isblank": (1, 1, _is_blank),
    "coalesce": (1, 100, lambda values: next((value for value in values if value is not None), None)),
    "frommillis": (1, 1, _time),
    "tomillis": (1, 1, lambda values: None if (found := number(values[0])) is None else int(found)),
}
"""By the name in lower case: the least and the most arguments, and the function."""
