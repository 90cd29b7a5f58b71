"""Brings a database up to the schema of this version, at every opening, in one transaction.

An empty database gets what the tables declare; one that lags behind runs the revisions that it lacks, which comes to
the same.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from wherry.store.history import History
from wherry.store.tables import SCHEMA

STATE = History(
    Path(__file__).parent / "migrations",
    head="0005",
    metadata=SCHEMA.metadata,
    version_table="alembic_version",
    writer_lock=0x7768657272790001,  # "wherry" in ASCII and a one
)


def migrate(engine: sa.Engine, history: History = STATE) -> None:
    """Make the tables, or apply the revisions that the database lacks, all or none; raises `NewerSchema`."""
    versions = _versions(history)
    with engine.begin() as connection:
        if not sa.inspect(connection).has_table(versions.name):
            history.metadata.create_all(connection, checkfirst=False)
            versions.create(connection)
            connection.execute(versions.insert().values(version_num=history.head))
        elif connection.scalar(sa.select(versions.c.version_num)) != history.head:
            from wherry.store.upgrade import upgrade  # noqa: PLC0415 - alembic loads as long as all the rest opens

            upgrade(connection, history)


def _versions(history: History) -> sa.Table:
    """Describe the table in which alembic keeps how far a database has come."""
    number = sa.Column("version_num", sa.String(32), nullable=False)
    key = sa.PrimaryKeyConstraint("version_num", name=f"{history.version_table}_pkc")
    return sa.Table(history.version_table, sa.MetaData(), number, key)
