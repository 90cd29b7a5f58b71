"""What the engine's driver sent and the control plane has not yet taken: one SQLite file.

A commit is not waited for until it is on the disk: it outlives the agent's death, which is what it is for. The power
cut that it may not outlive ends the containers as well, and takes what they and their driver still had in memory.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

from wherry.agent.logs.stream import Event, Stream, batches
from wherry.agent.spec import Struct

VERSION = 1
_SCHEMA = f"""
BEGIN EXCLUSIVE;
CREATE TABLE IF NOT EXISTS stream (token TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL, events BLOB NOT NULL,
    last INTEGER NOT NULL, waits INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS batch_of_stream ON batch (token, waits, id);
PRAGMA user_version = {VERSION};
COMMIT;
"""

REMEMBERED = 2000
"""Milliseconds of each stream's latest events that are kept although the control plane has them: see `gap`."""


class SpoolError(Exception):
    """The spool cannot be used; the text says why."""


class Batch(Struct, frozen=True):
    """Events that were taken together; `events` is the JSON array of them, `last` the time of the latest.

    Times are epoch milliseconds. One of no events asks for the stream to be made.
    """

    id: int
    token: str
    events: bytes
    last: int


class Spool:
    """Batches by stream, in the order in which they were taken. Open it with `Spool.open`; safe for threads."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Take an open connection."""
        self._connection = connection
        self._path = path
        self._lock = threading.RLock()
        self.waiting: dict[str, int] = defaultdict(int)
        """Bytes that wait for the control plane, by the stream's token."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the spool; one that is damaged is put aside. Raises `SpoolError`."""
        try:
            return cls._opened(path)
        except sqlite3.OperationalError as error:
            raise _unusable(path, error) from error
        except sqlite3.DatabaseError:
            path.replace(path.with_suffix(".damaged"))
        except OSError as error:
            raise _unusable(path, error.strerror) from error
        return cls._opened(path)

    @classmethod
    def _opened(cls, path: Path) -> Self:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It holds what containers write; SQLite gives its other files the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            _check_version(version, path)
            connection.executescript(_SCHEMA)
            spool = cls(connection, path)
            sizes = connection.execute("SELECT token, sum(length(events)) FROM batch WHERE waits = 1 GROUP BY token")
            spool.waiting.update(sizes.fetchall())
        except BaseException:
            connection.close()
            raise
        return spool

    def close(self) -> None:
        """Close it; everything has been written already."""
        with self._lock:
            self._connection.close()

    def streams(self) -> list[Stream]:
        """Read all streams."""
        with self._using():
            rows = self._connection.execute("SELECT body FROM stream").fetchall()
        return [msgspec.json.decode(body, type=Stream) for (body,) in rows]

    def save(self, stream: Stream) -> None:
        """Write what is known of a stream."""
        with self._using():
            self._connection.execute(
                "INSERT INTO stream (token, body) VALUES (?, ?) ON CONFLICT (token) DO UPDATE SET body = excluded.body",
                (stream.token, msgspec.json.encode(stream)),
            )

    def forget(self, token: str) -> None:
        """Delete a stream and all that is left of it."""
        with self._lock:
            with self._using():
                self._connection.execute("DELETE FROM batch WHERE token = ?", (token,))
                self._connection.execute("DELETE FROM stream WHERE token = ?", (token,))
                self._connection.execute("PRAGMA incremental_vacuum")
            self.waiting.pop(token, None)

    def ask_for_stream(self, token: str) -> None:
        """Put the making of the stream before whatever will be taken for it."""
        self._append(token, [[]])

    def append(self, token: str, events: Sequence[Event]) -> None:
        """Take events, all or none, cut into batches that PutLogEvents takes."""
        self._append(token, batches(events))

    def _append(self, token: str, cut: Sequence[Sequence[Event]]) -> None:
        rows = [(token, msgspec.json.encode(batch), batch[-1].timestamp if batch else 0) for batch in cut]
        with self._lock:
            with self._using():
                self._connection.executemany("INSERT INTO batch (token, events, last, waits) VALUES (?, ?, ?, 1)", rows)
            self.waiting[token] += sum(len(row[1]) for row in rows)

    def next(self, token: str) -> Batch | None:
        """Return the oldest batch that waits."""
        with self._using():
            row = self._connection.execute(
                "SELECT id, token, events, last FROM batch WHERE token = ? AND waits = 1 ORDER BY id LIMIT 1",
                (token,),
            ).fetchone()
        return None if row is None else Batch(id=row[0], token=row[1], events=row[2], last=row[3])

    def done(self, batch: Batch) -> None:
        """Note that a batch waits no more, and delete those before it whose events need not be remembered."""
        with self._lock:
            with self._using():
                self._connection.execute("UPDATE batch SET waits = 0 WHERE id = ?", (batch.id,))
                self._connection.execute(
                    "DELETE FROM batch WHERE token = ? AND waits = 0 AND id < ? AND last < ?",
                    (batch.token, batch.id, batch.last - REMEMBERED),
                )
            self.waiting[batch.token] -= len(batch.events)

    def taken(self, token: str) -> list[Event]:
        """Read all events of a stream that are still here, in the order in which they were taken."""
        with self._using():
            rows = self._connection.execute("SELECT events FROM batch WHERE token = ? ORDER BY id", (token,)).fetchall()
        return [event for (events,) in rows for event in msgspec.json.decode(events, type=list[Event])]

    @contextmanager
    def _using(self) -> Iterator[None]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._connection.execute("COMMIT")
                except BaseException:
                    # Some errors, such as that of a full disk, have rolled it back already.
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise SpoolError(f"{self._path} cannot be used: {error}") from error


def _unusable(path: Path, why: object) -> SpoolError:
    return SpoolError(f"{path} cannot be used: {why}: make it writable, or free some space")


def _check_version(version: int, path: Path) -> None:
    if version > VERSION:
        raise SpoolError(f"{path} was written by a newer Wherry: run that version, or newer")
