"""The seam between the store and an engine: connections, transactions, and what the engine's errors mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import sqlalchemy as sa


class Cursor(Protocol):
    """What the store uses of a DBAPI cursor."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement wrote."""

    def fetchone(self) -> Sequence[Any] | None:
        """Take the next row."""

    def fetchall(self) -> Sequence[Sequence[Any]]:
        """Take all rows."""


class Connection(Protocol):
    """A connection that one thread uses at a time, outside a transaction until told otherwise."""

    @property
    def known(self) -> dict[Any, Any] | None:
        """What was read of the state that the snapshot sees, kept by whoever reads; it is empty for another state.

        None where it cannot be told without much ado whether the state is another.
        """

    def execute(self, sql: str, values: Mapping[str, Any] = ..., /) -> Cursor:
        """Run one statement."""

    def begin(self, *, wait: bool) -> bool:
        """Begin the one writing transaction: it sees everything committed, and nobody else can write until its end.

        Returns whether it has begun: somebody else may keep the database locked for the moment, which is waited for
        only where we may `wait`.
        """

    def begin_snapshot(self) -> None:
        """Begin a reading transaction that sees one state throughout."""

    def commit(self) -> None:
        """Make it durable; it is when this returns."""

    def rollback(self) -> None:
        """Undo it; nothing happens if the engine has done so itself."""

    @property
    def in_transaction(self) -> bool:
        """Whether the transaction is still there: an engine may end it on its own when the disk is full."""


class Database(Protocol):
    """An opened database."""

    dialect: sa.Dialect
    read_concurrency: int
    """How many reads to run at once on threads; 0 where the event loop's own thread is the faster place, and for the
    functions that write as well."""

    def writer(self) -> Connection:
        """Return the one connection that writes."""

    def reader(self) -> AbstractContextManager[Connection]:
        """Borrow a connection that reads."""

    def explain(self, error: BaseException) -> BaseException:
        """Turn a driver's error into the `StoreError` that it means; return any other as it is."""

    def close(self) -> None:
        """Give everything back."""
