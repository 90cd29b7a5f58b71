"""Chunks give back what was packed, in order, however often they are packed again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.logs import chunk as chunks
from wherry.model.logs.chunk import EVENT_BYTES, FULL_EVENTS, MAX_SPAN_MS, Event, pack, renumbered, repack, unpack

EVENTS = st.lists(
    st.builds(
        Event,
        timestamp=st.integers(0, 2**42),
        sequence=st.integers(0, 2**40),
        ingestion_time=st.integers(0, 2**42),
        message=st.text(st.characters(exclude_categories=("Cs",)), min_size=1),
    ),
    min_size=1,
    max_size=50,
    unique_by=lambda event: event.sequence,
)


@given(EVENTS)
def test_what_is_packed_comes_out_in_order(events: list[Event]) -> None:
    packed = pack(events)
    assert unpack(packed) == sorted(events)
    assert packed.first_timestamp == min(event.timestamp for event in events)
    assert packed.last_timestamp == max(event.timestamp for event in events)
    assert packed.size == sum(len(event.message.encode()) + EVENT_BYTES for event in events)


@given(EVENTS, st.integers(1, 7))
def test_packing_again_changes_nothing_but_the_number_of_chunks(events: list[Event], size: int) -> None:
    small = [pack(events[start : start + size]) for start in range(0, len(events), size)]
    again = repack(small)
    assert sorted(event for one in again for event in unpack(one)) == sorted(events)
    assert all(one.last_timestamp - one.first_timestamp <= MAX_SPAN_MS for one in again)


def test_events_are_numbered_when_their_place_is_known() -> None:
    packed = pack([Event(5, n, 7, str(n)) for n in range(3)])
    assert [event.sequence for event in unpack(renumbered(packed, 100))] == [100, 101, 102]


def test_a_chunk_without_the_text_that_is_looked_for_is_not_read() -> None:
    packed = pack([Event(1, 0, 1, "grün"), Event(2, 1, 1, "blau")])
    assert unpack(packed, ["grün".encode()]) == unpack(packed)
    assert unpack(packed, [b"rot"]) == []


@pytest.mark.parametrize(("count", "length"), [(3 * FULL_EVENTS + 5, 1), (40, 50_000)])
def test_full_chunks_are_packed_from_small_ones(count: int, length: int) -> None:
    small = [pack([Event(n, n, 0, "x" * length)]) for n in range(count)]
    again = repack(small)
    assert all(map(chunks.is_good, again[:-1]))
    assert all(one.events <= FULL_EVENTS for one in again)
    assert all(one.size <= chunks.FULL_BYTES + length + EVENT_BYTES for one in again)
