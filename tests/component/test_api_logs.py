"""CloudWatch Logs on a real log database, without HTTP: what contract tests with real clients do not reach."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws import Aws
from tests.builders import NOW

from wherry.control.log_queries import controller
from wherry.model.logs.nouns import DAY_MS
from wherry.store import Store
from wherry.store.logs import LogStore

START = int(NOW * 1000)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(memory_store: Store) -> Aws:
    aws = Aws(memory_store, LogStore.in_memory())
    await aws("CreateLogGroup", of="logs", logGroupName="g")
    await aws("CreateLogStream", of="logs", logGroupName="g", logStreamName="s")
    return aws


async def put(aws: Aws, *times: int, stream: str = "s") -> None:
    events = [{"timestamp": time, "message": f"at {time - START}"} for time in times]
    await aws("PutLogEvents", of="logs", logGroupName="g", logStreamName=stream, logEvents=events)


async def found(aws: Aws, **params: Any) -> list[str]:
    answer = await aws("FilterLogEvents", of="logs", logGroupName="g", **params)
    return [event["message"] for event in answer["events"]]


@pytest.mark.anyio
async def test_what_expires_is_not_shown_from_that_moment_on(aws: Aws) -> None:
    await put(aws, START)
    await aws("PutRetentionPolicy", of="logs", logGroupName="g", retentionInDays=1)
    aws.now = NOW + DAY_MS / 1000
    assert await found(aws) == ["at 0"]
    aws.now += 0.001
    assert await found(aws) == []
    assert (await aws("GetLogEvents", of="logs", logGroupName="g", logStreamName="s"))["events"] == []
    await aws("DeleteRetentionPolicy", of="logs", logGroupName="g")
    assert await found(aws) == ["at 0"]


@pytest.mark.anyio
async def test_the_end_is_included_where_one_filters_and_not_where_one_reads(aws: Aws) -> None:
    await put(aws, START, START + 1, START + 2)
    between = {"startTime": START, "endTime": START + 1}
    assert await found(aws, **between) == ["at 0", "at 1"]
    read = await aws("GetLogEvents", of="logs", logGroupName="g", logStreamName="s", **between)
    assert [event["message"] for event in read["events"]] == ["at 0"]


@pytest.mark.anyio
async def test_filtering_backwards_goes_on_backwards(aws: Aws) -> None:
    aws.now = 1_800_000_000
    start = 1_800_000_000_000
    await put(aws, start, start + 1, start + 2)
    where = {"of": "logs", "logGroupName": "g", "limit": 2}
    first = await aws("FilterLogEvents", **where, startFromHead=False, startTime=start)
    assert [event["timestamp"] - start for event in first["events"]] == [2, 1]
    second = await aws("FilterLogEvents", **where, nextToken=first["nextToken"])
    assert [event["timestamp"] - start for event in second["events"]] == [0]
    assert "nextToken" not in second


@pytest.mark.anyio
async def test_streams_are_selected_by_name_or_by_prefix(aws: Aws) -> None:
    await aws("CreateLogStream", of="logs", logGroupName="g", logStreamName="web/1")
    await put(aws, START)
    await put(aws, START + 1, stream="web/1")
    assert await found(aws, logStreamNames=["s"]) == ["at 0"]
    assert await found(aws, logStreamNamePrefix="web/") == ["at 1"]
    code, _ = await aws.refusal("FilterLogEvents", of="logs", logGroupName="g", logStreamNames=["absent"])
    assert code == "ResourceNotFoundException"
    both = {"logStreamNames": ["s"], "logStreamNamePrefix": "w"}
    assert (await aws.refusal("FilterLogEvents", of="logs", logGroupName="g", **both))[0] == "InvalidParameterException"


@pytest.mark.anyio
async def test_a_deleted_stream_is_not_found_even_while_its_events_are_there(aws: Aws) -> None:
    await put(aws, START)
    await aws("DeleteLogStream", of="logs", logGroupName="g", logStreamName="s")
    assert await found(aws) == []
    await aws("CreateLogStream", of="logs", logGroupName="g", logStreamName="s")
    assert await found(aws) == []


@pytest.mark.anyio
async def test_a_protected_group_is_not_deleted(aws: Aws) -> None:
    where = {"of": "logs", "logGroupIdentifier": "g"}
    await aws("PutLogGroupDeletionProtection", **where, deletionProtectionEnabled=True)
    assert (await aws.refusal("DeleteLogGroup", of="logs", logGroupName="g"))[0] == "ValidationException"
    await aws("PutLogGroupDeletionProtection", **where, deletionProtectionEnabled=False)
    await aws("DeleteLogGroup", of="logs", logGroupName="g")
    assert (await aws("DescribeLogGroups", of="logs"))["logGroups"] == []


@pytest.mark.anyio
async def test_a_query_that_is_stopped_gives_no_results(aws: Aws) -> None:
    query = await aws("StartQuery", of="logs", logGroupName="g", startTime=0, endTime=1, queryString="fields @message")
    assert await aws("StopQuery", of="logs", **query) == {"success": True}
    step = controller(aws.ctx.logs, aws.ctx.scope, clock=lambda: aws.now, entropy=aws.ctx.entropy)._step
    await step(query["queryId"])
    answer = await aws("GetQueryResults", of="logs", **query)
    assert (answer["status"], answer["results"]) == ("Cancelled", [])
    assert (await aws.refusal("StopQuery", of="logs", **query))[0] == "InvalidParameterException"


@pytest.mark.anyio
async def test_results_of_a_query_come_in_pages(aws: Aws) -> None:
    await put(aws, *(START + n for n in range(5)))
    query = await aws(
        "StartQuery",
        of="logs",
        logGroupIdentifiers=["arn:aws:logs:us-east-1:000000000000:log-group:g:*"],
        startTime=START // 1000,
        endTime=START // 1000,
        queryString="filter @message like /[1-3]$/ | fields @message | sort @timestamp",
    )
    step = controller(aws.ctx.logs, aws.ctx.scope, clock=lambda: aws.now, entropy=aws.ctx.entropy)._step
    await step(query["queryId"])
    first = await aws("GetQueryResults", of="logs", **query, maxItems=2)
    second = await aws("GetQueryResults", of="logs", **query, nextToken=first["nextToken"])
    shown = [row[0]["value"] for answer in (first, second) for row in answer["results"]]
    assert shown == ["at 1", "at 2", "at 3"]
    assert "nextToken" not in second
    assert (first["statistics"]["recordsScanned"], first["statistics"]["recordsMatched"]) == (5.0, 3.0)


@pytest.mark.anyio
async def test_a_full_disk_is_told_and_asked_to_be_tried_again(aws: Aws) -> None:
    [pages] = await aws.ctx.logs.write(lambda tx: tx._execute("PRAGMA page_count", {}).fetchone())
    await aws.ctx.logs.write(lambda tx: tx._execute(f"PRAGMA max_page_count = {pages}", {}).fetchone())
    events = [{"timestamp": START + n, "message": f"{n * 7919}" * 20} for n in range(5000)]
    code, message = await aws.refusal("PutLogEvents", of="logs", logGroupName="g", logStreamName="s", logEvents=events)
    assert code == "ServiceUnavailableException"
    assert "Free some space" in message
    assert await found(aws) == []


@pytest.mark.anyio
async def test_no_end_is_too_late(aws: Aws) -> None:
    await put(aws, START)
    for end in (2**63 - 1, 2**63 - 2):
        assert await found(aws, startTime=0, endTime=end) == ["at 0"]
        read = await aws("GetLogEvents", of="logs", logGroupName="g", logStreamName="s", endTime=end)
        assert [event["message"] for event in read["events"]] == ["at 0"]


@pytest.mark.anyio
async def test_a_query_reads_its_groups_together_the_newest_event_first(aws: Aws) -> None:
    await aws("CreateLogGroup", of="logs", logGroupName="h")
    await aws("CreateLogStream", of="logs", logGroupName="h", logStreamName="s")
    await put(aws, *(START + 10 * number for number in range(5)))
    events = [{"timestamp": START + 10 * number + 5, "message": f"h at {10 * number + 5}"} for number in range(5)]
    await aws("PutLogEvents", of="logs", logGroupName="h", logStreamName="s", logEvents=events)
    query = await aws(
        "StartQuery",
        of="logs",
        logGroupNames=["g", "h"],
        startTime=START // 1000,
        endTime=START // 1000,
        queryString="fields @message, @log | limit 4",
    )
    step = controller(aws.ctx.logs, aws.ctx.scope, clock=lambda: aws.now, entropy=aws.ctx.entropy)._step
    await step(query["queryId"])
    results = (await aws("GetQueryResults", of="logs", **query))["results"]
    rows = [{cell["field"]: cell["value"] for cell in row} for row in results]
    assert [(row["@message"], row["@log"]) for row in rows] == [
        ("h at 45", "000000000000:h"),
        ("at 40", "000000000000:g"),
        ("h at 35", "000000000000:h"),
        ("at 30", "000000000000:g"),
    ]
