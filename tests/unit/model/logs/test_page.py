"""Pages show every event once, in order, in both directions, whatever chunks they lie in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.logs.chunk import Event, Position
from wherry.model.logs.page import LAST, PAGE_BYTES, Merge, Page, Source, Span, Token, cut, read_token, span_of

# A chunk is a list of times; the sequence numbers are given in the order of writing.
CHUNKS = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8), max_size=8)


def written(times: list[list[int]]) -> list[list[Event]]:
    number = iter(range(10_000))
    return [sorted(Event(time, next(number), 0, "m") for time in chunk) for chunk in times]


def read_page(chunks: list[list[Event]], span: Span, *, backward: bool, limit: int, reads: int = 10_000) -> Page:
    sources = [Source(one[0].timestamp, one[-1].timestamp, 1, one) for one in chunks]
    sources.sort(key=(lambda one: -one.last_timestamp) if backward else (lambda one: one.first_timestamp))
    done: list[int] = []

    def read(chunk: list[Event]) -> list[Event]:
        done.append(1)
        return [event for event in chunk if event.position in span]

    def enough(position: Position) -> bool:
        return len(done) >= reads and position in span

    return cut(Merge(sources, read, backward=backward, enough=enough), limit=limit)


@given(CHUNKS, st.integers(1, 7), st.booleans(), st.integers(1, 3))
def test_pages_in_a_row_show_every_event_once_and_in_order(
    times: list[list[int]], limit: int, backward: bool, reads: int
) -> None:
    chunks = written(times)
    shown: list[Event] = []
    span = Span()
    for _ in range(1000):
        page = read_page(chunks, span, backward=backward, limit=limit, reads=reads)
        shown += page.events
        if page.more_after is None:
            break
        span = span._replace(end=page.more_after) if backward else span._replace(start=page.more_after)
        # A chunk that cannot have anything of the span is not offered again, as the database does not.
        chunks = [one for one in chunks if any(event.position in span for event in one)]
    assert shown == sorted((event for chunk in written(times) for event in chunk), reverse=backward)


@given(CHUNKS, st.integers(0, 30), st.integers(0, 31))
def test_a_span_has_the_events_from_its_start_to_before_its_end(times: list[list[int]], start: int, end: int) -> None:
    chunks = written(times)
    page = read_page(chunks, span_of(start, end), backward=False, limit=10_000)
    expected = sorted(event for chunk in chunks for event in chunk if start <= event.timestamp < end)
    assert page.events == expected


def test_a_page_holds_a_mebibyte_and_one_event_at_least() -> None:
    big = [Event(n, n, 0, "x" * (PAGE_BYTES // 2 - 100)) for n in range(3)]
    assert len(read_page([big], Span(), backward=False, limit=10).events) == 2
    huge = [Event(0, 0, 0, "x" * (PAGE_BYTES + 1)), Event(1, 1, 0, "y")]
    assert len(read_page([huge], Span(), backward=False, limit=10).events) == 1


@given(st.sampled_from("fb"), st.integers(-1, LAST), st.integers(-1, LAST))
def test_a_token_is_read_as_it_was_written(direction: str, timestamp: int, sequence: int) -> None:
    token = Token(direction, (timestamp, sequence))
    assert str(token).startswith(f"{direction}/")
    assert read_token(str(token)) == token


@given(st.text())
def test_no_other_text_is_a_token(text: str) -> None:
    try:
        assert str(read_token(text)).startswith(text[:2])
    except ValueError:
        return


@pytest.mark.parametrize("text", ["", "f/", "f/WzFd", "x/WzEsMl0", "f/WzEsMl0=x", "f/bnVsbA", "WzEsMl0"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_token(text)
