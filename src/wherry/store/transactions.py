"""Transactions as functions: how every database of Wherry is read and written, whatever is in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar

import anyio
import sqlalchemy as sa
from anyio import to_thread
from anyio.lowlevel import checkpoint

from wherry.store.bell import Bell
from wherry.store.commit import Batch, Job, Transaction
from wherry.store.database import Connection, Database
from wherry.store.errors import StoreError
from wherry.store.writer import Writer

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Transaction)
T_co = TypeVar("T_co", bound=Transaction, covariant=True)

_EXAMPLES = "Write sqlite:///PATH or postgresql://USER@HOST/DATABASE."


class MakeTransaction(Protocol[T_co]):
    """Makes what a transaction function is given."""

    def __call__(self, connection: Connection, /, *, writable: bool) -> T_co:
        """Begin to use `connection` on behalf of one function."""


class Transactions(Generic[T]):
    """An open database. It changes only in `write`, whose function is synchronous and gets nothing but the T."""

    def __init__(self, database: Database, transaction: MakeTransaction[T], *, inline: bool) -> None:
        self.bell = Bell()
        self._database = database
        self._transaction = transaction
        on_thread = database.read_concurrency and not inline
        self._readers = anyio.CapacityLimiter(database.read_concurrency) if on_thread else None
        self._batch = partial(Batch, database=database, transaction=partial(transaction, writable=True))
        self._writer = None if inline else Writer(self._batch, self._settle, on_loop=self._readers is None)
        # The event of this event loop: anyio would look for the loop again at each job.
        self._event = type(anyio.Event())
        self._closed = False

    async def write(self, fn: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn(tx, *args)` as a transaction and return its result once it is durable.

        Like a read, it runs on the event loop where the database says so; only the commit is then a thread's.

        What `fn` raises comes out here and leaves no trace. A cancelled caller does not take the write back: it happens
        whole, or not at all. Raises `Conflict` and other `StoreError`s.
        """
        self._check_open()
        job: Job[R] = Job(lambda tx: fn(tx, *args, **kwargs), self._event)
        if self._writer is None:
            await checkpoint()
            batch = self._batch([job])
            batch.commit()
            self._settle(batch)
        else:
            self._writer.submit(job)
            await job.settled.wait()
        return job.outcome()

    async def read(self, fn: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn(tx, *args)` on a snapshot, which never changes under it; raises `StoreError`.

        It runs on the event loop where the database says so: keep it to the rows that are needed.
        """
        self._check_open()
        if self._readers is None:
            return self._read(fn, *args, **kwargs)
        return await to_thread.run_sync(partial(self._read, fn, *args, **kwargs), limiter=self._readers)

    def close(self) -> None:
        """Do what is queued and close the database; blocks until it is."""
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        self._database.close()

    def _read(self, fn: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with self._database.reader() as connection:
                try:
                    connection.begin_snapshot()
                    tx = self._transaction(connection, writable=False)
                    try:
                        return fn(tx, *args, **kwargs)
                    finally:
                        tx.end()
                finally:
                    connection.rollback()
        except Exception as error:
            explained = self._database.explain(error)
            if explained is error:
                raise
            raise explained from error

    def _settle(self, batch: Batch) -> None:
        for job in batch.jobs:
            job.settled.set()
        self.bell.ring(batch.dirty)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("The store has been closed.")


def parse_url(url: str) -> sa.URL:
    """Read the URL of a database; raises `StoreError` for one that is not of SQLite or PostgreSQL."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError(f"{url!r} is no URL. {_EXAMPLES}") from error
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(f"{parsed.get_backend_name()} is not supported. {_EXAMPLES}")
    return parsed


def is_in_memory(url: sa.URL) -> bool:
    """Say whether the database is gone when it is closed."""
    return url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}
