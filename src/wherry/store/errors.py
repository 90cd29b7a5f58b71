"""What can go wrong with the database: one small tree, each error a sentence that says what to do."""

# ruff: noqa: N818 - `Conflict` is the word that reads well at every `except`; its siblings follow it.

from __future__ import annotations


class StoreError(Exception):
    """The database could not do what was asked."""


class Conflict(StoreError):
    """A stale or duplicate write: somebody else was first. Read again and decide again."""


class NewerSchema(StoreError):
    """The database was written by a newer Wherry."""


class CorruptDatabase(StoreError):
    """The database, or one row of it, cannot be read."""


class ReadOnlyDatabase(StoreError):
    """The database may not be written to."""


class DiskFull(StoreError):
    """There is no room for what was to be written."""


class DatabaseLocked(StoreError):
    """Another process holds the database."""


class DatabaseUnavailable(StoreError):
    """The database does not answer, or the connection broke; whether a write under way took place is unknown."""
