"""The store: the only way to the database, and so the only place where state changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import sqlalchemy as sa
from anyio import to_thread
from anyio.lowlevel import checkpoint

from wherry.store.bell import Bell
from wherry.store.commit import Job, commit
from wherry.store.database import Database
from wherry.store.errors import StoreError
from wherry.store.schema import Key
from wherry.store.sqlite import open_sqlite
from wherry.store.statements import Statements
from wherry.store.tables import SCHEMA
from wherry.store.tx import Tx
from wherry.store.writer import Writer

__all__ = ["Store", "Tx"]

P = ParamSpec("P")
R = TypeVar("R")

_EXAMPLES = "Write sqlite:///PATH or postgresql://USER@HOST/DATABASE."


class Store:
    """An open database. State changes only in `write`, whose function is synchronous and gets nothing but the Tx."""

    def __init__(self, database: Database, *, inline: bool) -> None:
        self.bell = Bell()
        self._database = database
        self._statements = Statements(SCHEMA, database.dialect)
        on_thread = database.read_concurrency and not inline
        self._readers = anyio.CapacityLimiter(database.read_concurrency) if on_thread else None
        self._commit = partial(commit, database=database, statements=self._statements)
        self._writer = None if inline else Writer(self._commit, self._settle)
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, inline: bool = False) -> AsyncIterator[Store]:
        """Open the database at `url`, bring its schema up to date, and close it at the end; raises `StoreError`.

        `sqlite:///path`, `postgresql://...`, or `sqlite://` for one in memory. `inline` does everything on the calling
        task, without a thread: for virtual time, which does not wait for threads. A database in memory always does.
        """
        parsed = _parse(url)
        in_memory = parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}
        on_thread = not (inline or in_memory)
        opening = partial(_opener(parsed), parsed)
        database: Database = await to_thread.run_sync(opening) if on_thread else opening()
        store = cls(database, inline=not on_thread)
        try:
            yield store
        finally:
            if on_thread:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(store._close)
            else:
                store._close()

    async def write(self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn(tx, *args)` as a transaction and return its result once it is durable.

        What `fn` raises comes out here and leaves no trace. A cancelled caller does not take the write back: it happens
        whole, or not at all. Raises `Conflict` and other `StoreError`s.
        """
        self._check_open()
        job: Job[R] = Job(lambda tx: fn(tx, *args, **kwargs))
        if self._writer is None:
            await checkpoint()
            self._settle([job], self._commit([job]))
        else:
            self._writer.submit(job)
            await job.settled.wait()
        return job.outcome()

    async def read(self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn(tx, *args)` on a snapshot, which never changes under it; raises `StoreError`.

        On SQLite it runs on the event loop: keep it to the rows that are needed.
        """
        self._check_open()
        reading = partial(self._read, lambda tx: fn(tx, *args, **kwargs))
        if self._readers is None:
            await checkpoint()
            return reading()
        return await to_thread.run_sync(reading, limiter=self._readers)

    def _read(self, fn: Callable[[Tx], R]) -> R:
        try:
            with self._database.reader() as connection:
                tx = Tx(connection, self._statements, writable=False)
                connection.begin_snapshot()
                try:
                    return fn(tx)
                finally:
                    tx.end()
                    connection.rollback()
        except Exception as error:
            explained = self._database.explain(error)
            if explained is error:
                raise
            raise explained from error

    def _settle(self, jobs: Sequence[Job[Any]], dirty: frozenset[Key]) -> None:
        for job in jobs:
            job.settled.set()
        self.bell.ring(dirty)

    def _close(self) -> None:
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        self._database.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("The store has been closed.")


def _opener(url: sa.URL) -> Callable[[sa.URL], Database]:
    if url.get_backend_name() == "sqlite":
        return open_sqlite
    from wherry.store.postgres import open_postgres  # noqa: PLC0415 - SQLite need not wait for psycopg to load

    return open_postgres


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError(f"{url!r} is no URL. {_EXAMPLES}") from error
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(f"{parsed.get_backend_name()} is not supported. {_EXAMPLES}")
    return parsed
