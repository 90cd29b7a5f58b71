"""Queries of Logs Insights: started here, carried out in the background, and asked for again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.ecs.paging import read_token, write_token
from wherry.api.logs import rules
from wherry.model import ids
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException, LimitExceededException, ResourceNotFoundException
from wherry.model.logs.errors import MalformedQueryException
from wherry.model.logs.insights import QueryError, compile_query
from wherry.model.logs.nouns import LogQuery, LogResults, QueryStatus, ResultRow
from wherry.store.logs import LogTx

MOST_GROUPS = 50
MOST_RUNNING = 100
PAGE = 10_000
LANGUAGES = ("CWLI", "SQL", "PPL")
STATUSES = tuple(QueryStatus)
NO_QUERY = "The specified query does not exist."
UNDER_WAY = (QueryStatus.SCHEDULED, QueryStatus.RUNNING)


async def start_query(ctx: Context, call: Call) -> dict[str, Any]:
    """StartQuery: times are epoch seconds, both included."""
    params = rules.checked(call, limit=rules.Number(1, 100_000))
    rules.one_of("queryLanguage", params.get("queryLanguage"), LANGUAGES)
    if params.get("queryLanguage", "CWLI") != "CWLI":
        raise InvalidParameterException("Queries here are in Logs Insights QL. Leave queryLanguage out.")
    if params["endTime"] < params["startTime"]:
        raise InvalidParameterException("The endTime of a query must not be before its startTime.")
    try:
        compile_query(params["queryString"])
    except QueryError as error:
        raise MalformedQueryException(str(error)) from error
    query = LogQuery(
        query_id=ids.uuid(ctx.entropy),
        query_string=params["queryString"],
        log_groups=_groups(ctx.scope, params),
        start_time=min(params["startTime"], 2**53),
        end_time=min(params["endTime"], 2**53),
        limit=params.get("limit", 0),
        create_time=int(ctx.clock() * 1000),
        user_identity=call.principal.arn,
    )
    await ctx.logs.write(_start, query)
    return {"queryId": query.query_id}


def _groups(scope: Scope, params: Mapping[str, Any]) -> tuple[str, ...]:
    given = [name for name in ("logGroupName", "logGroupNames", "logGroupIdentifiers") if params.get(name)]
    if len(given) != 1:
        raise InvalidParameterException(
            "Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be specified."
        )
    value = params[given[0]]
    names = [value] if given[0] == "logGroupName" else [rules.identified(scope, one) for one in value]
    if len(names) > MOST_GROUPS:
        raise InvalidParameterException(f"A query is about at most {MOST_GROUPS} log groups.")
    return tuple(dict.fromkeys(names))


def _start(tx: LogTx, query: LogQuery) -> None:
    for name in query.log_groups:
        rules.group_named(tx, name)
    if tx.count(LogQuery, status=UNDER_WAY) >= MOST_RUNNING:
        raise LimitExceededException(f"{MOST_RUNNING} queries are under way. Wait until some have finished.")
    tx.put(query)


async def get_query_results(ctx: Context, call: Call) -> dict[str, Any]:
    """GetQueryResults: nothing until the query is complete, then pages of up to 10,000 rows."""
    params = rules.checked(call, maxItems=rules.Number(0, PAGE))
    query, results = await ctx.logs.read(_results, params["queryId"])
    first = _offset(params.get("nextToken"))
    last = first + (params.get("maxItems") or PAGE)
    rows = results[first:last]
    answer: dict[str, Any] = {
        "queryLanguage": "CWLI",
        "results": [[{"field": field, "value": value} for field, value in row] for row in rows],
        "statistics": {
            "recordsMatched": float(query.records_matched),
            "recordsScanned": float(query.records_scanned),
            "bytesScanned": float(query.bytes_scanned),
            "logGroupsScanned": float(len(query.log_groups)),
            "resultCount": float(query.result_count),
        },
        "status": query.status.value,
    }
    if last < len(results):
        answer["nextToken"] = write_token((last,))
    return answer


def _offset(token: str | None) -> int:
    offset = int(read_token(token, tuple[int])[0]) if token else 0
    return max(0, offset)


async def stop_query(ctx: Context, call: Call) -> dict[str, Any]:
    """StopQuery."""
    await ctx.logs.write(_stop, rules.checked(call)["queryId"], int(ctx.clock() * 1000))
    return {"success": True}


def _stop(tx: LogTx, query_id: str, now_ms: int) -> None:
    query = _query(tx, query_id)
    if query.is_over:
        raise InvalidParameterException(f"The query is not under way any more: its status is {query.status}.")
    tx.put(structs.replace(query, status=QueryStatus.CANCELLED, finished_at=now_ms))


async def describe_queries(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeQueries: those of the last seven days, the newest first."""
    params = rules.checked(call, maxResults=rules.Number(1, 1000))
    rules.one_of("status", params.get("status"), (*STATUSES, "Unknown"))
    rules.one_of("queryLanguage", params.get("queryLanguage"), LANGUAGES)
    return await ctx.logs.read(_describe, params)


def _describe(tx: LogTx, params: Mapping[str, Any]) -> dict[str, Any]:
    limit = params.get("maxResults", 1000)
    after = read_token(params["nextToken"], tuple[int, str]) if params.get("nextToken") else None
    equals = {"status": params["status"]} if params.get("status") else {}
    found = tx.find(LogQuery, order="create_time", descending=True, after=after, **equals)
    fitting = [query for query in found if params.get("logGroupName", query.log_groups[0]) in query.log_groups]
    page = fitting[:limit] if params.get("queryLanguage", "CWLI") == "CWLI" else []
    answer: dict[str, Any] = {"queries": [_view(query) for query in page]}
    if len(fitting) > len(page) > 0:
        answer["nextToken"] = write_token((page[-1].create_time, page[-1].query_id))
    return answer


def _view(query: LogQuery) -> dict[str, Any]:
    view = {
        "queryLanguage": "CWLI",
        "queryId": query.query_id,
        "queryString": query.query_string,
        "status": query.status.value,
        "createTime": query.create_time,
        "logGroupName": query.log_groups[0],
        "bytesScanned": float(query.bytes_scanned),
        "userIdentity": query.user_identity or None,
        "queryDuration": query.finished_at - query.create_time if query.finished_at else None,
    }
    return {name: value for name, value in view.items() if value is not None}


def _results(tx: LogTx, query_id: str) -> tuple[LogQuery, tuple[ResultRow, ...]]:
    results = tx.get(LogResults, query_id)
    return _query(tx, query_id), () if results is None else results.rows


def _query(tx: LogTx, query_id: str) -> LogQuery:
    query = tx.get(LogQuery, query_id)
    if query is None:
        raise ResourceNotFoundException(NO_QUERY)
    return query
