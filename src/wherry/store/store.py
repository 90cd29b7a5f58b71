"""The store: the only way to the database, and so the only place where state changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
import sqlalchemy as sa
from anyio import to_thread

from wherry.store.database import Database
from wherry.store.sqlite import open_sqlite
from wherry.store.statements import Statements
from wherry.store.tables import SCHEMA
from wherry.store.transactions import Transactions, is_in_memory, parse_url
from wherry.store.tx import Tx

__all__ = ["Store", "Tx"]


class Store(Transactions[Tx]):
    """An open database of the state. On SQLite reads run on the event loop: it is the faster place for a few rows."""

    def __init__(self, database: Database, *, inline: bool) -> None:
        statements = Statements(SCHEMA, database.dialect)
        super().__init__(database, partial(Tx, statements=statements), inline=inline)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, inline: bool = False) -> AsyncIterator[Store]:
        """Open the database at `url`, bring its schema up to date, and close it at the end; raises `StoreError`.

        `sqlite:///path`, `postgresql://...`, or `sqlite://` for one in memory. `inline` does everything on the calling
        task, without a thread: for virtual time, which does not wait for threads. A database in memory always does.
        """
        parsed = parse_url(url)
        on_thread = not (inline or is_in_memory(parsed))
        opening = partial(_opener(parsed), parsed)
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


def _opener(url: sa.URL) -> Callable[[sa.URL], Database]:
    if url.get_backend_name() == "sqlite":
        return open_sqlite
    from wherry.store.postgres import open_postgres  # noqa: PLC0415 - SQLite need not wait for psycopg to load

    return open_postgres
