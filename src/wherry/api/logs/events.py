"""Log events: put, and read again in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wherry.api.context import Context
from wherry.api.logs import rules
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException, ResourceNotFoundException
from wherry.model.logs.batch import judge
from wherry.model.logs.chunk import Chunk, pack
from wherry.model.logs.nouns import LogGroup
from wherry.model.logs.page import PAGE_EVENTS, Page, Span, Token, event_id, read_token, span_of
from wherry.model.logs.pattern import Pattern, PatternError, compile_pattern
from wherry.store.logs import LogTx, reading
from wherry.store.logs.reading import Selection

LIMIT = rules.Number(1, PAGE_EVENTS)

BACKWARD_SINCE_MS = 1_704_067_200_000
"""1 January 2024: FilterLogEvents reads backwards only from then on."""


async def put_log_events(ctx: Context, call: Call) -> dict[str, Any]:
    """PutLogEvents: acknowledged when they are on the disk. Sequence tokens are neither needed nor looked at."""
    params = rules.checked(call)
    group_name, stream_name = params["logGroupName"], params["logStreamName"]
    chunk, rejected = await ctx.logs.read(_prepare, group_name, stream_name, params["logEvents"], ctx.clock())
    answer: dict[str, Any] = {"rejectedLogEventsInfo": rejected} if rejected else {}
    if "entity" in params:
        answer["rejectedEntityInfo"] = {"errorType": "UnsupportedLogGroupType"}
    if chunk is None:
        return answer
    sequence = await ctx.logs.write(_append, group_name, stream_name, chunk)
    return answer | {"nextSequenceToken": str(sequence).zfill(56)}


def _prepare(
    tx: LogTx, group_name: str, stream_name: str, batch: Sequence[Mapping[str, Any]], now: float
) -> tuple[Chunk | None, dict[str, int]]:
    """Do on the reader's thread what takes long: the one that writes has no time for it."""
    group = rules.group_named(tx, group_name)
    rules.stream_named(tx, group, stream_name)
    verdict = judge(batch, now_ms=int(now * 1000), expired_before=group.expired_before(now))
    return (pack(verdict.accepted) if verdict.accepted else None), verdict.rejected


def _append(tx: LogTx, group_name: str, stream_name: str, chunk: Chunk) -> int:
    tx.append(rules.stream_named(tx, rules.group_named(tx, group_name), stream_name), chunk)
    return tx.last_sequence()


async def get_log_events(ctx: Context, call: Call) -> dict[str, Any]:
    """GetLogEvents: a page of one stream, its events in order whichever way the pages go."""
    params = rules.checked(call, limit=LIMIT)
    name = rules.name_in(ctx.scope, params)
    token = _token(params)
    default = "f" if params.get("startFromHead") else "b"
    return await ctx.logs.read(_get, name, params, token=token, default=default, now=ctx.clock())


def _get(
    tx: LogTx, name: str, params: Mapping[str, Any], *, token: Token | None, default: str, now: float
) -> dict[str, Any]:
    group = rules.group_named(tx, name)
    stream = rules.stream_named(tx, group, params["logStreamName"])
    whole = _visible(group, params.get("startTime"), params.get("endTime"), now)
    backward = (token.direction if token is not None else default) == "b"
    span = _behind(whole, token)
    limit = params.get("limit", PAGE_EVENTS)
    events = reading.read_stream(tx, stream, span, backward=backward, limit=limit).events
    if backward:
        events.reverse()
    first = events[0].position if events else (token.position if token is not None else whole.start)
    last = events[-1].position if events else first
    return {
        "events": [
            {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingestion_time}
            for event in events
        ],
        "nextForwardToken": str(Token("f", last)),
        "nextBackwardToken": str(Token("b", first)),
    }


async def filter_log_events(ctx: Context, call: Call) -> dict[str, Any]:
    """FilterLogEvents: a page of the events of a group's streams that match a pattern."""
    params = rules.checked(call, limit=LIMIT)
    name = rules.name_in(ctx.scope, params)
    of = selection(params, "logStreamNamePrefix")
    token = _token(params)
    backward = token.direction == "b" if token is not None else not params.get("startFromHead", True)
    if backward and params.get("startTime", BACKWARD_SINCE_MS) < BACKWARD_SINCE_MS:
        raise InvalidParameterException(
            "startFromHead can be false only with a startTime on or after January 1, 2024 00:00:00 UTC."
        )
    pattern = pattern_of(params.get("filterPattern"))
    return await ctx.logs.read(
        _filter, name, params, of=of, pattern=pattern, token=token, backward=backward, now=ctx.clock()
    )


def _filter(
    tx: LogTx,
    name: str,
    params: Mapping[str, Any],
    *,
    of: Selection,
    pattern: Pattern,
    token: Token | None,
    backward: bool,
    now: float,
) -> dict[str, Any]:
    group = rules.group_named(tx, name)
    if of.names and len(reading.streams_of(tx, group, of)) < len(set(of.names)):
        raise ResourceNotFoundException(rules.NO_STREAM)
    end_time = params.get("endTime")
    # Unlike that of GetLogEvents, this endTime is included.
    whole = _visible(group, params.get("startTime"), None if end_time is None else end_time + 1, now)
    page = reading.filter_group(
        tx,
        group,
        _behind(whole, token),
        of=of,
        pattern=pattern,
        backward=backward,
        limit=params.get("limit", PAGE_EVENTS),
    )
    answer: dict[str, Any] = {"events": _filtered(tx, page), "searchedLogStreams": []}
    if page.more_after is not None:
        answer["nextToken"] = str(Token("b" if backward else "f", page.more_after))
    return answer


def _filtered(tx: LogTx, page: Page) -> list[dict[str, Any]]:
    names = reading.names_of(tx, {log_stream_id for _, log_stream_id in page.runs})
    return [
        {
            "logStreamName": names[log_stream_id],
            "timestamp": event.timestamp,
            "message": event.message,
            "ingestionTime": event.ingestion_time,
            "eventId": event_id(event),
        }
        for events, log_stream_id in page.runs
        if log_stream_id in names
        for event in events
    ]


def selection(params: Mapping[str, Any], prefix: str) -> Selection:
    """Read which streams a call is about: `logStreamNames`, or the member called `prefix`, but not both."""
    names = tuple(params.get("logStreamNames") or ())
    if names and params.get(prefix):
        raise InvalidParameterException(f"{prefix} and logStreamNames are mutually exclusive: specify one of them.")
    if len(names) > 100:
        raise rules.violation("logStreamNames", len(names), "Member must have length less than or equal to 100")
    return Selection(names=names, prefix=params.get(prefix) or "")


def pattern_of(text: str | None) -> Pattern:
    """Compile a filter pattern; raises `InvalidParameterException`."""
    try:
        return compile_pattern(text)
    except PatternError as error:
        raise InvalidParameterException(str(error)) from error


def _token(params: Mapping[str, Any]) -> Token | None:
    text = params.get("nextToken")
    try:
        return None if text is None else read_token(text)
    except ValueError as error:
        raise InvalidParameterException("The specified nextToken is invalid.") from error


def _visible(group: LogGroup, start_time: int | None, end_time: int | None, now: float) -> Span:
    """Leave out what has expired: it may be there still."""
    return span_of(max(start_time or 0, group.expired_before(now)), end_time)


def _behind(span: Span, token: Token | None) -> Span:
    if token is None:
        return span
    if token.direction == "f":
        return span._replace(start=max(span.start, token.position))
    return span._replace(end=min(span.end, token.position))
