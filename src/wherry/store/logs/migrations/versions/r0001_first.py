"""The tables of the first log store."""

import sqlalchemy as sa
from alembic import op

revision = "logs0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create everything."""
    _entities()
    _chunks()
    op.create_table(
        "log_counters",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
    )


def _entities() -> None:
    _entity("log_groups", "log_group_name", sa.Column("id", sa.BigInteger(), nullable=False))
    op.create_index("ux_log_groups_id", "log_groups", ["id"], unique=True)
    _entity(
        "log_streams",
        "key",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("log_group_id", sa.BigInteger(), nullable=False),
        sa.Column("log_stream_name", TEXT, nullable=False),
        sa.Column("last_event", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_log_streams_log_group_id_log_stream_name", "log_streams", ["log_group_id", "log_stream_name"])
    op.create_index("ix_log_streams_log_group_id_last_event", "log_streams", ["log_group_id", "last_event"])
    op.create_index("ux_log_streams_id", "log_streams", ["id"], unique=True)
    _entity(
        "log_queries",
        "query_id",
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
    )
    op.create_index("ix_log_queries_create_time", "log_queries", ["create_time"])
    op.create_index("ix_log_queries_status_create_time", "log_queries", ["status", "create_time"])
    _entity("log_results", "query_id")
    _entity("log_remains", "key")


def _entity(name: str, key: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column(key, TEXT, primary_key=True, nullable=False),
        *columns,
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )


def _chunks() -> None:
    op.create_table(
        "log_chunks",
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
        sqlite_autoincrement=True,
    )
    for name, columns in (
        ("stream_first", ["log_stream_id", "first_timestamp", "last_timestamp"]),
        ("stream_last", ["log_stream_id", "last_timestamp", "first_timestamp"]),
        ("group_first", ["log_group_id", "first_timestamp", "last_timestamp", "log_stream_id"]),
        ("group_last", ["log_group_id", "last_timestamp", "first_timestamp", "log_stream_id"]),
        ("news", ["log_group_id", "last_sequence"]),
        ("small", ["log_stream_id", "level"]),
    ):
        op.create_index(f"ix_log_chunks_{name}", "log_chunks", columns)
