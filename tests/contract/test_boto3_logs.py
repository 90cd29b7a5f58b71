"""CloudWatch Logs as boto3 uses it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from tests.contract.conftest import refusal
from tests.contract.whole import ACCOUNT, REGION, whole_wherry


@pytest.fixture(scope="module")
def logs(endpoint: str) -> Iterator[Any]:
    session = boto3.Session("any", "any", region_name=REGION)
    config = Config(retries={"total_max_attempts": 1}, inject_host_prefix=False)
    with closing(session.client("logs", endpoint_url=endpoint, config=config)) as client:
        yield client


@pytest.fixture
def group(logs: Any, request: pytest.FixtureRequest) -> str:
    """Make a log group with the stream "s" for one test; names it."""
    name = f"/{request.node.originalname.removeprefix('test_')}"
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName="s")
    return name


def put(logs: Any, group: str, *messages: str, stream: str = "s", at: int | None = None) -> int:
    """Put events a millisecond apart; return the time of the first."""
    start = at or int(time.time() * 1000)
    events = [{"timestamp": start + n, "message": message} for n, message in enumerate(messages)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    return start


def messages(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_what_is_put_can_be_read_from_both_ends(logs: Any, group: str) -> None:
    put(logs, group, *map(str, range(10)))
    where = {"logGroupName": group, "logStreamName": "s", "limit": 4}

    last = logs.get_log_events(**where)
    assert messages(last) == ["6", "7", "8", "9"]
    before = logs.get_log_events(**where, nextToken=last["nextBackwardToken"])
    assert messages(before) == ["2", "3", "4", "5"]
    first = logs.get_log_events(**where, startFromHead=True)
    assert messages(first) == ["0", "1", "2", "3"]


def test_the_end_of_a_stream_is_known_by_a_token_that_repeats_itself(logs: Any, group: str) -> None:
    put(logs, group, "a", "b")
    where = {"logGroupName": group, "logStreamName": "s", "startFromHead": True}

    token = logs.get_log_events(**where)["nextForwardToken"]
    end = logs.get_log_events(**where, nextToken=token)
    assert (end["events"], end["nextForwardToken"]) == ([], token)

    put(logs, group, "c")
    assert messages(logs.get_log_events(**where, nextToken=token)) == ["c"]


def test_the_paginator_of_filter_log_events_finds_every_event_once(logs: Any, group: str) -> None:
    logs.create_log_stream(logGroupName=group, logStreamName="t")
    start = put(logs, group, *(f"s{n}" for n in range(25)))
    put(logs, group, *(f"t{n}" for n in range(25)), stream="t", at=start)
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 7})

    found = [event for page in pages for event in page["events"]]
    assert [event["message"] for event in found] == [f"{stream}{n}" for n in range(25) for stream in "st"]
    assert len({event["eventId"] for event in found}) == 50


def test_events_too_old_and_too_new_are_rejected_and_the_rest_kept(logs: Any, group: str) -> None:
    now = int(time.time() * 1000)
    events = [
        {"timestamp": now - 15 * 24 * 3600 * 1000, "message": "too old"},
        {"timestamp": now, "message": "fine"},
        {"timestamp": now + 3 * 3600 * 1000, "message": "too new"},
    ]
    answer = logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events, sequenceToken="any")

    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2}
    assert messages(logs.get_log_events(logGroupName=group, logStreamName="s")) == ["fine"]


def test_a_line_may_hold_any_character(logs: Any, group: str) -> None:
    line = 'NUL \x00, quote ", bell \x07, \U0001f600'
    put(logs, group, line)
    assert messages(logs.get_log_events(logGroupName=group, logStreamName="s")) == [line]


def test_errors_have_the_words_of_aws(logs: Any, group: str) -> None:
    absent = ("ResourceNotFoundException", "The specified log group does not exist.")
    assert refusal(logs.describe_log_streams, logGroupName="absent") == absent
    assert refusal(logs.get_log_events, logGroupName="absent", logStreamName="s") == absent
    exists = ("ResourceAlreadyExistsException", "The specified log group already exists")
    assert refusal(logs.create_log_group, logGroupName=group) == exists
    unordered = [{"timestamp": 2, "message": "b"}, {"timestamp": 1, "message": "a"}]
    code, _ = refusal(logs.put_log_events, logGroupName=group, logStreamName="s", logEvents=unordered)
    assert code == "InvalidParameterException"
    code, _ = refusal(logs.filter_log_events, logGroupName=group, filterPattern="{ $.a = }")
    assert code == "InvalidParameterException"
    code, _ = refusal(logs.put_retention_policy, logGroupName=group, retentionInDays=2)
    assert code == "InvalidParameterException"
    code, _ = refusal(logs.get_log_events, logGroupName=group, logStreamName="s", nextToken="nonsense")
    assert code == "InvalidParameterException"


def test_groups_and_streams_are_described_in_pages(logs: Any, group: str) -> None:
    for n in range(5):
        logs.create_log_stream(logGroupName=group, logStreamName=f"web/{n}")
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=group, logStreamNamePrefix="web/", PaginationConfig={"PageSize": 2}
    )
    assert [stream["logStreamName"] for page in pages for stream in page["logStreams"]] == [
        f"web/{n}" for n in range(5)
    ]

    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    [described] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert described["retentionInDays"] == 7
    assert described["arn"] == f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:*"
    by_arn = logs.describe_log_streams(logGroupIdentifier=described["arn"])
    assert len(by_arn["logStreams"]) == 6


def test_a_deleted_group_can_be_made_again_and_is_empty(logs: Any, group: str) -> None:
    put(logs, group, "before")
    logs.delete_log_group(logGroupName=group)
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    assert messages(logs.filter_log_events(logGroupName=group)) == []


def test_tags_are_the_same_by_old_and_new_operations(logs: Any, group: str) -> None:
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"
    logs.tag_resource(resourceArn=arn, tags={"team": "web", "stage": "test"})
    logs.untag_log_group(logGroupName=group, tags=["stage"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "web"}
    assert logs.list_tags_log_group(logGroupName=group)["tags"] == {"team": "web"}


def test_a_live_tail_shows_what_comes_in_and_matches(logs: Any, group: str) -> None:
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"
    put(logs, group, "ERROR before")
    tail = logs.start_live_tail(logGroupIdentifiers=[arn], logEventFilterPattern="ERROR")
    with closing(tail["responseStream"]) as stream:
        events = iter(stream)
        assert next(events)["sessionStart"]["logGroupIdentifiers"] == [arn]
        put(logs, group, "INFO quiet", "ERROR loud")
        results = next(found for event in events if (found := event["sessionUpdate"]["sessionResults"]))
    assert [(one["message"], one["logStreamName"]) for one in results] == [("ERROR loud", "s")]


def test_a_live_tail_does_not_hold_up_a_shutdown(tmp_path: Path) -> None:
    with whole_wherry(tmp_path) as url:
        client = boto3.Session("any", "any", region_name=REGION).client(
            "logs", endpoint_url=url, config=Config(inject_host_prefix=False)
        )
        client.create_log_group(logGroupName="g")
        tail = client.start_live_tail(logGroupIdentifiers=["g"])
        ended = threading.Event()

        def follow() -> None:
            for _ in tail["responseStream"]:
                pass
            ended.set()

        threading.Thread(target=follow, daemon=True).start()
    # An answer that the server tears apart once its patience is over raises in there.
    assert ended.wait(30)
    client.close()


def test_a_query_of_insights_counts_by_field(logs: Any, group: str) -> None:
    put(logs, group, *(f'{{"level": "{level}", "ms": {ms}}}' for ms, level in enumerate(("INFO", "ERROR", "INFO"))))
    now = int(time.time())
    query = logs.start_query(
        logGroupName=group,
        startTime=now - 3600,
        endTime=now + 3600,
        queryString="stats count(*) as n, max(ms) as slowest by level | sort n desc",
    )["queryId"]
    deadline = time.monotonic() + 20
    while (answer := logs.get_query_results(queryId=query))["status"] in {"Scheduled", "Running"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert answer["status"] == "Complete"
    rows = [{cell["field"]: cell["value"] for cell in row} for row in answer["results"]]
    assert rows == [
        {"level": "INFO", "n": "2", "slowest": "2"},
        {"level": "ERROR", "n": "1", "slowest": "1"},
    ]
    assert [one["queryId"] for one in logs.describe_queries(logGroupName=group)["queries"]] == [query]


def test_a_query_that_is_none_is_refused_with_the_reason(logs: Any, group: str) -> None:
    code, message = refusal(
        logs.start_query, logGroupName=group, startTime=0, endTime=1, queryString="filter level = | stats"
    )
    assert code == "MalformedQueryException"
    assert "position" in message
