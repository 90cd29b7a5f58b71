"""PostgreSQL: for more than one control-plane process. The same schema and the same rules as SQLite.

Writers of all processes take turns by an advisory lock, so a transaction that re-checks what others have reserved
needs no retry loop: between its reads and its commit nobody else writes. Group commit keeps the turns short.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from sqlalchemy.pool import PoolProxiedConnection

from wherry.store.errors import (
    Conflict,
    CorruptDatabase,
    DatabaseLocked,
    DatabaseUnavailable,
    DiskFull,
    ReadOnlyDatabase,
    StoreError,
)
from wherry.store.history import History
from wherry.store.migrate import STATE, migrate

OLDEST_VERSION = 150000
"""PostgreSQL 15, as the server counts."""

LOCK_SECONDS = 30
"""How long to wait for another process's turn before something must be wrong with it."""

_SETTINGS = f"""
SET lock_timeout = '{LOCK_SECONDS}s';
SET idle_in_transaction_session_timeout = '{2 * LOCK_SECONDS}s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
"""

_MEANING: tuple[tuple[tuple[type[psycopg.Error], ...], type[StoreError], str], ...] = (
    ((psycopg.errors.IntegrityError,), Conflict, "A value that must be unique is taken: {cause}"),
    (
        (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected),
        Conflict,
        "Another program wrote the same rows: {cause}",
    ),
    ((psycopg.errors.DiskFull,), DiskFull, "The disk of {where} is full: nothing was written. Free some space."),
    (
        (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege),
        ReadOnlyDatabase,
        "The database {where} cannot be written ({cause}). Name the primary server and a role that owns the tables.",
    ),
    (
        (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted),
        CorruptDatabase,
        "The database {where} is damaged ({cause}). Restore it from a backup.",
    ),
    (
        (psycopg.errors.LockNotAvailable,),
        DatabaseLocked,
        "Another control plane keeps the database {where} locked. Find it in pg_stat_activity there and stop it.",
    ),
    (
        (psycopg.OperationalError,),
        DatabaseUnavailable,
        "The database {where} does not answer ({cause}). Check that it runs, and the URL.",
    ),
)
"""What errors of PostgreSQL mean to us, the first match counts; any other is a defect of ours."""


class PostgresConnection:
    """A connection in the driver's autocommit mode: every BEGIN is ours."""

    known = None

    def __init__(self, connection: psycopg.Connection[Any], writer_lock: int) -> None:
        self.driver = connection
        self._writer_lock = writer_lock

    def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> psycopg.Cursor[Any]:
        """Run one statement; the driver prepares it on the server when it comes often."""
        return self.driver.execute(sql, values)

    def begin(self, *, wait: bool) -> bool:
        """Begin, and wait for our turn among the writers of all processes: only a thread that may wait does this."""
        if not wait:
            return False
        self.execute(f"BEGIN; SELECT pg_advisory_xact_lock({self._writer_lock})")
        return True

    def begin_snapshot(self) -> None:
        """Begin; the first read fixes the state that is seen."""
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def commit(self) -> None:
        """Commit; the write-ahead log is on the disk when this returns."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        status = self.driver.info.transaction_status
        return not self.driver.closed and status is not TransactionStatus.IDLE


class _Writer(PostgresConnection):
    """The writing connection: replaced when the server was restarted in between."""

    def __init__(self, engine: sa.Engine, writer_lock: int) -> None:
        self._engine = engine
        self._borrowed = engine.raw_connection()
        super().__init__(_driver_of(self._borrowed), writer_lock)

    def begin(self, *, wait: bool) -> bool:
        try:
            return super().begin(wait=wait)
        except psycopg.OperationalError:
            if not self.driver.closed:
                raise
            # Nothing of the transaction has happened yet: a fresh connection may simply try again.
            self._borrowed.invalidate()
            self._borrowed = self._engine.raw_connection()
            self.driver = _driver_of(self._borrowed)
            return super().begin(wait=wait)

    def close(self) -> None:
        self._borrowed.close()


class PostgresDatabase:
    """A pool of connections to one PostgreSQL database."""

    read_concurrency = 8

    def __init__(self, url: sa.URL, history: History) -> None:
        self._url = url
        self._history = history
        self._engine = sa.create_engine(
            url, isolation_level="AUTOCOMMIT", pool_size=self.read_concurrency + 1, max_overflow=0, pool_pre_ping=True
        )
        sa.event.listen(self._engine, "connect", _configure)
        self.dialect: sa.Dialect = self._engine.dialect
        try:
            _migrate(url, history)
            self._writer = _Writer(self._engine, history.writer_lock)
            _check_version(self._writer.driver.info.server_version)
        except BaseException as error:
            self._engine.dispose()
            raise self.explain(error) from error

    def writer(self) -> PostgresConnection:
        """Return the connection that writes."""
        return self._writer

    @contextmanager
    def reader(self) -> Iterator[PostgresConnection]:
        """Lend a connection of the pool."""
        borrowed = self._engine.raw_connection()
        try:
            yield PostgresConnection(_driver_of(borrowed), self._history.writer_lock)
        finally:
            borrowed.close()

    def close(self) -> None:
        """Close all connections."""
        self._writer.close()
        self._engine.dispose()

    def explain(self, error: BaseException) -> BaseException:
        """Turn an error of PostgreSQL into a sentence that says what to do."""
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if not isinstance(cause, psycopg.Error):
            return error
        where = self._url.render_as_string(hide_password=True)
        for meant, kind, sentence in _MEANING:
            if isinstance(cause, meant):
                return kind(sentence.format(where=where, cause=str(cause).strip()))
        return error


def open_postgres(url: sa.URL, history: History = STATE) -> PostgresDatabase:
    """Open `postgresql://user@host/database`, version 15 or later. Raises `StoreError`."""
    return PostgresDatabase(url.set(drivername="postgresql+psycopg"), history)


def _migrate(url: sa.URL, history: History) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    turn = f"SELECT pg_advisory_xact_lock({history.writer_lock})"
    sa.event.listen(engine, "begin", lambda begun: begun.exec_driver_sql(turn))
    migrate(engine, history)


def _check_version(version: int) -> None:
    if version < OLDEST_VERSION:
        raise StoreError(f"PostgreSQL {version // 10000} is too old. Upgrade it to 15 or later.")


def _configure(connection: psycopg.Connection[Any], _: object) -> None:
    connection.execute(_SETTINGS)


def _driver_of(borrowed: PoolProxiedConnection) -> psycopg.Connection[Any]:
    driver = borrowed.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError(f"Expected a connection of psycopg, not {driver!r}.")
    return driver
