"""The SQL of one dialect: described in SQLAlchemy Core, compiled once, run by whoever holds a DBAPI connection.

Compiling per call costs more than SQLite takes to commit; so a statement is cached by the shape of its question, and
lists travel as one parameter (a JSON array, or an SQL array), so that their length is no part of the shape. Short ones
are an exception on SQLite: taking a JSON array apart costs it more than finding the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from wherry.model.base import Entity
from wherry.store.errors import CorruptDatabase
from wherry.store.schema import E, Range, Scalar, Schema, Table

Filter = Scalar | Collection[Scalar] | Range | None
Row = Mapping[str, Any]


SHORT = 8
"""The longest list whose values are parameters of their own on SQLite."""


class Shape(NamedTuple):
    """What is asked, without the values: columns with their kind of filter, the order, and what bounds the answer."""

    filters: tuple[tuple[str, str], ...]
    order: tuple[str, ...] = ()
    descending: bool = False
    after: bool = False
    limit: bool = False


class TableStatements(Generic[E]):
    """The statements over one table, and the way from a struct to a row and back."""

    def __init__(self, table: Table[E], described: sa.Table, dialect: sa.Dialect) -> None:
        self.table = table
        self._described = described
        self._dialect = dialect
        self._postgres = dialect.name == "postgresql"
        self._short = 0 if self._postgres else SHORT
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(table.type)
        self.key_of = attrgetter(table.key)
        self._columns = {
            name: (attrgetter(name), _plain_of(described.c[name]))
            for name in (table.key, *(column.name for column in table.columns))
        }
        self._found: dict[Shape, str] = {}
        self._counted: dict[Shape, str] = {}
        self._tallied: dict[Shape, str] = {}
        key, version = described.c[table.key], described.c.version
        this_version = sa.and_(key == sa.bindparam("this_key"), version == sa.bindparam("this_version"))
        insert = _insert(described, postgres=self._postgres)
        self.get = self._compile(sa.select(described.c.body).where(key == sa.bindparam("this_key")))
        self.insert = self._compile(insert.on_conflict_do_nothing())
        self.update = self._compile(
            sa.update(described)
            .where(this_version)
            .values({column: sa.bindparam(column.name) for column in described.c if column is not key})
        )
        self.delete = self._compile(sa.delete(described).where(this_version))

    def row(self, entity: E) -> dict[str, Any]:
        """Lay an entity out as parameters of `insert` and `update`."""
        values = {name: plain(value_of(entity)) for name, (value_of, plain) in self._columns.items()}
        values["version"] = entity.version
        values["body"] = self._encoder.encode(entity).decode()
        return values

    def decode(self, body: str) -> E:
        """Read an entity from its body; raises `CorruptDatabase`."""
        try:
            return self._decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise CorruptDatabase(
                f"A row of the table {self.table.name} cannot be read ({error}). Restore the database from a backup."
            ) from error

    def find(self, shape: Shape) -> str:
        """Compile the question for the bodies that match."""
        statement = self._found.get(shape)
        if statement is None:
            statement = self._found[shape] = self._compile(self._select(shape))
        return statement

    def count(self, shape: Shape) -> str:
        """Compile the question for how many match."""
        statement = self._counted.get(shape)
        if statement is None:
            question = sa.select(sa.func.count()).select_from(self._described).where(*self._conditions(shape))
            statement = self._counted[shape] = self._compile(question)
        return statement

    def tally(self, shape: Shape) -> str:
        """Compile the question for how many match, grouped by the columns of the order."""
        statement = self._tallied.get(shape)
        if statement is None:
            groups = [self._described.c[name] for name in shape.order]
            question = sa.select(*groups, sa.func.count()).where(*self._conditions(shape)).group_by(*groups)
            statement = self._tallied[shape] = self._compile(question)
        return statement

    def parameters(self, equals: Mapping[str, Filter]) -> tuple[tuple[tuple[str, str], ...], dict[str, Any]]:
        """Split filters into their shape and their values; raises `TypeError` for a column that is not there."""
        shape: list[tuple[str, str]] = []
        values: dict[str, Any] = {}
        for name, wanted in equals.items():
            if name not in self._columns:
                raise TypeError(f"{self.table.name} cannot be found by {name!r}, only by {sorted(self._columns)}.")
            _, plain = self._columns[name]
            match wanted:
                case str() | int() | float():
                    kind, values[name] = "is", plain(wanted)
                case None:
                    kind = "null"
                case Range(start, end):
                    kind = ("from" if start is not None else "") + ("until" if end is not None else "")
                    values |= {f"{name}_from": plain(start), f"{name}_until": plain(end)}
                case _ if 0 < len(wanted) <= self._short:
                    kind = f"in {len(wanted)}"
                    values |= {f"{name}_{i}": plain(value) for i, value in enumerate(wanted)}
                case _:
                    kind, values[name] = "in", self._pack([plain(value) for value in wanted])
            shape.append((name, kind))
        return tuple(shape), values

    def _select(self, shape: Shape) -> sa.Select[tuple[str]]:
        ordered = [self._described.c[name] for name in (*shape.order, self.table.key)]
        if any(column.nullable for column in ordered):
            raise TypeError(f"{self.table.name} cannot be sorted by {shape.order}: the engines disagree on NULL.")
        question = sa.select(self._described.c.body).where(*self._conditions(shape))
        if shape.after:
            here = sa.tuple_(*ordered)
            there = sa.tuple_(*(sa.bindparam(f"after_{i}", type_=column.type) for i, column in enumerate(ordered)))
            question = question.where(here < there if shape.descending else here > there)
        question = question.order_by(*(column.desc() if shape.descending else column.asc() for column in ordered))
        if not shape.limit:
            return question
        # SQLite's dialect adds an offset of its own, as a hidden parameter, unless there is one.
        return question.limit(sa.bindparam("at_most", type_=sa.BigInteger())).offset(sa.literal_column("0"))

    def _conditions(self, shape: Shape) -> list[sa.ColumnElement[bool]]:
        conditions: list[sa.ColumnElement[bool]] = []
        for name, kind in shape.filters:
            column = self._described.c[name]
            if kind == "null":
                conditions.append(column.is_(None))
            if kind == "is":
                conditions.append(column == sa.bindparam(name, type_=column.type))
            if kind == "in":
                conditions.append(self._member(column, name))
            if kind.startswith("in "):
                members = range(int(kind.removeprefix("in ")))
                conditions.append(column.in_([sa.bindparam(f"{name}_{i}", type_=column.type) for i in members]))
            if kind.startswith("from"):
                conditions.append(column >= sa.bindparam(f"{name}_from", type_=column.type))
            if kind.endswith("until"):
                conditions.append(column < sa.bindparam(f"{name}_until", type_=column.type))
        return conditions

    def _member(self, column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
        if self._postgres:
            return column == sa.any_(sa.bindparam(name, type_=sa.ARRAY(column.type)))
        members = sa.func.json_each(sa.bindparam(name, type_=sa.Text())).table_valued("value")
        return column.in_(sa.select(members.c.value))

    def _pack(self, values: list[Any]) -> object:
        return values if self._postgres else self._encoder.encode(values).decode()

    def _compile(self, statement: sa.ClauseElement) -> str:
        return str(statement.compile(dialect=self._dialect))


class Statements(dict[type[Entity], TableStatements[Any]]):
    """The statements over every table of a schema by the types of the entities, compiled at their first use."""

    def __init__(self, schema: Schema, dialect: sa.Dialect) -> None:
        super().__init__()
        self._schema = schema
        self._dialect = dialect

    def __missing__(self, type_: type[Entity]) -> TableStatements[Any]:
        # Two threads may do this at once; then one's work is for nothing.
        table = self._schema.tables[type_]
        described = self._schema.metadata.tables[table.name]
        made = self[type_] = TableStatements(table, described, self._dialect)
        return made


def position(values: Sequence[Scalar]) -> dict[str, Any]:
    """Lay out the place in the order after which to go on."""
    return {f"after_{i}": _text(value) for i, value in enumerate(values)}


def _insert(table: sa.Table, *, postgres: bool) -> Any:
    """Begin an INSERT that may have an ON CONFLICT, which every dialect has for itself."""
    if not postgres:
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - SQLite need not wait for it to load

    return postgresql.insert(table)


def _plain_of(column: sa.Column[Any]) -> Callable[[Any], Any]:
    """Find what makes a value of the model the plain text, number or boolean that every driver takes."""
    return _number if isinstance(column.type, sa.Double) else _text


def _number(value: Any) -> Any:
    return None if value is None else float(value)


def _text(value: Any) -> Any:
    """Make an enumeration's member its text; leave everything else."""
    return str(value) if isinstance(value, str) else value
