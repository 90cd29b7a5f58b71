"""What the driver threw away while nobody answered it: found by comparing its events with the engine's own copy. Pure.

The engine keeps each line of a container with its time, whatever becomes of the driver's batches. What is in that copy,
was not taken before, and is older than what the driver sends now, is what was lost. Two threads of the engine read a
container's two outputs, so that lines of one instant may be in another order in the copy: single lines are therefore
counted, not lined up. What stays open is on which side lines fall that are alike, were written in one millisecond, and
have the end of a lost batch between them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from wherry.agent.logs import joining
from wherry.agent.logs.stream import Event, Line, Stream

LAG = 1000
"""Milliseconds within which lines may stand in another order than that of their times."""


def lost(
    lines: Sequence[Line], taken: Sequence[Event], arriving: Sequence[Event] | None, stream: Stream
) -> Iterator[Event]:
    """Find the events that were lost between those `taken` before and those that are `arriving`, in order.

    `taken` are all that were taken since shortly before the first of `lines`. `arriving` None: nothing more will come.
    """
    if stream.joins:
        return joining.events(_between(lines, taken, arriving), stream)
    return _uncounted(lines, taken, arriving, stream)


def fresh(lines: Iterable[Line], taken: Iterable[Event], arriving: Iterable[Event], stream: Stream) -> list[Event]:
    """Leave out of `arriving` what was taken before: the driver sends a batch again whose answer it did not see.

    As many of a kind are left as the engine's copy, `lines`, has more of it than were taken.
    """
    known = Counter(event.key for event in taken)
    more = Counter() if stream.joins else Counter(event.key for event in joining.events(lines, stream)) - known
    return [event for event in arriving if _counts_off(more, event) or not _counts_off(known, event)]


def _uncounted(
    lines: Iterable[Line], taken: Iterable[Event], arriving: Sequence[Event] | None, stream: Stream
) -> Iterator[Event]:
    known = Counter(event.key for event in taken)
    coming = Counter(event.key for event in arriving or ())
    first = min((event.timestamp for event in arriving), default=None) if arriving is not None else None
    spans = arriving is not None and any(event.timestamp != first for event in arriving)
    begun = False
    for event in joining.events(lines, stream):
        if first is not None and event.timestamp > first + LAG:
            return
        if _counts_off(known, event):
            continue
        if _counts_off(coming, event):
            begun = True
        elif first is None or event.timestamp < first or (event.timestamp == first and (spans or not begun)):
            yield event


def _counts_off(counter: Counter[tuple[int, str]], event: Event) -> bool:
    if counter[event.key] == 0:
        return False
    counter[event.key] -= 1
    return True


def _between(lines: Sequence[Line], taken: Iterable[Event], arriving: Sequence[Event] | None) -> Sequence[Line]:
    """Line up events of several lines; the time of one is not always that of its first line."""
    texts = [Event(0, line.text).key[1] for line in lines]
    begin = 0
    for event in taken:
        wanted = _lines_of(event)
        found = _find(texts, wanted, begin)
        begin = begin if found is None else found + len(wanted)
    end = len(lines)
    if arriving:
        found = _find(texts, _lines_of(arriving[0]), begin)
        # What arrives and is not in the copy at all says nothing about what was lost before it.
        end = begin if found is None else found
    return lines[begin:end]


def _lines_of(event: Event) -> list[str]:
    return event.key[1].removesuffix("\n").split("\n")


def _find(texts: Sequence[str], wanted: Sequence[str], begin: int) -> int | None:
    length = len(wanted)
    for start in range(begin, len(texts) - length + 1):
        if texts[start] == wanted[0] and list(texts[start : start + length]) == wanted:
            return start
    return None
