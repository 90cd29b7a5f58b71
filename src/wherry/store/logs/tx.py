"""A transaction of the log database: entities as in any other, and chunks of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import structs

from wherry.model.logs import chunk as chunks
from wherry.model.logs.chunk import Chunk
from wherry.model.logs.nouns import LogGroup, LogStream
from wherry.model.logs.page import LAST, Source, Span
from wherry.store.database import Connection
from wherry.store.errors import Conflict
from wherry.store.logs.statements import LogStatements, as_row
from wherry.store.tx import Tx

FULL = 9
"""The level of a chunk that is not packed again."""

_EVENTS, _IDS = "events", "ids"


class LogTx(Tx):
    """One transaction, alive only while its function runs."""

    __slots__ = ("_sql",)

    def __init__(self, connection: Connection, statements: LogStatements, *, writable: bool) -> None:
        super().__init__(connection, statements.entities, writable=writable)
        self._sql = statements

    def new_id(self) -> int:
        """Give out an id for a group or a stream, which is never given again."""
        return self._count(_IDS, 1)

    def append(self, stream: LogStream, chunk: Chunk) -> LogStream:
        """Add a chunk, whose sequence numbers count from 0, as what came in last; return the stream as it is now."""
        last_sequence = self._count(_EVENTS, chunk.events)
        placed = chunks.renumbered(chunk, last_sequence - chunk.events + 1)
        self._insert(stream.log_group_id, stream.id, placed, level=FULL if chunks.is_good(chunk) else 0)
        self._count(_stored(stream.log_group_id), chunk.size)
        self.ring(("log-stream", str(stream.id)), ("log-news", str(stream.log_group_id)))
        first, last = stream.first_event_timestamp, stream.last_event_timestamp
        return self.put(
            structs.replace(
                stream,
                first_event_timestamp=chunk.first_timestamp if first is None else min(first, chunk.first_timestamp),
                last_event_timestamp=chunk.last_timestamp if last is None else max(last, chunk.last_timestamp),
                last_ingestion_time=chunk.ingestion_time,
            )
        )

    def sources_of_stream(self, log_stream_id: int, span: Span, *, backward: bool) -> Iterator[Source[int]]:
        """Find the chunks of a stream that may have events of the span, in the order that `Merge` needs."""
        return self._sources("of_stream", log_stream_id, span, backward=backward)

    def sources_of_group(
        self, log_group_id: int, span: Span, *, wanted: Callable[[int], bool], backward: bool = False
    ) -> Iterator[Source[int]]:
        """Find the chunks of those streams of a group whose ids are `wanted` that may have events of the span."""
        found = self._sources("of_group", log_group_id, span, backward=backward)
        return (source for source in found if wanted(source.log_stream_id))

    def chunk(self, id_: int) -> Chunk | None:
        """Read a chunk."""
        row = self._execute(self._sql["chunk"], {"id": id_}).fetchone()
        return None if row is None else Chunk._make(row)

    def last_sequence(self) -> int:
        """Tell the sequence number of the event that came in last."""
        return self._counter(_EVENTS)

    def news(self, log_group_id: int, sequence: int, *, at_most: int) -> list[tuple[int, Chunk]]:
        """Read the latest chunks of a group with events after `sequence`, each behind the id of its stream."""
        where = {"log_group_id": log_group_id, "sequence": sequence, "at_most": at_most}
        rows = self._execute(self._sql["news"], where).fetchall()
        found = ((log_stream_id, self.chunk(id_)) for id_, log_stream_id in rows)
        return [(log_stream_id, chunk) for log_stream_id, chunk in found if chunk is not None]

    def small_chunks(self, log_stream_id: int, *, at_least: int, at_most: int) -> tuple[int, list[int]]:
        """Find chunks that were packed equally often and are at least so many: their level and ids, by time."""
        where = {"log_stream_id": log_stream_id}
        levels = self._execute(self._sql["levels"], {**where, "full": FULL}).fetchall()
        crowded = [int(level) for level, number in levels if number >= at_least]
        if not crowded:
            return 0, []
        level = min(crowded)
        rows = self._execute(self._sql["small"], {**where, "level": level, "at_most": at_most}).fetchall()
        return level, [id_ for (id_,) in rows]

    def replace(self, stream: LogStream, ids: Sequence[int], packed: Sequence[Chunk], *, level: int) -> None:
        """Put chunks with the same events in the place of others; raises `Conflict` if one of these is gone."""
        for id_ in ids:
            self._delete(id_)
        for chunk in packed:
            self._insert(stream.log_group_id, stream.id, chunk, level=FULL if chunks.is_good(chunk) else level)

    def expire(self, group: LogGroup, before: int, *, at_most: int) -> int:
        """Remove chunks whose events are all earlier than `before` (milliseconds), and tell how many there were."""
        return self._remove(group.id, "expired", whose=group.id, before=before, at_most=at_most)

    def clear_stream(self, log_group_id: int, log_stream_id: int, *, at_most: int) -> int:
        """Remove chunks of a stream that was deleted, and tell how many there were."""
        return self._remove(log_group_id, "remains_of_stream", whose=log_stream_id, at_most=at_most)

    def clear_group(self, log_group_id: int, *, at_most: int) -> int:
        """Remove chunks of a group that was deleted, and tell how many there were; none: nothing is left of it."""
        removed = self._remove(log_group_id, "remains_of_group", whose=log_group_id, at_most=at_most)
        if removed == 0:
            self._execute(self._sql["forget"], {"name": _stored(log_group_id)})
        return removed

    def streams_to_pack(self) -> list[int]:
        """Find the ids of the streams that have chunks which may be packed together."""
        return [id_ for (id_,) in self._execute(self._sql["to_pack"], {"full": FULL}).fetchall()]

    def shrink(self) -> None:
        """Give some of the room that is free in the database's file back to the disk."""
        self._execute(self._sql["shrink"]).fetchall()

    def stored_bytes(self, log_group_id: int) -> int:
        """Tell how large a group's events are, as AWS counts: messages in UTF-8 and 26 bytes each."""
        return self._counter(_stored(log_group_id))

    def _sources(self, name: str, whose: int, span: Span, *, backward: bool) -> Iterator[Source[int]]:
        start, end = span.start[0], span.end[0]
        values = {
            "whose": whose,
            "start_time": start,
            "end_time": end,
            # No chunk spans more than a day, so that an index need not be read from its beginning.
            "earliest": start - chunks.MAX_SPAN_MS,
            "latest": min(end, LAST - chunks.MAX_SPAN_MS) + chunks.MAX_SPAN_MS,
        }
        cursor = self._execute(self._sql[name + "_backward" if backward else name], values)
        while (row := cursor.fetchone()) is not None:
            yield Source(*row)

    def _insert(self, log_group_id: int, log_stream_id: int, chunk: Chunk, *, level: int) -> None:
        self._check_writable()
        place = {"log_group_id": log_group_id, "log_stream_id": log_stream_id, "level": level}
        self._execute(self._sql["insert"], place | as_row(chunk))

    def _remove(self, log_group_id: int, name: str, **values: Any) -> int:
        rows = self._execute(self._sql[name], values).fetchall()
        for id_, _ in rows:
            self._delete(id_)
        if rows:
            self.shrink()
            self._count(_stored(log_group_id), -sum(size for _, size in rows))
        return len(rows)

    def _delete(self, id_: int) -> None:
        self._check_writable()
        if self._execute(self._sql["delete"], {"id": id_}).rowcount != 1:
            raise Conflict(f"The chunk {id_} is gone.")

    def _count(self, name: str, value: int) -> int:
        self._check_writable()
        row = self._execute(self._sql["count"], {"name": name, "value": value}).fetchone()
        return 0 if row is None else int(row[0])

    def _counter(self, name: str) -> int:
        row = self._execute(self._sql["counter"], {"name": name}).fetchone()
        return 0 if row is None else int(row[0])


def _stored(log_group_id: int) -> str:
    return f"stored/{log_group_id}"
