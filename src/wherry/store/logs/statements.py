"""The SQL over chunks and counters, which are no entities: written once, compiled for the dialect."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from wherry.store.logs.tables import SCHEMA
from wherry.store.statements import Statements

_COLUMNS = "first_timestamp, last_timestamp, first_sequence, last_sequence, ingestion_time, events, size, data"
_NAMES = _COLUMNS.split(", ")

_SOURCES = """
    SELECT first_timestamp, last_timestamp, log_stream_id, id FROM log_chunks
    WHERE {whose} = :whose AND last_timestamp BETWEEN :start_time AND :latest
    AND first_timestamp BETWEEN :earliest AND :end_time
    ORDER BY {order}
"""

_SQL = {
    "insert": f"""
        INSERT INTO log_chunks (log_group_id, log_stream_id, level, {_COLUMNS})
        VALUES (:log_group_id, :log_stream_id, :level, {", ".join(f":{name}" for name in _NAMES)})
    """,  # noqa: S608 - made of the names above
    "chunk": f"SELECT {_COLUMNS} FROM log_chunks WHERE id = :id",  # noqa: S608 - the same
    "delete": "DELETE FROM log_chunks WHERE id = :id",
    "of_stream": _SOURCES.format(whose="log_stream_id", order="first_timestamp"),
    "of_stream_backward": _SOURCES.format(whose="log_stream_id", order="last_timestamp DESC"),
    "of_group": _SOURCES.format(whose="log_group_id", order="first_timestamp"),
    "of_group_backward": _SOURCES.format(whose="log_group_id", order="last_timestamp DESC"),
    "news": """
        SELECT id, log_stream_id FROM log_chunks
        WHERE log_group_id = :log_group_id AND last_sequence > :sequence ORDER BY last_sequence DESC LIMIT :at_most
    """,
    "levels": """
        SELECT level, count(*) FROM log_chunks WHERE log_stream_id = :log_stream_id AND level < :full GROUP BY level
    """,
    "small": """
        SELECT id FROM log_chunks WHERE log_stream_id = :log_stream_id AND level = :level
        ORDER BY first_timestamp LIMIT :at_most
    """,
    "to_pack": "SELECT log_stream_id FROM log_chunks WHERE level < :full GROUP BY log_stream_id HAVING count(*) > 1",
    "expired": """
        SELECT id, size FROM log_chunks WHERE log_group_id = :whose AND last_timestamp < :before
        ORDER BY last_timestamp LIMIT :at_most
    """,
    "remains_of_group": "SELECT id, size FROM log_chunks WHERE log_group_id = :whose LIMIT :at_most",
    "remains_of_stream": "SELECT id, size FROM log_chunks WHERE log_stream_id = :whose LIMIT :at_most",
    "count": """
        INSERT INTO log_counters (name, value) VALUES (:name, :value)
        ON CONFLICT (name) DO UPDATE SET value = log_counters.value + excluded.value RETURNING value
    """,
    "counter": "SELECT value FROM log_counters WHERE name = :name",
    "forget": "DELETE FROM log_counters WHERE name = :name",
}


class LogStatements:
    """The statements of one dialect: those over entities, and by their names those over everything else."""

    def __init__(self, dialect: sa.Dialect) -> None:
        # PostgreSQL sees to its free room by itself.
        sql = _SQL | {"shrink": "PRAGMA incremental_vacuum(2000)" if dialect.name == "sqlite" else "SELECT 1"}
        self.entities = Statements(SCHEMA, dialect)
        self._compiled = {name: str(sa.text(sql).compile(dialect=dialect)) for name, sql in sql.items()}

    def __getitem__(self, name: str) -> str:
        return self._compiled[name]


def as_row(chunk: Any) -> dict[str, Any]:
    """Lay a chunk out as parameters of `insert`."""
    return dict(zip(_NAMES, chunk, strict=True))
