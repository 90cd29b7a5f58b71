"""Batches of PutLogEvents: what is refused as a whole, and what is rejected of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.errors import InvalidParameterException
from wherry.model.logs.batch import MAX_BYTES, MAX_EVENTS, TOO_NEW_MS, TOO_OLD_MS, judge
from wherry.model.logs.chunk import EVENT_BYTES, MAX_SPAN_MS

NOW = 1_700_000_000_000
HOUR = 3_600_000


def batch(*times: int, message: str = "m") -> list[dict[str, Any]]:
    return [{"timestamp": time, "message": message} for time in times]


def accepted(events: list[dict[str, Any]], *, expired_before: int = 0) -> tuple[list[int], dict[str, int]]:
    verdict = judge(events, now_ms=NOW, expired_before=expired_before)
    return [event.timestamp for event in verdict.accepted], verdict.rejected


def test_what_is_in_time_is_accepted_with_the_time_that_it_came_in() -> None:
    verdict = judge(batch(NOW - HOUR, NOW, NOW), now_ms=NOW, expired_before=0)
    assert [(e.timestamp, e.sequence, e.ingestion_time) for e in verdict.accepted] == [
        (NOW - HOUR, 0, NOW),
        (NOW, 1, NOW),
        (NOW, 2, NOW),
    ]
    assert verdict.rejected == {}


def test_the_bounds_themselves_are_in_time() -> None:
    assert accepted(batch(NOW - TOO_OLD_MS)) == ([NOW - TOO_OLD_MS], {})
    assert accepted(batch(NOW + TOO_NEW_MS)) == ([NOW + TOO_NEW_MS], {})
    assert accepted(batch(NOW - TOO_OLD_MS - 1)) == ([], {"tooOldLogEventEndIndex": 1})
    assert accepted(batch(NOW + TOO_NEW_MS + 1)) == ([], {"tooNewLogEventStartIndex": 0})


def test_what_has_expired_is_rejected_by_another_name_than_what_is_too_old() -> None:
    events = batch(NOW - TOO_OLD_MS - 1, NOW - 2 * HOUR, NOW)
    assert accepted(events, expired_before=NOW - HOUR) == (
        [NOW],
        {"tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 2},
    )


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (batch(), "length"),
        (batch(*[NOW] * (MAX_EVENTS + 1)), "length"),
        (batch(NOW, NOW - 1), "chronological"),
        (batch(NOW, message=""), "message"),
        (batch(-1), "greater than or equal to 0"),
        (batch(NOW - MAX_SPAN_MS - 1, NOW), "24 hours"),
        (batch(NOW, message="x" * (MAX_BYTES - EVENT_BYTES + 1)), "too large"),
        (batch(NOW, message="ü" * (MAX_BYTES // 2)), "too large"),
    ],
)
def test_a_batch_against_the_rules_is_refused_as_a_whole(events: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(InvalidParameterException, match=says):
        judge(events, now_ms=NOW, expired_before=0)


def test_the_largest_batch_is_accepted() -> None:
    assert accepted(batch(NOW, message="x" * (MAX_BYTES - EVENT_BYTES)))[0] == [NOW]


def test_the_span_counts_from_what_is_accepted() -> None:
    assert accepted(batch(NOW - 20 * 24 * HOUR, NOW)) == ([NOW], {"tooOldLogEventEndIndex": 1})


@given(st.lists(st.integers(NOW - 15 * 24 * HOUR, NOW + 3 * HOUR), min_size=1), st.integers(0, NOW))
def test_every_event_is_accepted_or_rejected_and_none_is_both(times: list[int], expired_before: int) -> None:
    times.sort()
    try:
        kept, rejected = accepted(batch(*times), expired_before=expired_before)
    except InvalidParameterException:
        return
    start = max(rejected.get("tooOldLogEventEndIndex", 0), rejected.get("expiredLogEventEndIndex", 0))
    end = rejected.get("tooNewLogEventStartIndex", len(times))
    assert kept == times[start:end]
    assert all(max(expired_before, NOW - TOO_OLD_MS) <= time <= NOW + TOO_NEW_MS for time in kept)
