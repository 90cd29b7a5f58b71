"""The aggregate functions of `stats`: each sees the values of one group, one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

from wherry.model.logs.insights.values import Row, Value, number, order, text


class Aggregate(Protocol):
    """Sees values, and tells what they come to."""

    def add(self, value: Value, row: Row) -> None:
        """See one value, and the row that it is of."""

    def result(self) -> Value:
        """Tell what was seen."""


class Count:
    """How many rows have the field."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, value: Value, row: Row) -> None:  # noqa: ARG002 - every aggregate is asked alike
        """Count it."""
        self._count += value is not None

    def result(self) -> Value:
        """Tell how many."""
        return self._count


class Distinct:
    """How many different values there are."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def add(self, value: Value, row: Row) -> None:  # noqa: ARG002 - the same
        """Remember it."""
        if value is not None:
            self._seen.add(text(value))

    def result(self) -> Value:
        """Tell how many."""
        return len(self._seen)


class Numbers:
    """Whatever needs all numbers of a group."""

    def __init__(self, fold: Callable[[list[float]], float]) -> None:
        self._fold = fold
        self._numbers: list[float] = []

    def add(self, value: Value, row: Row) -> None:  # noqa: ARG002 - the same
        """Keep it if it is a number."""
        found = number(value)
        if found is not None:
            self._numbers.append(found)

    def result(self) -> Value:
        """Fold them; None if there are none."""
        return self._fold(self._numbers) if self._numbers else None


class Running:
    """Sum, number and squares of the numbers of a group, in constant room."""

    def __init__(self, fold: Callable[[float, int, float], float]) -> None:
        self._fold = fold
        self._sum, self._count, self._squares = 0.0, 0, 0.0

    def add(self, value: Value, row: Row) -> None:  # noqa: ARG002 - the same
        """Add it if it is a number."""
        found = number(value)
        if found is not None:
            self._sum += found
            self._count += 1
            self._squares += found * found

    def result(self) -> Value:
        """Fold them; None if there are none."""
        return self._fold(self._sum, self._count, self._squares) if self._count else None


class Extreme:
    """The value that comes first, or last, by its own order or by the time of its row."""

    def __init__(self, *, last: bool, by_time: bool = False) -> None:
        self._last = last
        self._by_time = by_time
        self._best: tuple[tuple[int, float, str], Value] | None = None

    def add(self, value: Value, row: Row) -> None:
        """Keep it if it is better than the best."""
        if value is None:
            return
        key = order(row.get("@timestamp") if self._by_time else value)
        if self._best is None or ((key > self._best[0]) is self._last and key != self._best[0]):
            self._best = key, value

    def result(self) -> Value:
        """Tell the best."""
        return None if self._best is None else self._best[1]


def percentile(numbers: list[float], percent: float) -> float:
    """Tell below which number so many percent of them are, between two of them where need be."""
    ordered = sorted(numbers)
    at = (len(ordered) - 1) * min(max(percent, 0.0), 100.0) / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _deviation(total: float, count: int, squares: float) -> float:
    return math.sqrt(max(0.0, squares / count - (total / count) ** 2))


AGGREGATES: Mapping[str, Callable[[], Aggregate]] = {
    "count": Count,
    "count_distinct": Distinct,
    "sum": lambda: Running(lambda total, _count, _squares: total),
    "avg": lambda: Running(lambda total, count, _squares: total / count),
    "stddev": lambda: Running(_deviation),
    "min": lambda: Extreme(last=False),
    "max": lambda: Extreme(last=True),
    "earliest": lambda: Extreme(last=False, by_time=True),
    "latest": lambda: Extreme(last=True, by_time=True),
    "sortsfirst": lambda: Extreme(last=False),
    "sortslast": lambda: Extreme(last=True),
    "median": lambda: Numbers(lambda numbers: percentile(numbers, 50)),
}
"""By the name in lower case; `pct` has an argument more."""
