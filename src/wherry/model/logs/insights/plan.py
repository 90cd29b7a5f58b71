"""Commands: a query is read from left to right and becomes a chain of stages, which rows are pushed through."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from wherry.model.logs.insights.aggregates import AGGREGATES, Aggregate, Numbers, percentile
from wherry.model.logs.insights.expressions import Expressions
from wherry.model.logs.insights.stages import (
    Assign,
    Dedup,
    Filter,
    Limit,
    Matched,
    Named,
    Parse,
    Result,
    Sort,
    Stage,
    Stats,
)
from wherry.model.logs.insights.tokens import QueryError, Tokens
from wherry.model.logs.insights.values import Expression, Row, text
from wherry.model.logs.regex import Regex, RegexError, compile_regex

MOST_RESULTS = 100_000
DEFAULT_RESULTS = 10_000
DEFAULT_COLUMNS = ("@timestamp", "@message")

Make = partial[Any]
"""Makes a stage in front of the one that follows."""

_GROUP = re.compile(r"\(\?P?<([A-Za-z_]\w*)>")


class Plan:
    """A compiled query: rows are pushed in, the newest first, and results come out in the end."""

    def __init__(self, stages: list[Make], columns: tuple[str, ...], *, streaming: int, pointer: bool) -> None:
        self._result = Result()
        self._columns = columns
        self._pointer = pointer
        chain: Stage = self._result
        for make in reversed(stages[streaming:]):
            chain = make(chain)
        self._matched = Matched(chain)
        chain = self._matched
        for make in reversed(stages[:streaming]):
            chain = make(chain)
        self._first = chain

    @property
    def matched(self) -> int:
        """How many rows have got past the filters."""
        return self._matched.count

    @property
    def is_full(self) -> bool:
        """Whether more rows would change nothing."""
        return self._first.is_full

    def push(self, row: Row) -> None:
        """Take a row; raises `QueryError` when there is too much to keep."""
        self._first.push(row)

    def finish(self) -> list[tuple[tuple[str, str], ...]]:
        """Return the results: for each row its columns and what they show; what a row has not is left out."""
        self._first.end()
        names = (*self._columns, "@ptr") if self._pointer else self._columns
        return [
            tuple((name, text(value)) for name in names if (value := row.get(name)) is not None)
            for row in self._result.rows
        ]


def compile_query(query: str, *, limit: int | None = None) -> Plan:
    """Compile a query, whose own limit wins over the other; raises `QueryError`."""
    return _Compiler(query).compile(limit)


class _Compiler:
    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = Tokens(query)
        self._stages: list[Make] = []
        self._columns: tuple[str, ...] = ()
        self._grouped = False
        self._limited = False

    def compile(self, limit: int | None) -> Plan:
        if self._tokens.next.kind == "end":
            raise QueryError("The query is empty.")
        while True:
            self._command()
            if self._tokens.accept("|"):
                continue
            if self._tokens.next.kind == "end":
                break
            raise self._tokens.error("'|' is missing")
        if not self._limited:
            self._stages.append(partial(Limit, most=limit or DEFAULT_RESULTS))
        # What comes before the first stage that keeps or drops rows for other reasons than their fields.
        streaming = next(
            (n for n, make in enumerate(self._stages) if make.func in {Stats, Sort, Limit, Dedup}), len(self._stages)
        )
        columns = self._columns or DEFAULT_COLUMNS
        return Plan(self._stages, columns, streaming=streaming, pointer=not self._grouped)

    def _command(self) -> None:
        command = self._tokens.name().lower()
        match command:
            case "fields" | "display":
                columns = self._list()
                self._stages.append(partial(Assign, columns=columns))
                names = tuple(name for name, _ in columns)
                self._columns = names if command == "display" else (*self._columns, *names)
            case "filter":
                self._stages.append(partial(Filter, condition=self._expressions().read()))
            case "parse":
                self._parse()
            case "stats":
                self._stats()
            case "sort":
                self._sort()
            case "limit":
                self._limit()
            case "dedup":
                self._stages.append(partial(Dedup, fields=self._names()))
            case _:
                raise QueryError(
                    f"The command {command!r} is not supported. There are: fields, display, filter, parse, stats, "
                    "sort, limit and dedup."
                )

    def _list(self) -> list[Named]:
        columns = [self._named(self._expressions())]
        while self._tokens.accept(","):
            columns.append(self._named(self._expressions()))
        return columns

    def _names(self) -> list[str]:
        names = [self._tokens.name()]
        while self._tokens.accept(","):
            names.append(self._tokens.name())
        return names

    def _named(self, expressions: Expressions) -> Named:
        """Read an expression and its alias; without one it is called as it is written."""
        start = self._tokens.next
        compute = expressions.read()
        written = self._query[start.at - 1 : self._tokens.next.at - 1].split("#")[0].strip().replace("`", "")
        return (self._tokens.name() if self._tokens.accept("as") else written), compute

    def _expressions(self) -> Expressions:
        return Expressions(self._tokens, self._column_of_stats) if self._grouped else Expressions(self._tokens)

    def _column_of_stats(self, tokens: Tokens, name: str) -> Expression | None:
        """Read `count(*)` behind `stats` as the column of that name."""
        if name not in AGGREGATES and name not in {"pct", "bin"}:
            return None
        inner = ""
        while tokens.next.text != ")" and tokens.next.kind != "end":
            inner += tokens.take().text
        column = f"{name}({inner})"
        return lambda row: row.get(column)

    def _parse(self) -> None:
        field = self._tokens.name() if self._tokens.next.kind == "name" else "@message"
        token = self._tokens.take()
        if token.kind not in {"text", "regex"}:
            raise self._tokens.error("'parse' takes a text with * or a /regular expression/, which is missing")
        aliases: list[str] = []
        if self._tokens.accept("as"):
            aliases = self._names()
        regex, names = self._globbed(token.text, aliases) if token.kind == "text" else self._grouped_regex(token.text)
        self._stages.append(partial(Parse, field=field, regex=regex, names=names))

    def _globbed(self, glob: str, aliases: list[str]) -> tuple[Regex, list[tuple[str, str]]]:
        parts = glob.split("*")
        if len(parts) - 1 != len(aliases):
            raise self._tokens.error(f"there are {len(parts) - 1} * and {len(aliases)} names")
        source = re.escape(parts[0])
        for place, part in enumerate(parts[1:]):
            greedy = place == len(parts) - 2 and not part
            source += f"(?P<g{place}>.*{'' if greedy else '?'}){re.escape(part)}"
        return self._regex(f"(?s){source}"), [(f"g{place}", alias) for place, alias in enumerate(aliases)]

    def _grouped_regex(self, source: str) -> tuple[Regex, list[tuple[str, str]]]:
        names = _GROUP.findall(source)
        if not names:
            raise self._tokens.error("the regular expression has no named group (?<name>...)")
        return self._regex(source), [(name, name) for name in names]

    def _regex(self, source: str) -> Regex:
        try:
            return compile_regex(source)
        except RegexError as error:
            raise self._tokens.error(str(error).rstrip(".")) from error

    def _stats(self) -> None:
        aggregates: list[tuple[str, Expression, Callable[[], Aggregate]]] = []

        def aggregate(tokens: Tokens, name: str) -> Expression | None:
            if name not in AGGREGATES and name != "pct":
                return None
            slot = f"\x00{len(aggregates)}"
            value: Expression = (
                (lambda _: 1) if tokens.accept("*") or tokens.next.text == ")" else self._expressions().read()
            )
            make = AGGREGATES.get(name) or self._percentile(tokens)
            aggregates.append((slot, value, make))
            return lambda row: row.fields[slot]

        columns = [self._named(Expressions(self._tokens, aggregate))]
        while self._tokens.accept(","):
            columns.append(self._named(Expressions(self._tokens, aggregate)))
        if not aggregates:
            raise self._tokens.error("'stats' needs a function such as count(*)")
        by = self._list() if self._tokens.accept("by") else []
        self._stages.append(partial(Stats, by=by, aggregates=aggregates, columns=columns))
        self._columns = tuple(name for name, _ in (*by, *columns))
        self._grouped = True

    def _percentile(self, tokens: Tokens) -> Callable[[], Aggregate]:
        tokens.expect(",")
        if tokens.next.kind != "number":
            raise tokens.error("the percentile is missing")
        percent = float(tokens.take().text)
        return lambda: Numbers(lambda numbers: percentile(numbers, percent))

    def _sort(self) -> None:
        self._tokens.accept("by")
        keys: list[tuple[Expression, bool]] = []
        while True:
            key = self._expressions().read()
            keys.append((key, self._tokens.accept("asc", "desc") == "desc"))
            if not self._tokens.accept(","):
                break
        self._stages.append(partial(Sort, keys=keys))

    def _limit(self) -> None:
        token: Any = self._tokens.take()
        if token.kind != "number" or not token.text.isdigit() or not 1 <= int(token.text) <= MOST_RESULTS:
            raise QueryError(f"A limit is a number from 1 to {MOST_RESULTS}, not {token.text!r}.")
        self._stages.append(partial(Limit, most=int(token.text)))
        self._limited = True
