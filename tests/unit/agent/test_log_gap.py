"""What the driver threw away is found in the engine's copy: every lost line once, and none that was taken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wherry.agent.logs import gap
from wherry.agent.logs.joining import LONGEST_EVENT, begins_event, events, expression
from wherry.agent.logs.stream import MOST_BYTES, MOST_EVENTS, PER_EVENT, Event, Line, Stream, batches

PLAIN = Stream(token="t", task_arn="arn", container="app", group="/g", name="app/app/1")
JOINED = Stream(token="t", task_arn="arn", container="app", group="/g", name="app/app/1", pattern="^BEGIN")
MILLISECOND = 1_000_000


def line(at: int, text: str) -> Line:
    return Line(at=at * MILLISECOND, text=text)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Line], int, int]:
    """Lines, many of them alike and of one instant; how many were taken, and how many lost after those.

    Time moves on where a lost batch ends: lines that are alike on both sides of that could not be told apart.
    """
    steps = draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ab")), max_size=30))
    lines, at = [], 1000
    for step, text in steps:
        at += step
        lines.append(line(at, text))
    taken = draw(st.integers(0, len(lines)))
    moves = [n for n in range(taken, len(lines) + 1) if n in (taken, len(lines)) or lines[n].at > lines[n - 1].at]
    return lines, taken, draw(st.sampled_from(moves)) - taken


@given(histories())
def test_taken_lost_and_arriving_are_together_what_was_written(history: tuple[list[Line], int, int]) -> None:
    lines, taken, lost = history
    written = list(events(lines, PLAIN))
    before, arriving = written[:taken], written[taken + lost :]

    found = list(gap.lost(lines, before, arriving or None, PLAIN))

    assert [event.key for event in found] == [event.key for event in written[taken : taken + lost]]


@given(histories())
def test_a_batch_that_comes_again_is_taken_once(history: tuple[list[Line], int, int]) -> None:
    lines, taken, again = history
    written = list(events(lines, PLAIN))

    fresh = gap.fresh(lines, written[:taken], written[max(0, taken - again) :], PLAIN)

    assert sorted(map(repr, fresh)) == sorted(map(repr, written[taken:]))


def test_lines_of_two_outputs_may_stand_in_another_order_than_that_of_their_times() -> None:
    copy = [line(10, "out 1"), line(12, "out 2"), line(11, "err 1"), line(20, "out 3")]
    taken = [Event(10, "out 1"), Event(12, "out 2")]

    assert list(gap.lost(copy, taken, [Event(20, "out 3")], PLAIN)) == [Event(11, "err 1")]


def test_what_is_no_text_is_recognized_although_the_engine_writes_it_otherwise() -> None:
    copy = [Line(at=10 * MILLISECOND, text=b"\xff\xfe!".decode(errors="replace")), line(11, "lost")]

    assert list(gap.lost(copy, [Event(10, "\ufffd!")], None, PLAIN)) == [Event(11, "lost")]


def test_lost_lines_are_joined_as_the_driver_joins_them() -> None:
    copy = [
        line(at, text) for at, text in enumerate(["BEGIN 1", " a", "BEGIN 2", " b", " c", "BEGIN 3", "BEGIN 4"], 10)
    ]
    taken = [Event(10, "BEGIN 1\n a\n")]

    found = list(gap.lost(copy, taken, [Event(16, "BEGIN 4\n")], JOINED))

    assert found == [Event(12, "BEGIN 2\n b\n c\n"), Event(15, "BEGIN 3\n")]


def test_where_what_arrives_is_not_in_the_copy_nothing_is_guessed() -> None:
    assert list(gap.lost([line(10, "BEGIN 1")], [], [Event(50, "BEGIN 9\n")], JOINED)) == []


def test_a_pattern_that_only_the_engine_reads_begins_an_event_with_every_line() -> None:
    begins = begins_event(Stream(token="t", task_arn="arn", container="app", group="/g", pattern=r"\p{Lu}"))

    assert begins("no capital at all")


def test_a_datetime_format_becomes_a_pattern() -> None:
    stream = Stream(token="t", task_arn="a", container="c", group="/g", datetime_format=r"\[%b %d, %Y %H:%M:%S\]")
    begins = begins_event(stream)

    assert begins("[May 01, 2017 19:00:01] A message was logged")
    assert not begins("Another message was logged")
    assert expression("100%% %Q") == "100% %Q"


def test_a_line_too_long_for_an_event_is_cut_between_characters() -> None:
    text = "ä" * LONGEST_EVENT
    found = list(events([line(10, text)], PLAIN))

    assert "".join(event.message for event in found) == text
    assert all(len(event.message.encode()) <= LONGEST_EVENT for event in found)


def test_an_empty_line_is_no_event_unless_lines_are_joined() -> None:
    assert list(events([line(10, "")], PLAIN)) == []
    assert list(events([line(10, "")], JOINED)) == [Event(10, "\n")]


@given(st.lists(st.sampled_from([1, 1000, 200_000]), max_size=60))
def test_batches_are_such_as_put_log_events_takes(lengths: list[int]) -> None:
    written = [Event(position, "x" * length) for position, length in enumerate(lengths)]
    cut = batches(written)

    assert [event for batch in cut for event in batch] == written
    for batch in cut:
        assert len(batch) <= MOST_EVENTS
        assert sum(len(event.message) + PER_EVENT for event in batch) <= MOST_BYTES


def test_batches_have_no_more_events_and_span_no_longer_than_a_day() -> None:
    many = [Event(1, "x") for _ in range(MOST_EVENTS + 1)]
    days = [Event(day * 24 * 3600 * 1000, "x") for day in range(3)]

    assert [len(batch) for batch in batches(many)] == [MOST_EVENTS, 1]
    assert [len(batch) for batch in batches(days)] == [1, 1, 1]
