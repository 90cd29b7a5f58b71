"""A transaction as its function sees it: entities in, entities out, no way to anything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from wherry.model.reserved import Reserved, Share
from wherry.store.database import Connection
from wherry.store.errors import Conflict
from wherry.store.schema import E, Key, Scalar
from wherry.store.statements import Filter, Shape, Statements, TableStatements, position
from wherry.store.sums import added, difference

_UNASKED: Any = object()
"""Stands for what is not known, where None says that there is nothing."""


class Tx:
    """One transaction, alive only while its function runs. It sees its own writes.

    In a `Store.read` it is a snapshot: `put`, `delete` and `ring` raise `TypeError`.
    """

    __slots__ = ("_execute", "_known", "_remembers", "_statements", "_writable", "dirty")

    def __init__(self, connection: Connection, statements: Statements, *, writable: bool) -> None:
        self._execute = connection.execute
        self._statements = statements
        self._writable = writable
        self.dirty: set[Key] = set()
        # Nobody else writes meanwhile and entities do not change: what was read or written need not be read again.
        # A snapshot begins with what was read of the same state before, and that includes answers to questions.
        known = None if writable else connection.known
        self._known: dict[Any, Any] = {} if known is None else known
        self._remembers = known is not None

    def get(self, type_: type[E], key: str) -> E | None:
        """Read the entity with that key."""
        place = (type_, key)
        known: E | None = self._known.get(place, _UNASKED)
        if known is not _UNASKED:
            return known
        sql = self._statements[type_]
        row = self._execute(sql.get, {"this_key": key}).fetchone()
        found: E | None = None if row is None else sql.decode(row[0])
        self._known[place] = found
        return found

    def find(
        self,
        type_: type[E],
        /,
        *,
        order: str | tuple[str, ...] = (),
        descending: bool = False,
        limit: int | None = None,
        after: Scalar | tuple[Scalar, ...] | None = None,
        **equals: Filter,
    ) -> list[E]:
        """Read the entities whose columns match `equals`.

        A filter is a value, a collection of values of which one must match, a `Range`, or None for "has none".
        They come in the `order` of the named columns and then of the key, or backwards; `after` is the position of
        the last one seen: its values of the `order` columns and its key, or only its key where there is no `order`.
        """
        sql = self._statements[type_]
        filters, values = sql.parameters(equals)
        ordered = (order,) if isinstance(order, str) else order
        if after is not None:
            place = after if isinstance(after, tuple) else (after,)
            if len(place) != len(ordered) + 1:
                raise TypeError(f"A position in the order {ordered} has {len(ordered) + 1} values, the key last.")
            values |= position(place)
        if limit is not None:
            values["at_most"] = limit
        shape = Shape(filters, ordered, descending, after is not None, limit is not None)
        statement = sql.find(shape)
        question = (statement, *values.values()) if self._remembers else None
        known: list[E] | None = self._known.get(question)
        if known is not None:
            return known.copy()
        found = [sql.decode(body) for (body,) in self._execute(statement, values).fetchall()]
        for entity in found:
            self._known[type_, sql.key_of(entity)] = entity
        if question is not None:
            self._known[question] = found.copy()
        return found

    def count(self, type_: type[E], /, **equals: Filter) -> int:
        """Count the entities that `find` with the same filters would read."""
        sql = self._statements[type_]
        filters, values = sql.parameters(equals)
        ((number,),) = self._rows(sql.count(Shape(filters)), values)
        return int(number)

    def tally(self, type_: type[E], by: tuple[str, ...], /, **equals: Filter) -> dict[tuple[Any, ...], int]:
        """Count the entities that `find` would read, by the values of the columns named in `by`."""
        sql = self._statements[type_]
        filters, values = sql.parameters(equals)
        rows = self._rows(sql.tally(Shape(filters, order=by)), values)
        return {tuple(group): int(number) for *group, number in rows}

    def put(self, entity: E) -> E:
        """Write an entity, a new one (version 0) or a later state of the stored one, and return it as stored.

        Raises `Conflict` if a new one's key or unique columns are taken, or if a stored one has changed or gone since
        it was read.
        """
        self._check_writable()
        sql = self._statements[type(entity)]
        before = self._shares_before(sql, entity)
        written = msgspec.structs.replace(entity, version=entity.version + 1)
        values = sql.row(written)
        if entity.version == 0:
            cursor = self._execute(sql.insert, values)
        else:
            values |= {"this_key": sql.key_of(entity), "this_version": entity.version}
            cursor = self._execute(sql.update, values)
        if cursor.rowcount != 1:
            raise Conflict(f"{sql.table.name} {sql.key_of(entity)} is not at version {entity.version} any more.")
        self._known[type(entity), sql.key_of(entity)] = written
        self.dirty.update(sql.table.marks(written))
        if sql.table.shares is not None:
            self._settle(before, sql.table.shares(written))
        return written

    def delete(self, entity: E) -> None:
        """Remove a stored entity; raises `Conflict` if it has changed or gone since it was read."""
        self._check_writable()
        sql = self._statements[type(entity)]
        before = self._shares_before(sql, entity)
        cursor = self._execute(sql.delete, {"this_key": sql.key_of(entity), "this_version": entity.version})
        if cursor.rowcount != 1:
            raise Conflict(f"{sql.table.name} {sql.key_of(entity)} is not at version {entity.version} any more.")
        self._known[type(entity), sql.key_of(entity)] = None
        self.dirty.update(sql.table.marks(entity))
        self._settle(before, ())

    def ring(self, *keys: Key) -> None:
        """Mark more keys dirty, beyond those that the written entities ring by themselves."""
        self._check_writable()
        self.dirty.update(keys)

    def end(self) -> None:
        """Make any later use an error: what outlives its function would read in the middle of another's transaction."""
        self._execute = _ended

    def _rows(self, statement: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Ask for rows, of one state only once."""
        question = (statement, *values.values()) if self._remembers else None
        rows: Sequence[Sequence[Any]] | None = self._known.get(question)
        if rows is None:
            rows = self._execute(statement, values).fetchall()
            if question is not None:
                self._known[question] = rows
        return rows

    def _shares_before(self, sql: TableStatements[E], entity: E) -> tuple[Share, ...]:
        """Tell what the stored state of an entity takes, whatever the one at hand would."""
        if sql.table.shares is None or entity.version == 0:
            return ()
        stored = self.get(type(entity), sql.key_of(entity))
        return () if stored is None else tuple(sql.table.shares(stored))

    def _settle(self, before: Iterable[Share], after: Iterable[Share]) -> None:
        for share in difference(before, after):
            reserved = added(self.get(Reserved, share.place) or Reserved(place=share.place), share)
            if reserved.holders > 0:
                self.put(reserved)
            else:
                self.delete(reserved)

    def _check_writable(self) -> None:
        if not self._writable:
            raise TypeError("A read transaction cannot write. Use Store.write.")


def _ended(*_: Any) -> NoReturn:
    raise RuntimeError("The transaction is over. Return values from its function, not the transaction.")
