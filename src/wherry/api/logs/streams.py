"""Log streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.api.context import Context
from wherry.api.ecs.paging import read_token, write_token
from wherry.api.logs import rules
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException
from wherry.model.logs import nouns
from wherry.model.logs.errors import ResourceAlreadyExistsException
from wherry.model.logs.nouns import LogStream, Remains
from wherry.store.logs import LogTx
from wherry.store.logs.reading import beginning_with

PAGE = rules.Number(1, 50)


async def create_log_stream(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateLogStream."""
    params = rules.checked(call)
    now_ms = int(ctx.clock() * 1000)
    await ctx.logs.write(_create, params["logGroupName"], params["logStreamName"], now_ms)
    return {}


def _create(tx: LogTx, group_name: str, name: str, now_ms: int) -> None:
    group = rules.group_named(tx, group_name)
    key = nouns.stream_key(group.id, name)
    if tx.get(LogStream, key) is not None:
        raise ResourceAlreadyExistsException("The specified log stream already exists")
    tx.put(LogStream(key=key, log_stream_name=name, log_group_id=group.id, id=tx.new_id(), creation_time=now_ms))


async def delete_log_stream(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteLogStream: at once for whoever looks; its events are removed in the background."""
    params = rules.checked(call)
    await ctx.logs.write(_delete, params["logGroupName"], params["logStreamName"])
    return {}


def _delete(tx: LogTx, group_name: str, name: str) -> None:
    stream = rules.stream_named(tx, rules.group_named(tx, group_name), name)
    tx.delete(stream)
    tx.put(Remains(key=f"stream/{stream.id}", log_group_id=stream.log_group_id, log_stream_id=stream.id))


async def describe_log_streams(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeLogStreams: by their names or by their last events, 50 a page."""
    params = rules.checked(call, limit=PAGE)
    rules.one_of("orderBy", params.get("orderBy"), ("LogStreamName", "LastEventTime"))
    if params.get("orderBy") == "LastEventTime" and params.get("logStreamNamePrefix"):
        raise InvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.")
    return await ctx.logs.read(_describe, params, rules.name_in(ctx.scope, params), ctx.scope)


def _describe(tx: LogTx, params: Mapping[str, Any], group_name: str, scope: Scope) -> dict[str, Any]:
    group = rules.group_named(tx, group_name)
    by_event = params.get("orderBy") == "LastEventTime"
    limit = params.get("limit", PAGE.most)
    order = tuple[int, str] if by_event else tuple[str, str]
    found = tx.find(
        LogStream,
        order="last_event" if by_event else "log_stream_name",
        descending=params.get("descending", False),
        limit=limit + 1,
        after=read_token(params["nextToken"], order) if params.get("nextToken") else None,
        log_group_id=group.id,
        log_stream_name=beginning_with(params.get("logStreamNamePrefix", "")),
    )
    page = found[:limit]
    answer: dict[str, Any] = {"logStreams": [_view(scope, group_name, stream) for stream in page]}
    if len(found) > limit:
        last = page[-1]
        answer["nextToken"] = write_token((last.last_event if by_event else last.log_stream_name, last.key))
    return answer


def _view(scope: Scope, group_name: str, stream: LogStream) -> dict[str, Any]:
    view = {
        "logStreamName": stream.log_stream_name,
        "creationTime": stream.creation_time,
        "firstEventTimestamp": stream.first_event_timestamp,
        "lastEventTimestamp": stream.last_event_timestamp,
        "lastIngestionTime": stream.last_ingestion_time,
        "arn": nouns.stream_arn(scope, group_name, stream.log_stream_name),
        "storedBytes": 0,  # as on AWS since 2019: only groups have a size
    }
    return {name: value for name, value in view.items() if value is not None}
