"""The agent's own memory on disk: SQLite, written before anything is done.

A write is one durable commit, made on the event loop: it costs a fraction of a millisecond to a few, and there are
about ten in the life of a task. The file is locked for one agent at a time; the lock ends with the process.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

from wherry.agent.memory import Assignment

VERSION = 1
_SCHEMA = f"""
BEGIN EXCLUSIVE;
CREATE TABLE IF NOT EXISTS assignment (task_arn TEXT PRIMARY KEY, body BLOB NOT NULL, finished_at REAL) STRICT;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
PRAGMA user_version = {VERSION};
COMMIT;
"""


class JournalError(Exception):
    """The journal cannot be used; the text says why and what to do."""


class Journal:
    """What this host was asked to run, what is known of it, and who it is. Open it with `Journal.open`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Take an open, locked connection."""
        self._connection = connection
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the journal; raises `JournalError`."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # It holds what tasks have in their environment; SQLite gives its other files the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{path} cannot be opened: {error}.") from error
        journal = cls(connection, path)
        try:
            with journal._explained():
                journal._prepare()
        except JournalError:
            connection.close()
            raise
        return journal

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise JournalError(
                f"{self._path} was written by a newer Wherry (format {version}, this one knows {VERSION}): "
                "run that version, or newer."
            )
        self._connection.executescript(_SCHEMA)
        (verdict,) = self._connection.execute("PRAGMA quick_check").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
                raise JournalError(f"{self._path} is in use by another agent: stop that one first.") from error
            raise JournalError(f"{self._path} cannot be used: {error}.") from error
        except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
            raise JournalError(
                f"{self._path} is damaged ({error}): move it away and start again; "
                "this host then joins as a new one, what runs here is stopped, and services replace it."
            ) from error

    def close(self) -> None:
        """Close it; everything has been written already."""
        self._connection.close()

    def assignments(self) -> list[Assignment]:
        """Read all assignments, finished ones too; raises `JournalError` if one cannot be read."""
        with self._explained():
            rows = self._connection.execute("SELECT body FROM assignment ORDER BY task_arn").fetchall()
            return [msgspec.json.decode(body, type=Assignment) for (body,) in rows]

    def save(self, assignments: Iterable[Assignment]) -> None:
        """Write assignments durably, all or none."""
        rows = [(one.arn, msgspec.json.encode(one), one.finished_at) for one in assignments]
        if not rows:
            return
        with self._explained(), self._transaction():
            self._connection.executemany(
                "INSERT INTO assignment (task_arn, body, finished_at) VALUES (?, ?, ?) "
                "ON CONFLICT (task_arn) DO UPDATE SET body = excluded.body, finished_at = excluded.finished_at",
                rows,
            )

    def forget_finished(self, *, before: float) -> None:
        """Delete assignments that were finished before an instant (epoch seconds)."""
        with self._explained():
            self._connection.execute("DELETE FROM assignment WHERE finished_at < ?", (before,))

    @property
    def instance_arn(self) -> str | None:
        """The container instance that this host is registered as."""
        return self._fact("instance_arn")

    def set_instance(self, arn: str) -> None:
        """Remember the registration; one that is new begins to count manifests anew."""
        if arn == self.instance_arn:
            return
        with self._explained(), self._transaction():
            self._put("instance_arn", arn)
            self._put("timeline", "0")

    @property
    def timeline(self) -> int:
        """The highest timeline of any manifest that was taken."""
        return int(self._fact("timeline") or 0)

    def set_timeline(self, timeline: int) -> None:
        """Remember that a manifest was taken."""
        with self._explained(), self._transaction():
            self._put("timeline", str(timeline))

    def _fact(self, name: str) -> str | None:
        with self._explained():
            row = self._connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def _put(self, name: str, value: str) -> None:
        self._connection.execute(
            "INSERT INTO fact (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
