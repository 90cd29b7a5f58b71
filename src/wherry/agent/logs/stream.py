"""What is known of a container that logs: where to, and by which token it is known; and the events of a log. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from wherry.agent.spec import Struct

_UNREADABLE = re.compile("\ufffd+")


class Stream(Struct, frozen=True):
    """The log stream of one container. `name` is None until the driver, which then chooses it, has said it.

    `flush` is how many seconds pass between two batches of the driver. `pattern` and `datetime_format` tell which lines
    begin an event, where lines are joined. `over_at` is when the container was done with (epoch seconds).
    """

    token: str
    task_arn: str
    container: str
    group: str
    name: str | None = None
    creates_group: bool = False
    flush: int = 5
    pattern: str | None = None
    datetime_format: str | None = None
    over_at: float | None = None

    @property
    def joins(self) -> bool:
        """Whether an event may have several lines."""
        return self.pattern is not None or self.datetime_format is not None


class Event(msgspec.Struct, frozen=True):
    """A log event as PutLogEvents takes it; `timestamp` in epoch milliseconds."""

    timestamp: int
    message: str

    @property
    def key(self) -> tuple[int, str]:
        """What tells it from others; what is no UTF-8 is written differently by the engine and by us."""
        return self.timestamp, _UNREADABLE.sub("\ufffd", self.message)


class Line(msgspec.Struct, frozen=True):
    """A line of a container as the engine keeps it; `at` in epoch nanoseconds, without its line break."""

    at: int
    text: str

    @property
    def event(self) -> Event:
        """The event that the driver makes of the line alone."""
        return Event(self.at // 1_000_000, self.text)


MOST_EVENTS = 10_000
MOST_BYTES = 1_048_576
"""What PutLogEvents takes at once: events, and bytes, each event counted with `PER_EVENT` more."""
PER_EVENT = 26
LONGEST_SPAN = 24 * 3600 * 1000
"""Milliseconds between the first and the last event of a batch."""
MOST_JSON = 3 * 1_048_576
"""Bytes of a batch on its way, in which some characters take six: below what a control plane takes as a request."""


def batches(events: Sequence[Event]) -> list[Sequence[Event]]:
    """Cut events, which are in order of time, into batches that PutLogEvents takes."""
    if len(events) <= MOST_EVENTS and len(msgspec.json.encode(events)) <= MOST_BYTES and _span(events) < LONGEST_SPAN:
        return [events] if events else []
    cut: list[list[Event]] = []
    size = json = 0
    for event in events:
        more, written = len(event.message.encode(errors="replace")) + PER_EVENT, len(msgspec.json.encode(event)) + 1
        if (
            not cut
            or len(cut[-1]) >= MOST_EVENTS
            or size + more > MOST_BYTES
            or json + written > MOST_JSON
            or event.timestamp - cut[-1][0].timestamp >= LONGEST_SPAN
        ):
            cut.append([])
            size = json = 0
        cut[-1].append(event)
        size += more
        json += written
    return list[Sequence[Event]](cut)


def _span(events: Sequence[Event]) -> int:
    return events[-1].timestamp - events[0].timestamp if events else 0
