"""What a query does with rows, one stage after the other: each gets rows pushed and pushes what it makes of them on."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Protocol

from wherry.model.logs.insights.aggregates import Aggregate
from wherry.model.logs.insights.tokens import QueryError
from wherry.model.logs.insights.values import Expression, Row, Value, order, text, truth
from wherry.model.logs.regex import Regex

MOST_ROWS = 1_000_000
"""More rows, or groups, than that are not kept in memory: the query ends with an error."""

Named = tuple[str, Expression]
"""A column: its name, and what computes it."""


class Stage(Protocol):
    """One step of a query."""

    def push(self, row: Row) -> None:
        """Take a row."""

    def end(self) -> None:
        """Know that there are no more rows."""

    @property
    def is_full(self) -> bool:
        """Whether more rows would change nothing."""


class Result:
    """The last stage: keeps what arrives."""

    is_full = False

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def push(self, row: Row) -> None:
        """Keep it."""
        self.rows.append(row)

    def end(self) -> None:
        """Nothing is left to do."""


class _Passing:
    """A stage that sees one row at a time."""

    def __init__(self, following: Stage) -> None:
        self._following = following

    @property
    def is_full(self) -> bool:
        return self._following.is_full

    def end(self) -> None:
        self._following.end()


class Matched(_Passing):
    """Counts the rows that have got past all filters of events."""

    def __init__(self, following: Stage) -> None:
        super().__init__(following)
        self.count = 0

    def push(self, row: Row) -> None:
        """Count it."""
        self.count += 1
        self._following.push(row)


class Filter(_Passing):
    """Lets rows through for which a condition holds."""

    def __init__(self, following: Stage, condition: Expression) -> None:
        super().__init__(following)
        self._condition = condition

    def push(self, row: Row) -> None:
        """Judge it."""
        if truth(self._condition(row)):
            self._following.push(row)


class Assign(_Passing):
    """Computes fields."""

    def __init__(self, following: Stage, columns: Sequence[Named]) -> None:
        super().__init__(following)
        self._columns = columns

    def push(self, row: Row) -> None:
        """Give the row its fields."""
        row.fields |= {name: compute(row) for name, compute in self._columns}
        self._following.push(row)


class Parse(_Passing):
    """Takes a field apart by a regular expression; `names` are its groups and what they become."""

    def __init__(self, following: Stage, field: str, regex: Regex, names: Sequence[tuple[str, str]]) -> None:
        super().__init__(following)
        self._field = field
        self._regex = regex
        self._names = names

    def push(self, row: Row) -> None:
        """Give the row the fields that were found."""
        value = row.get(self._field)
        match = None if value is None else self._regex.search(text(value))
        if match is not None:
            groups = match.groupdict()
            row.fields |= {name: groups[group] for group, name in self._names}
        self._following.push(row)


class Dedup(_Passing):
    """Lets only the first of the rows through whose fields are the same."""

    def __init__(self, following: Stage, fields: Sequence[str]) -> None:
        super().__init__(following)
        self._fields = fields
        self._seen: set[tuple[str, ...]] = set()

    def push(self, row: Row) -> None:
        """Let it through if it is new; rows without one of the fields are."""
        values = [row.get(field) for field in self._fields]
        key = tuple(map(text, values))
        if None not in values:
            if key in self._seen:
                return
            _check_room(self._seen)
            self._seen.add(key)
        self._following.push(row)


class Limit(_Passing):
    """Lets so many rows through."""

    def __init__(self, following: Stage, most: int) -> None:
        super().__init__(following)
        self.most = most
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Whether it has let all through that it will."""
        return self._count >= self.most or self._following.is_full

    def push(self, row: Row) -> None:
        """Count it."""
        if self._count < self.most:
            self._count += 1
            self._following.push(row)


class Sort:
    """Keeps the rows, or as many as the limit that follows lets through, and pushes them in order."""

    is_full = False

    def __init__(self, following: Stage, keys: Sequence[tuple[Expression, bool]]) -> None:
        self._following = following
        self._keys = keys
        self._most = following.most if isinstance(following, Limit) else None
        self._rows: list[Row] = []

    def push(self, row: Row) -> None:
        """Keep it."""
        _check_room(self._rows)
        self._rows.append(row)
        if self._most is not None and len(self._rows) > 2 * self._most + 1000:
            self._sort()
            del self._rows[self._most :]

    def end(self) -> None:
        """Push all on, in order."""
        self._sort()
        for row in self._rows:
            self._following.push(row)
        self._following.end()

    def _sort(self) -> None:
        for key, descending in reversed(self._keys):
            self._rows.sort(key=lambda row: order(key(row)), reverse=descending)
            self._rows.sort(key=lambda row: key(row) is None)


class Stats:
    """Groups rows, and makes one of each group."""

    is_full = False

    def __init__(
        self,
        following: Stage,
        *,
        by: Sequence[Named],
        aggregates: Sequence[tuple[str, Expression, Callable[[], Aggregate]]],
        columns: Sequence[Named],
    ) -> None:
        self._following = following
        self._by = by
        self._aggregates = aggregates
        self._columns = columns
        self._groups: dict[tuple[str, ...], tuple[list[Value], list[Aggregate]]] = {}
        if not by:
            self._group([])

    def push(self, row: Row) -> None:
        """Add it to its group."""
        group = self._group([compute(row) for _, compute in self._by])
        for aggregate, (_, compute, _) in zip(group, self._aggregates, strict=True):
            aggregate.add(compute(row), row)

    def end(self) -> None:
        """Push a row for each group on."""
        for values, group in self._groups.values():
            fields = {name: value for (name, _), value in zip(self._by, values, strict=True)}
            slots = {slot: one.result() for (slot, _, _), one in zip(self._aggregates, group, strict=True)}
            inner = Row(fields | slots)
            self._following.push(Row(fields | {name: compute(inner) for name, compute in self._columns}))
        self._following.end()

    def _group(self, values: list[Value]) -> list[Aggregate]:
        key = tuple(map(text, values))
        found = self._groups.get(key)
        if found is None:
            _check_room(self._groups)
            found = self._groups[key] = (values, [make() for _, _, make in self._aggregates])
        return found[1]


def _check_room(kept: Sized) -> None:
    if len(kept) >= MOST_ROWS:
        raise QueryError(f"The query keeps more than {MOST_ROWS} rows. Filter more, or shorten the time range.")
