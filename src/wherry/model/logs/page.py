"""Reading events in order: merging chunks lazily, cutting pages, and the tokens that say where the next one begins."""

from __future__ import annotations

import base64
import binascii
import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, NamedTuple, TypeVar

import msgspec

from wherry.model.logs.chunk import Event, Position

PAGE_EVENTS = 10_000
PAGE_BYTES = 1_048_576
ANSWER_BYTES = 70
"""What an event takes in an answer beside its message: a page is a megabyte of answer, not of text."""

LAST = 2**63 - 1
"""Later than any event, as a timestamp and as a sequence number."""


class Span(NamedTuple):
    """A part of the order of events: after `start` and before `end`, both excluded."""

    start: Position = (-1, LAST)
    end: Position = (LAST, 0)

    def __contains__(self, position: object) -> bool:
        """Say whether a position is in it."""
        return isinstance(position, tuple) and self.start < position < self.end


def span_of(start_time: int | None, end_time: int | None) -> Span:
    """Make the span of `start_time` <= timestamp < `end_time`, in epoch milliseconds, of which no database has more."""
    start = -1 if start_time is None else min(start_time, LAST) - 1
    return Span((start, LAST), (LAST if end_time is None else min(end_time, LAST), -1))


Run = tuple[Sequence[Event], int]
"""Events of one stream that follow each other, and the id of the stream."""

C = TypeVar("C")


class Source(NamedTuple, Generic[C]):
    """A chunk that has not been read yet: the times of its first and last event, its stream, and what to read it by."""

    first_timestamp: int
    last_timestamp: int
    log_stream_id: int
    chunk: C


Enough = Callable[[Position], bool]
"""Says whether to stop at a position."""


class Merge(Generic[C]):
    """The events of many chunks in order, or backwards. A chunk is read only when its turn has come.

    The chunks must come by their first timestamps, or backwards by their last ones. When `enough`, which is told behind
    which position to go on, says so, no other chunk is read: iteration ends, and `stopped_at` tells that position.
    """

    def __init__(
        self,
        sources: Iterable[Source[C]],
        read: Callable[[C], list[Event]],
        *,
        backward: bool = False,
        enough: Enough = lambda _: False,
    ) -> None:
        self.stopped_at: Position | None = None
        self._sources = sources
        self._read = read
        self._backward = backward
        self._enough = enough

    def __iter__(self) -> Iterator[Run]:
        sign = -1 if self._backward else 1
        opened: list[_Opened] = []
        for source in self._sources:
            bound = sign * (source.last_timestamp if self._backward else source.first_timestamp)
            yield from _before(opened, bound)
            # Whatever comes before the bound has been yielded, and nothing else: go on from there.
            here = (source.last_timestamp + 1, -1) if self._backward else (bound - 1, LAST)
            if self._enough(here):
                self.stopped_at = here
                return
            events = self._read(source.chunk)
            if events:
                heapq.heappush(opened, _Opened(events[::sign], source.log_stream_id, sign))
        yield from _before(opened, None)


class _Opened:
    """A chunk that is being read: its events in the order of reading, and which is next."""

    __slots__ = ("_sign", "events", "key", "log_stream_id", "next")

    def __init__(self, events: list[Event], log_stream_id: int, sign: int) -> None:
        self.events = events
        self.log_stream_id = log_stream_id
        self._sign = sign
        self.move(0)

    def move(self, to: int) -> bool:
        """Go to an event, and say whether there is one."""
        self.next = to
        if to < len(self.events):
            event = self.events[to]
            self.key = (self._sign * event.timestamp, self._sign * event.sequence)
        return to < len(self.events)

    def until(self, bound: int | None) -> int:
        """Find the first event that is not before the bound."""
        if bound is None:
            return len(self.events)
        return bisect_left(self.events, bound, lo=self.next, key=lambda event: self._sign * event.timestamp)

    def __lt__(self, other: _Opened) -> bool:
        return self.key < other.key


def _before(opened: list[_Opened], bound: int | None) -> Iterator[Run]:
    """Take the events whose signed time is before the bound, out of all opened chunks in order."""
    while opened and (bound is None or opened[0].key[0] < bound):
        first = opened[0]
        end = first.until(bound) if len(opened) == 1 else first.next + 1
        yield first.events[first.next : end], first.log_stream_id
        if first.move(end):
            heapq.heapreplace(opened, first)
        else:
            heapq.heappop(opened)


class Page(NamedTuple):
    """Some events in the order in which they were read, and the position behind which there may be more."""

    runs: list[Run]
    more_after: Position | None

    @property
    def events(self) -> list[Event]:
        """The events without their streams."""
        return [event for run, _ in self.runs for event in run]


def cut(merge: Merge[C], *, limit: int = PAGE_EVENTS) -> Page:
    """Take as many events as a page holds: `limit`, and 1 MiB; one event at least if there is any."""
    taken: list[Run] = []
    count, size = 0, 0
    for events, log_stream_id in merge:
        sizes = list(accumulate(map(_size, events)))
        fitting = min(bisect_right(sizes, PAGE_BYTES - size), limit - count)
        if fitting == 0 and count == 0:
            fitting = 1
        if fitting:
            taken.append((events[:fitting], log_stream_id))
            count += fitting
            size += sizes[fitting - 1]
        if fitting < len(events):
            return Page(taken, taken[-1][0][-1].position)
    return Page(taken, merge.stopped_at)


def _size(event: Event) -> int:
    message = event.message
    return ANSWER_BYTES + (len(message) if message.isascii() else len(message.encode()))


class Token(msgspec.Struct, frozen=True):
    """Where a page begins: behind `position`, in the `direction` "f" (forward) or "b" (backward)."""

    direction: str
    position: Position

    def __str__(self) -> str:
        """Write it as callers see it."""
        text = base64.urlsafe_b64encode(msgspec.json.encode(self.position)).decode().rstrip("=")
        return f"{self.direction}/{text}"


def read_token(text: str) -> Token:
    """Read a token; raises `ValueError` if it is none of ours."""
    direction, _, rest = text.partition("/")
    if direction not in {"f", "b"}:
        raise ValueError(text)
    try:
        raw = base64.b64decode(rest + "=" * (-len(rest) % 4), altchars=b"-_", validate=True)
        return Token(direction, msgspec.json.decode(raw, type=Position))
    except (msgspec.MsgspecError, binascii.Error) as error:
        raise ValueError(text) from error


def event_id(event: Event) -> str:
    """Make the id of an event: 56 digits, as AWS's, that are never given twice."""
    return str((event.timestamp << 64) + event.sequence).zfill(56)
