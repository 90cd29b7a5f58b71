"""How an entity is laid out as a row: its key, the columns that queries need, its version, and the struct as JSON.

What is declared once here becomes the SQLAlchemy metadata. Which entities there are stands in `wherry.store.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from wherry.model.base import Entity
from wherry.model.reserved import Share

E = TypeVar("E", bound=Entity)

Key = tuple[str, str]
"""A kind and an identifier: ("service", arn). What the bell carries."""

Scalar = str | int | float | bool
"""What a column holds when it holds something."""

TEXT: TypeEngine[str] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text in the order of its bytes on both engines, whatever the language of the PostgreSQL cluster."""


@dataclass(frozen=True)
class Range:
    """A filter: `start` <= column < `end`; None leaves that side open."""

    start: Scalar | None = None
    end: Scalar | None = None


@dataclass(frozen=True)
class Column:
    """A column that queries may filter and sort by: the attribute of the struct with the same name."""

    name: str
    type: TypeEngine[Any]
    nullable: bool = False


def text(name: str, *, null: bool = False) -> Column:
    """A column of text or of an enumeration of texts."""
    return Column(name, TEXT, null)


def number(name: str, *, null: bool = False) -> Column:
    """A column of floats: epoch seconds."""
    return Column(name, sa.Double(), null)


def integer(name: str) -> Column:
    """A column of integers."""
    return Column(name, sa.BigInteger())


def flag(name: str) -> Column:
    """A column of booleans."""
    return Column(name, sa.Boolean())


def _rings_nothing(_: Entity) -> Iterable[Key]:
    return ()


@dataclass(frozen=True)
class Table(Generic[E]):
    """Where the entities of one type live.

    `key` names the attribute that identifies an entity, `marks` the dirty keys that writing or deleting one rings,
    `indexes` and `unique` the combinations of columns to index, `shares` what it takes of which places.
    """

    name: str
    type: type[E]
    key: str
    columns: tuple[Column, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    marks: Callable[[E], Iterable[Key]] = _rings_nothing
    shares: Callable[[E], Iterable[Share]] | None = None


class Schema:
    """A set of tables, as SQLAlchemy metadata and by the type of their entities."""

    def __init__(self, tables: Sequence[Table[Entity]]) -> None:
        self.metadata = sa.MetaData()
        self.tables: Mapping[type[Entity], Table[Entity]] = {table.type: table for table in tables}
        for table in tables:
            _describe(table, self.metadata)


def _describe(table: Table[Entity], metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        table.name,
        metadata,
        sa.Column(table.key, TEXT, primary_key=True, nullable=False),
        *(sa.Column(column.name, column.type, nullable=column.nullable) for column in table.columns),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        *(sa.Index(f"ix_{table.name}_{'_'.join(names)}", *names) for names in table.indexes),
        *(sa.Index(f"ux_{table.name}_{'_'.join(names)}", *names, unique=True) for names in table.unique),
    )
