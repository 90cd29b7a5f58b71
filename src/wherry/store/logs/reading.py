"""Pages of events out of the log database, for whoever reads them. These run on a thread: they may take long."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator
from time import monotonic

import msgspec

from wherry.model.logs.chunk import Event, Position, unpack
from wherry.model.logs.nouns import LogGroup, LogStream, Remains
from wherry.model.logs.page import Enough, Merge, Page, Source, Span, cut
from wherry.model.logs.pattern import MATCH_ALL, Pattern
from wherry.store.logs.tx import LogTx
from wherry.store.schema import Range

LONGEST_SCAN = 1.0
"""Seconds after which a page is given as it is, however little has been found: the next one goes on from there."""

LAST_CHARACTER = "\U0010ffff"


class Selection(msgspec.Struct, frozen=True):
    """Which streams of a group: those of some names, those whose names begin with a prefix, or all."""

    names: tuple[str, ...] = ()
    prefix: str = ""

    def fits(self, log_stream_name: str) -> bool:
        """Say whether a stream of that name is among them."""
        return log_stream_name in self.names if self.names else log_stream_name.startswith(self.prefix)


EVERYTHING = Selection()


def read_stream(tx: LogTx, stream: LogStream, span: Span, *, backward: bool, limit: int) -> Page:
    """Read a page of a stream's events."""
    sources = tx.sources_of_stream(stream.id, span, backward=backward)
    return cut(Merge(sources, _reader(tx, span), backward=backward), limit=limit)


def filter_group(
    tx: LogTx, group: LogGroup, span: Span, *, of: Selection, pattern: Pattern, backward: bool, limit: int
) -> Page:
    """Read a page of the events of a group that match a pattern."""
    enough = patience(span, LONGEST_SCAN)
    return cut(events_of_group(tx, group, span, of=of, pattern=pattern, backward=backward, enough=enough), limit=limit)


def events_of_group(
    tx: LogTx,
    group: LogGroup,
    span: Span,
    *,
    of: Selection,
    backward: bool,
    enough: Enough,
    pattern: Pattern | None = None,
) -> Merge[int]:
    """Read the events of a group, until there are `enough`."""
    sources = tx.sources_of_group(group.id, span, wanted=wanted(tx, group, of), backward=backward)
    return Merge(sources, _reader(tx, span, pattern), backward=backward, enough=enough)


def events_of_groups(tx: LogTx, spans: Iterable[tuple[LogGroup, Span]], *, enough: Enough) -> Merge[tuple[Span, int]]:
    """Read the events of several groups backwards as those of one, of each within its own span."""

    def sources(group: LogGroup, span: Span) -> Iterator[Source[tuple[Span, int]]]:
        for source in tx.sources_of_group(group.id, span, wanted=wanted(tx, group, EVERYTHING), backward=True):
            yield Source(source.first_timestamp, source.last_timestamp, source.log_stream_id, (span, source.chunk))

    together = heapq.merge(*(sources(*one) for one in spans), key=lambda source: -source.last_timestamp)
    return Merge(together, lambda chunk: _reader(tx, chunk[0])(chunk[1]), backward=True, enough=enough)


def patience(span: Span, seconds: float) -> Enough:
    """Make what stops a merge after a while, which begins when it has come to what no page before has passed.

    Where many chunks overlap, those that lie across the beginning of a page must be read anew for each page.
    """
    deadline: list[float] = []

    def enough(position: Position) -> bool:
        if position not in span:
            return False
        if not deadline:
            deadline.append(monotonic() + seconds)
        return monotonic() > deadline[0]

    return enough


def wanted(tx: LogTx, group: LogGroup, of: Selection) -> Callable[[int], bool]:
    """Make the test of ids by which streams are selected; deleted ones, of which something is left, never are."""
    if of.names or of.prefix:
        return frozenset(stream.id for stream in streams_of(tx, group, of)).__contains__
    gone = frozenset(remains.log_stream_id for remains in tx.find(Remains))
    return lambda log_stream_id: log_stream_id not in gone


def streams_of(tx: LogTx, group: LogGroup, of: Selection) -> list[LogStream]:
    """Find the selected streams of a group."""
    if of.names:
        return tx.find(LogStream, log_group_id=group.id, log_stream_name=of.names)
    return tx.find(LogStream, log_group_id=group.id, log_stream_name=beginning_with(of.prefix))


def names_of(tx: LogTx, ids: Collection[int]) -> dict[int, str]:
    """Find the names of streams by their ids."""
    return {stream.id: stream.log_stream_name for stream in tx.find(LogStream, id=tuple(ids))}


def beginning_with(prefix: str) -> Range:
    """Make the filter for texts that begin so."""
    return Range(prefix, prefix + LAST_CHARACTER)


def _reader(tx: LogTx, span: Span, pattern: Pattern | None = None) -> Callable[[int], list[Event]]:
    needles = tuple(needle.encode() for needle in pattern.needles) if pattern is not None else ()
    matches = pattern.matches if pattern is not None and pattern is not MATCH_ALL else None

    def read(id_: int) -> list[Event]:
        chunk = tx.chunk(id_)
        if chunk is None:
            return []
        events = unpack(chunk, needles, matches)
        if events and not (events[0].position in span and events[-1].position in span):
            events = [event for event in events if event.position in span]
        return events

    return read
