"""The log store: a database beside the state, read and written by the same rules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
import sqlalchemy as sa
from anyio import to_thread

from wherry.store.database import Database
from wherry.store.logs.statements import LogStatements
from wherry.store.logs.tables import HISTORY
from wherry.store.logs.tx import LogTx
from wherry.store.sqlite import open_sqlite
from wherry.store.transactions import Transactions, is_in_memory, parse_url

READERS = 4
"""So many reads at once on SQLite: they take long, and so are not done on the event loop."""


class LogStore(Transactions[LogTx]):
    """An open log database. Unlike those of the state, its reads never run on the event loop."""

    def __init__(self, database: Database, *, inline: bool) -> None:
        statements = LogStatements(database.dialect)
        super().__init__(database, partial(LogTx, statements=statements), inline=inline)
        self.inline = inline
        """Whether everything is done on the calling task, without a thread."""

    @classmethod
    def in_memory(cls) -> LogStore:
        """Make an empty one that does everything on the calling task and is gone with the process."""
        return cls(open_sqlite(sa.make_url("sqlite://"), HISTORY), inline=True)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, inline: bool = False) -> AsyncIterator[LogStore]:
        """Open the log database at `url`, bring its schema up to date, and close it at the end; raises `StoreError`.

        `sqlite:///path`, `postgresql://...`, or `sqlite://` for one in memory. `inline` does everything on the calling
        task, without a thread: for virtual time, which does not wait for threads. A database in memory always does.
        """
        parsed = parse_url(url)
        on_thread = not (inline or is_in_memory(parsed))
        opening = partial(_opener(parsed), parsed, HISTORY)
        database: Database = await to_thread.run_sync(opening) if on_thread else opening()
        store = cls(database, inline=not on_thread)
        try:
            yield store
        finally:
            if on_thread:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(store.close)
            else:
                store.close()


def _opener(url: sa.URL) -> Callable[..., Database]:
    if url.get_backend_name() == "sqlite":
        return partial(open_sqlite, read_concurrency=READERS, shrinks=True)
    from wherry.store.postgres import open_postgres  # noqa: PLC0415 - SQLite need not wait for psycopg to load

    return open_postgres
