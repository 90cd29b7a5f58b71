"""Live Tail: events as they come in, once a second."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import islice
from typing import Any

import anyio

from wherry.api.context import Context
from wherry.api.logs import rules
from wherry.api.logs.events import pattern_of
from wherry.model import ids
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException
from wherry.model.logs.chunk import Event, unpack
from wherry.model.logs.errors import SessionTimeoutException
from wherry.model.logs.nouns import LogGroup
from wherry.model.logs.pattern import Pattern
from wherry.store.logs import LogTx, reading
from wherry.store.logs.reading import Selection

PERIOD = 1.0
LONGEST_SESSION = 3 * 3600
MOST_EVENTS = 500
MOST_CHUNKS = 1000
"""So many chunks are looked through for one update at most: a client that reads slowly misses the oldest."""

Found = tuple[Event, str, str]
"""An event, the name of its group, and that of its stream."""


async def start_live_tail(ctx: Context, call: Call) -> dict[str, Any]:
    """StartLiveTail: a stream of what comes in from now on; at most 500 events a second, sampled if there are more."""
    params = rules.checked(call)
    identifiers = params["logGroupIdentifiers"]
    if not 1 <= len(identifiers) <= 10:
        raise rules.violation("logGroupIdentifiers", len(identifiers), "Member must have length between 1 and 10")
    of = Selection(names=tuple(params.get("logStreamNames") or ()))
    prefixes = tuple(params.get("logStreamNamePrefixes") or ())
    if (of.names or prefixes) and len(identifiers) > 1:
        raise InvalidParameterException("Log streams can be specified for one log group only.")
    if of.names and prefixes:
        raise InvalidParameterException("logStreamNames and logStreamNamePrefixes are mutually exclusive.")
    selections = tuple(Selection(prefix=prefix) for prefix in prefixes) or (of,)
    pattern = pattern_of(params.get("logEventFilterPattern"))
    names = [rules.identified(ctx.scope, identifier) for identifier in identifiers]
    since = await ctx.logs.read(_begin, names)
    return {"responseStream": _session(ctx, call, names, selections, pattern, since=since)}


def _begin(tx: LogTx, names: Sequence[str]) -> int:
    for name in names:
        rules.group_named(tx, name)
    return tx.last_sequence()


async def _session(
    ctx: Context,
    call: Call,
    names: Sequence[str],
    selections: Sequence[Selection],
    pattern: Pattern,
    *,
    since: int,
) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
    asked = {name: value for name, value in call.params.items() if value}
    yield "sessionStart", {"requestId": call.request_id, "sessionId": ids.uuid(ctx.entropy), **asked}
    for _ in range(int(LONGEST_SESSION / PERIOD)):
        await anyio.sleep(PERIOD)
        since, found = await ctx.logs.read(_news, names, selections, pattern, since)
        step = -(-len(found) // MOST_EVENTS) or 1
        results = [_result(ctx, one) for one in islice(found, 0, None, step)]
        yield "sessionUpdate", {"sessionMetadata": {"sampled": step > 1}, "sessionResults": results}
    raise SessionTimeoutException("The session has been open for three hours. Start another.")


def _news(
    tx: LogTx, names: Sequence[str], selections: Sequence[Selection], pattern: Pattern, since: int
) -> tuple[int, list[Found]]:
    found: list[Found] = []
    for name in names:
        group = tx.get(LogGroup, name)
        if group is not None:
            found += _news_of(tx, group, selections, pattern, since)
    return tx.last_sequence(), sorted(found)


def _news_of(tx: LogTx, group: LogGroup, selections: Sequence[Selection], pattern: Pattern, since: int) -> list[Found]:
    chunks = tx.news(group.id, since, at_most=MOST_CHUNKS)
    names = reading.names_of(tx, {log_stream_id for log_stream_id, _ in chunks})
    return [
        (event, group.log_group_name, names[log_stream_id])
        for log_stream_id, chunk in chunks
        if log_stream_id in names and any(of.fits(names[log_stream_id]) for of in selections)
        for event in unpack(chunk)
        if event.sequence > since and pattern.matches(event.message)
    ]


def _result(ctx: Context, found: Found) -> dict[str, Any]:
    event, group, stream = found
    return {
        "logStreamName": stream,
        "logGroupIdentifier": f"{ctx.scope.account_id}:{group}",
        "message": event.message,
        "timestamp": event.timestamp,
        "ingestionTime": event.ingestion_time,
    }
