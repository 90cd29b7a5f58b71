"""SQLite, embedded: one file in WAL mode, its lock held by one control plane, a connection to write, some to read."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

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

BUSY_SECONDS = 5.0
"""How long to wait for somebody's shell or backup that locks the file."""

_MEANING: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_CONSTRAINT: (Conflict, "A value that must be unique is taken: {cause}."),
    sqlite3.SQLITE_FULL: (DiskFull, "The disk of the database {where} is full: nothing was written. Free some space."),
    sqlite3.SQLITE_READONLY: (
        ReadOnlyDatabase,
        "The database {where} cannot be written ({cause}). Make the file and its directory writable.",
    ),
    sqlite3.SQLITE_CORRUPT: (CorruptDatabase, "The database {where} is damaged ({cause}). Restore it from a backup."),
    sqlite3.SQLITE_NOTADB: (CorruptDatabase, "{where} is no database ({cause}). Restore it, or choose another file."),
    sqlite3.SQLITE_BUSY: (
        DatabaseLocked,
        "Another program keeps the database {where} locked. Close database shells and backups that use it.",
    ),
    sqlite3.SQLITE_CANTOPEN: (DatabaseUnavailable, "The database {where} cannot be opened ({cause}). Check the path."),
    sqlite3.SQLITE_IOERR: (DatabaseUnavailable, "The disk of the database {where} fails ({cause}). Check the disk."),
}
"""What the primary result codes of SQLite mean to us; any other code is a defect of ours."""

CACHE_KIB = 16 * 1024
"""Pages that a connection keeps in memory: as much as ten thousand tasks and their indexes come to."""

MOST_KNOWN = 1000
"""What a connection has read is forgotten when it is more than this, whether or not the state has changed."""

SHARED_MEMORY = 32 * 1024
"""Bytes by which the file of the memory that connections share grows (`-shm`)."""


class SqliteConnection:
    """A connection in the driver's autocommit mode: every BEGIN is ours."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.execute = connection.execute
        self.known: dict[Any, Any] = {}
        self._state: tuple[int] | None = None

    def begin(self, *, wait: bool) -> bool:
        """Begin at once as the writer: a deferred transaction that reads first may find itself unable to write."""
        self.known = {}  # its own commits do not change the number
        self.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000) if wait else 0}")
        try:
            self.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if wait or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    def begin_snapshot(self) -> None:
        """Begin, and fix the state that is seen: it has a number, which any other connection's commit changes."""
        self.execute("BEGIN")
        state = self.execute("PRAGMA data_version").fetchone()
        if state != self._state or len(self.known) > MOST_KNOWN:
            self._state, self.known = state, {}

    def commit(self) -> None:
        """Commit; in WAL mode with synchronous FULL the log is on the disk when this returns."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo."""
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction


class _Loan:
    """A connection that reads, for the length of a block."""

    __slots__ = ("_connection", "_readers")

    def __init__(self, readers: SimpleQueue[SqliteConnection]) -> None:
        self._readers = readers
        self._connection = readers.get()

    def __enter__(self) -> SqliteConnection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._readers.put(self._connection)


class SqliteDatabase:
    """A database file and its lock, or with no `path` a database in memory with one connection for everything."""

    def __init__(self, path: Path | None, history: History, *, read_concurrency: int, shrinks: bool) -> None:
        self.dialect: sa.Dialect = sqlite.dialect(paramstyle="named")
        self.read_concurrency = read_concurrency
        self._path = path
        self._shrinks = shrinks
        self._lock = None if path is None else _lock(path)
        self._connections: list[sqlite3.Connection] = []
        self._readers: SimpleQueue[SqliteConnection] = SimpleQueue()
        try:
            writer = self._connect()
            _migrate(writer, history)
            self._writer = SqliteConnection(writer)
            for _ in range(max(1, read_concurrency)):
                self._readers.put(self._writer if path is None else SqliteConnection(self._connect()))
        except BaseException as error:
            self.close()
            raise self.explain(error) from error

    def writer(self) -> SqliteConnection:
        """Return the connection that writes."""
        return self._writer

    def reader(self) -> _Loan:
        """Lend a connection that reads."""
        return _Loan(self._readers)

    def close(self) -> None:
        """Close the connections, which folds the log into the file, and release the lock."""
        for connection in self._connections:
            connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def explain(self, error: BaseException) -> BaseException:
        """Turn an error of SQLite into a sentence that says what to do."""
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        code = getattr(cause, "sqlite_errorcode", None)
        if not isinstance(cause, sqlite3.Error) or code is None:
            return error
        code &= 0xFF
        if code == sqlite3.SQLITE_IOERR and self._is_out_of_space():
            code = sqlite3.SQLITE_FULL
        kind, sentence = _MEANING.get(code, (None, ""))
        return error if kind is None else kind(sentence.format(where=self._path or "in memory", cause=cause))

    def _is_out_of_space(self) -> bool:
        """Say whether the disk has no room for the memory that connections share, whose lack is an I/O error."""
        if self._path is None:
            return False
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize < SHARED_MEMORY

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path or ":memory:",
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # the writer's thread uses what another opened; never two at once
            cached_statements=512,
        )
        self._connections.append(connection)
        if self._shrinks:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heard only by a file that is empty yet
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode not in {"wal", "memory"}:
            raise StoreError(
                f"The file system of {self._path} cannot share memory (WAL). Choose a directory on a local disk."
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        return connection


def open_sqlite(
    url: sa.URL, history: History = STATE, *, read_concurrency: int = 0, shrinks: bool = False
) -> SqliteDatabase:
    """Open `sqlite:///relative`, `sqlite:////absolute`, or `sqlite://` for a database in memory.

    Raises `StoreError`. The file is made if it is missing, readable to its owner only. Reads run on the event loop,
    or so many at once on threads if there is a `read_concurrency`. A file that `shrinks` can be told to give free room
    back (`PRAGMA incremental_vacuum`).
    """
    if url.query:
        raise StoreError(f"SQLite takes no options: remove {', '.join(url.query)} from the URL.")
    path = Path(url.database).absolute() if url.database not in {None, "", ":memory:"} else None
    return SqliteDatabase(path, history, read_concurrency=read_concurrency, shrinks=shrinks)


def _migrate(connection: sqlite3.Connection, history: History) -> None:
    engine = sa.create_engine("sqlite://", creator=lambda: connection, poolclass=sa.StaticPool)
    sa.event.listen(engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))
    migrate(engine, history)


def _lock(path: Path) -> int:
    """Take the lock of the database for as long as the descriptor is open; the kernel gives it back if we die."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ReadOnlyDatabase(
            f"The database {path} cannot be written ({error.strerror}). Make the file and its directory writable."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 32).decode(errors="replace") or "unknown"
        os.close(descriptor)
        raise DatabaseLocked(
            f"Another control plane (process {holder}) uses the database {path}. Stop it, or choose another database."
        ) from error
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
