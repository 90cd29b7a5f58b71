"""Carries out the queries of Logs Insights, a slice at a time, so that one that takes long can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from msgspec import structs

from wherry.control.loop import Controller
from wherry.model.arn import Scope
from wherry.model.ids import Entropy
from wherry.model.logs.chunk import Event, Position
from wherry.model.logs.insights import Plan, QueryError, Row, compile_query
from wherry.model.logs.insights.values import Time, Value
from wherry.model.logs.nouns import LogGroup, LogQuery, LogResults, LogStream, QueryStatus, ResultRow
from wherry.model.logs.page import event_id, span_of
from wherry.store.logs import LogStore, LogTx, reading
from wherry.store.schema import Range

SLICE_SECONDS = 1.0
TIMEOUT_SECONDS = 3600.0
KEPT_SECONDS = 7 * 24 * 3600
"""How long results are kept, as on AWS."""

Clock = Callable[[], float]

log = structlog.get_logger()


def controller(logs: LogStore, scope: Scope, *, clock: Clock, entropy: Entropy) -> Controller:
    """Make the loop that runs queries; its keys are their ids. What a restart interrupted is begun anew."""

    async def step(query_id: str) -> None:
        query = await logs.write(_start, query_id)
        if query is not None:
            await _run(logs, query, scope, clock)

    async def sweep() -> Iterable[str]:
        await logs.write(_forget, clock() - KEPT_SECONDS)
        found = await logs.read(LogTx.find, LogQuery, status=(QueryStatus.SCHEDULED, QueryStatus.RUNNING))
        return [query.query_id for query in found]

    return Controller("log queries", logs, "log-query", step, sweep, entropy=entropy, workers=2)


def _start(tx: LogTx, query_id: str) -> LogQuery | None:
    query = tx.get(LogQuery, query_id)
    if query is None or query.is_over:
        return None
    return query if query.status is QueryStatus.RUNNING else tx.put(structs.replace(query, status=QueryStatus.RUNNING))


def _forget(tx: LogTx, before: float) -> None:
    for query in tx.find(LogQuery, create_time=Range(end=int(before * 1000)), order="create_time", limit=100):
        results = tx.get(LogResults, query.query_id)
        if results is not None:
            tx.delete(results)
        tx.delete(query)


class _Progress:
    """How far a query has come: what it counts, and before which position it goes on."""

    def __init__(self, query: LogQuery) -> None:
        self.plan: Plan = compile_query(query.query_string, limit=query.limit or None)
        self.is_read = False
        self.before: Position | None = None
        self.scanned = 0
        self.bytes = 0

    @property
    def is_over(self) -> bool:
        return self.is_read or self.plan.is_full

    def push(self, event: Event, *, log: str, stream: str) -> None:
        self.scanned += 1
        self.bytes += len(event.message)
        fields: dict[str, Value] = {
            "@timestamp": Time(event.timestamp),
            "@message": event.message,
            "@ingestionTime": Time(event.ingestion_time),
            "@logStream": stream,
            "@log": log,
            "@ptr": event_id(event),
        }
        self.plan.push(Row(fields, event.message))


async def _run(logs: LogStore, query: LogQuery, scope: Scope, clock: Clock) -> None:
    deadline = clock() + TIMEOUT_SECONDS
    changes: dict[str, Any] = {"status": QueryStatus.FAILED}
    rows: tuple[ResultRow, ...] = ()
    try:
        progress = _Progress(query)
        while not progress.is_over:
            await logs.read(_scan, query, progress, scope, now=clock())
            current = await logs.read(LogTx.get, LogQuery, query.query_id)
            if current is None or current.is_over:
                return
            if clock() > deadline:
                await logs.write(_finish, query.query_id, {"status": QueryStatus.TIMEOUT}, (), now=clock())
                return
        rows = tuple(progress.plan.finish())
        changes = {
            "status": QueryStatus.COMPLETE,
            "result_count": len(rows),
            "records_matched": progress.plan.matched,
            "records_scanned": progress.scanned,
            "bytes_scanned": progress.bytes,
        }
    except QueryError as error:
        log.warning("log_query_failed", query=query.query_id, error=str(error))
    await logs.write(_finish, query.query_id, changes, rows, now=clock())


def _finish(tx: LogTx, query_id: str, changes: Mapping[str, Any], rows: tuple[ResultRow, ...], *, now: float) -> None:
    query = tx.get(LogQuery, query_id)
    if query is not None and not query.is_over:
        tx.put(structs.replace(query, finished_at=int(now * 1000), **changes))
        tx.put(LogResults(query_id=query_id, rows=rows))


def _scan(tx: LogTx, query: LogQuery, progress: _Progress, scope: Scope, *, now: float) -> None:
    """Go on for a while through all groups together, from the newest event to the oldest."""
    whole = span_of(query.start_time * 1000, query.end_time * 1000 + 1000)
    if progress.before is not None:
        whole = whole._replace(end=min(whole.end, progress.before))
    groups = {group.id: group for key in query.log_groups if (group := tx.get(LogGroup, key)) is not None}
    spans = [
        (group, whole._replace(start=max(whole.start, span_of(group.expired_before(now), None).start)))
        for group in groups.values()
    ]
    merge = reading.events_of_groups(tx, spans, enough=reading.patience(whole, SLICE_SECONDS))
    streams: dict[int, LogStream] = {}
    for events, log_stream_id in merge:
        if log_stream_id not in streams:
            streams |= {stream.id: stream for stream in tx.find(LogStream, id=(log_stream_id,))}
        stream = streams.get(log_stream_id)
        if stream is None:
            continue
        log_name = f"{scope.account_id}:{groups[stream.log_group_id].log_group_name}"
        for event in events:
            progress.push(event, log=log_name, stream=stream.log_stream_name)
            if progress.plan.is_full:
                return
    progress.before = merge.stopped_at
    progress.is_read = merge.stopped_at is None
