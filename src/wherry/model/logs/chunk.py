"""Chunks: the events of one stream, packed together, and the order in which events are read.

Events are ordered by their timestamps, and where these are equal by the order in which they came in: each has a
sequence number of its own that it keeps whatever it is packed with.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, compress
from operator import sub
from typing import Any, NamedTuple

import msgspec

FULL_EVENTS = 4096
FULL_BYTES = 512 * 1024
"""Chunks are packed together to hold so many events, or so many bytes of messages."""

GOOD_EVENTS = FULL_EVENTS // 4
GOOD_BYTES = FULL_BYTES // 4
"""One that holds so much is good as it is."""

MAX_SPAN_MS = 24 * 3600 * 1000
"""No chunk spans more time: AWS limits batches so, and packing keeps to it."""

EVENT_BYTES = 26
"""What AWS counts for an event beside its message in UTF-8."""

_LEVEL = 1  # of zlib: three times as fast as 6, and a tenth larger


Position = tuple[int, int]
"""The place of an event in the order: its timestamp and its sequence number."""


class Event(msgspec.Struct, frozen=True, order=True, gc=False):
    """An event as it is stored; times are epoch milliseconds. Events compare in the order in which they are read.

    A struct that the garbage collector does not look at is made six times as fast as a tuple with names.
    """

    timestamp: int
    sequence: int
    ingestion_time: int
    message: str

    @property
    def position(self) -> Position:
        """Its place in the order."""
        return self.timestamp, self.sequence


class Chunk(NamedTuple):
    """Packed events of one stream. Sequence numbers and ingestion times in `data` are counted from the first ones."""

    first_timestamp: int
    last_timestamp: int
    first_sequence: int
    last_sequence: int
    ingestion_time: int
    events: int
    size: int
    data: bytes


def pack(events: Sequence[Event]) -> Chunk:
    """Pack at least one event, sorted or not; they come out in the order of reading."""
    ordered = sorted(events)
    timestamps, sequences = [event.timestamp for event in ordered], [event.sequence for event in ordered]
    ingestion_times, messages = [event.ingestion_time for event in ordered], [event.message for event in ordered]
    first_sequence, ingestion_time = min(sequences), min(ingestion_times)
    body = (
        _differences(timestamps),
        [sequence - first_sequence for sequence in sequences],
        [time - ingestion_time for time in ingestion_times],
        messages,
    )
    encoded = _encode(body)
    return Chunk(
        first_timestamp=timestamps[0],
        last_timestamp=timestamps[-1],
        first_sequence=first_sequence,
        last_sequence=max(sequences),
        ingestion_time=ingestion_time,
        events=len(ordered),
        size=len("".join(messages).encode()) + EVENT_BYTES * len(ordered),
        data=zlib.compress(encoded, _LEVEL),
    )


def renumbered(chunk: Chunk, first_sequence: int) -> Chunk:
    """Give the events of a chunk their sequence numbers, which follow each other from `first_sequence`."""
    last = first_sequence + chunk.last_sequence - chunk.first_sequence
    return chunk._replace(first_sequence=first_sequence, last_sequence=last)


def unpack(chunk: Chunk, needles: Iterable[bytes] = (), matches: Callable[[str], bool] | None = None) -> list[Event]:
    """Read the events of a chunk whose messages match, in order.

    None if a needle is nowhere in the chunk, which is found out much faster.
    """
    body = zlib.decompress(chunk.data)
    if any(needle not in body for needle in needles):
        return []
    differences, sequences, ingestion_times, messages = _decode(body)
    first, time = chunk.first_sequence, chunk.ingestion_time
    columns: list[Iterable[Any]] = [
        accumulate(differences),
        map(first.__add__, sequences),
        map(time.__add__, ingestion_times),
        messages,
    ]
    if matches is not None:
        found = list(map(matches, messages))
        columns = [compress(column, found) for column in columns]
    return list(map(Event, *columns))


def is_good(chunk: Chunk) -> bool:
    """Say whether it is not worth while to pack it again, with others."""
    return chunk.events >= GOOD_EVENTS or chunk.size >= GOOD_BYTES


def repack(chunks: Iterable[Chunk]) -> list[Chunk]:
    """Pack the events of some chunks into as few as are not more than full."""
    events = sorted(event for chunk in chunks for event in unpack(chunk))
    packed: list[Chunk] = []
    start, size = 0, 0
    for end, event in enumerate(events, 1):
        size += len(event.message) + EVENT_BYTES
        is_last = end == len(events) or events[end].timestamp - events[start].timestamp > MAX_SPAN_MS
        if is_last or end - start == FULL_EVENTS or size >= FULL_BYTES:
            packed.append(pack(events[start:end]))
            start, size = end, 0
    return packed


def _differences(numbers: list[int]) -> list[int]:
    return numbers[:1] + list(map(sub, numbers[1:], numbers))


_Body = tuple[list[int], list[int], list[int], list[str]]
_encode: Any = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode
