"""Group commit: the transaction functions that are waiting share one durable commit, each behind its own savepoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

import anyio

from wherry.store.database import Connection, Database
from wherry.store.schema import Key

R = TypeVar("R")


class Transaction(Protocol):
    """What a transaction function is given, whatever else it can do."""

    dirty: set[Key]

    def end(self) -> None:
        """Make any later use an error."""


class Job(Generic[R]):
    """A transaction function that waits for its turn, and then for what became of it."""

    __slots__ = ("_error", "_fn", "_result", "dirty", "settled")

    def __init__(self, fn: Callable[[Any], R], event: Callable[[], anyio.Event] = anyio.Event) -> None:
        self._fn = fn
        self._result: list[R] = []
        self._error: BaseException | None = None
        self.dirty: set[Key] = set()
        self.settled = event()

    @property
    def failed(self) -> bool:
        """Whether the function raised, or its commit failed."""
        return self._error is not None

    def run(self, tx: Transaction) -> None:
        """Run the function and keep what it returns; raises what it raises."""
        self._result.append(self._fn(tx))
        self.dirty = tx.dirty

    def fail(self, error: BaseException, *, cause: BaseException | None = None) -> None:
        """Note what the caller is to be told, and what lies behind it."""
        if cause is not error:
            error.__cause__ = cause
        self._error = error
        self.dirty = set()

    def outcome(self) -> R:
        """Return what the function returned, or raise what stood in the way."""
        if self._error is not None:
            raise self._error
        return self._result[0]


class Batch:
    """Jobs that share a transaction: it is run, and then committed, at once or on another thread.

    A job that raises is undone alone. If the transaction as a whole fails, nothing of it has happened and every job
    fails with the reason. Neither step raises: whatever goes wrong belongs to the jobs' callers.
    """

    def __init__(
        self, jobs: Sequence[Job[Any]], database: Database, transaction: Callable[[Connection], Transaction]
    ) -> None:
        """`transaction` makes what each function is given."""
        self.jobs = jobs
        self._database = database
        self._transaction = transaction
        self._connection = database.writer()
        self._begun = False
        self._over = False

    def run(self, *, wait: bool) -> None:
        """Run the functions; unless we may `wait`, not yet if somebody else keeps the database locked."""
        try:
            self._begun = self._connection.begin(wait=wait)
            if self._begun:
                for job in self.jobs:
                    self._attempt(job)
        except BaseException as error:  # noqa: BLE001 - carried to the callers
            self._give_up(error)

    def commit(self) -> None:
        """Run what has not been run, and make it durable."""
        if not (self._begun or self._over):
            self.run(wait=True)
        if self._over:
            return
        try:
            self._connection.commit()
        except BaseException as error:  # noqa: BLE001 - carried to the callers, who are on another thread
            self._give_up(error)

    @property
    def dirty(self) -> frozenset[Key]:
        """The keys that have changed, once it is committed."""
        return frozenset(key for job in self.jobs for key in job.dirty)

    def _attempt(self, job: Job[Any]) -> None:
        connection, tx = self._connection, self._transaction(self._connection)
        connection.execute("SAVEPOINT job")
        try:
            job.run(tx)
            connection.execute("RELEASE job")
        except BaseException as error:
            job.fail(self._database.explain(error), cause=error)
            if not connection.in_transaction:
                raise  # the engine gave the whole transaction up (a full disk): nobody's part of it is left
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
        finally:
            tx.end()

    def _give_up(self, error: BaseException) -> None:
        self._over = True
        with suppress(Exception):  # the connection may be gone, and the transaction with it
            self._connection.rollback()
        for job in self.jobs:
            if not job.failed:
                job.fail(self._database.explain(error), cause=error)
