"""What the log database holds: groups, streams and queries as entities, and the chunks of events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from wherry.model.logs.nouns import LogGroup, LogQuery, LogResults, LogStream, Remains
from wherry.store.history import History
from wherry.store.schema import Schema, Table, integer, text

TABLES: tuple[Table[Any], ...] = (
    Table(
        name="log_groups",
        type=LogGroup,
        key="log_group_name",
        columns=(integer("id"),),
        unique=(("id",),),
        marks=lambda group: [("log-group", str(group.id))],
    ),
    Table(
        name="log_streams",
        type=LogStream,
        key="key",
        columns=(integer("id"), integer("log_group_id"), text("log_stream_name"), integer("last_event")),
        indexes=(("log_group_id", "log_stream_name"), ("log_group_id", "last_event")),
        unique=(("id",),),
    ),
    Table(
        name="log_queries",
        type=LogQuery,
        key="query_id",
        columns=(integer("create_time"), text("status")),
        indexes=(("create_time",), ("status", "create_time")),
        marks=lambda query: [("log-query", query.query_id)],
    ),
    Table(name="log_results", type=LogResults, key="query_id"),
    Table(name="log_remains", type=Remains, key="key", marks=lambda remains: [("log-remains", remains.key)]),
)

SCHEMA = Schema(TABLES)

CHUNKS = sa.Table(
    "log_chunks",
    SCHEMA.metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("log_group_id", sa.BigInteger(), nullable=False),
    sa.Column("log_stream_id", sa.BigInteger(), nullable=False),
    sa.Column("level", sa.SmallInteger(), nullable=False),
    *(
        sa.Column(name, sa.BigInteger(), nullable=False)
        for name in ("first_timestamp", "last_timestamp", "first_sequence", "last_sequence", "ingestion_time")
    ),
    sa.Column("events", sa.Integer(), nullable=False),
    sa.Column("size", sa.BigInteger(), nullable=False),
    sa.Column("data", sa.LargeBinary(), nullable=False),
    sa.Index("ix_log_chunks_stream_first", "log_stream_id", "first_timestamp", "last_timestamp"),
    sa.Index("ix_log_chunks_stream_last", "log_stream_id", "last_timestamp", "first_timestamp"),
    sa.Index("ix_log_chunks_group_first", "log_group_id", "first_timestamp", "last_timestamp", "log_stream_id"),
    sa.Index("ix_log_chunks_group_last", "log_group_id", "last_timestamp", "first_timestamp", "log_stream_id"),
    sa.Index("ix_log_chunks_news", "log_group_id", "last_sequence"),
    sa.Index("ix_log_chunks_small", "log_stream_id", "level"),
    sqlite_autoincrement=True,
)
"""Packed events (`wherry.model.logs.chunk`). Ids are never given twice; `level` says how often one was packed again."""

COUNTERS = sa.Table(
    "log_counters",
    SCHEMA.metadata,
    sa.Column("name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True),
    sa.Column("value", sa.BigInteger(), nullable=False),
)
"""The numbers given out last: of events, and of groups and streams."""

HISTORY = History(
    Path(__file__).parent / "migrations",
    head="logs0001",
    metadata=SCHEMA.metadata,
    version_table="log_schema_version",
    writer_lock=0x7768657272790002,  # "wherry" in ASCII and a two
)
