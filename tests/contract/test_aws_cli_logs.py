"""The AWS CLI's `logs` commands as their users type them."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.contract.test_aws_cli import AWS, Cli
from tests.contract.whole import ACCOUNT, REGION

GROUP = "/typed/web"
ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}"


@pytest.fixture
def aws(endpoint: str, tmp_path: Path) -> Cli:
    cli = Cli(endpoint, tmp_path)
    cli.env["AWS_DISABLE_HOST_PREFIX_INJECTION"] = "true"
    return cli


@pytest.fixture
def group(aws: Cli) -> Any:
    aws("logs", "create-log-group", "--log-group-name", GROUP, "--tags", "team=web")
    aws("logs", "create-log-stream", "--log-group-name", GROUP, "--log-stream-name", "app/1")
    yield GROUP
    aws("logs", "delete-log-group", "--log-group-name", GROUP)


def put(aws: Cli, message: str, ago: int = 0) -> None:
    event = f"timestamp={int(time.time() * 1000) - ago},message={message}"
    aws("logs", "put-log-events", "--log-group-name", GROUP, "--log-stream-name", "app/1", "--log-events", event)


def test_a_typical_session(aws: Cli, group: str) -> None:
    put(aws, "started", ago=20)
    put(aws, "failed", ago=10)
    found = aws("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "?failed ?broken")
    assert [event["message"] for event in found["events"]] == ["failed"]
    read = aws("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", "app/1", "--limit", "1")
    assert [event["message"] for event in read["events"]] == ["failed"]

    aws("logs", "put-retention-policy", "--log-group-name", group, "--retention-in-days", "30")
    [described] = aws("logs", "describe-log-groups", "--log-group-name-pattern", "typed")["logGroups"]
    assert (described["logGroupName"], described["retentionInDays"]) == (group, 30)
    streams = aws("logs", "describe-log-streams", "--log-group-name", group, "--order-by", "LastEventTime")
    assert [stream["logStreamName"] for stream in streams["logStreams"]] == ["app/1"]
    assert aws("logs", "list-tags-for-resource", "--resource-arn", ARN) == {"tags": {"team": "web"}}


@pytest.mark.usefixtures("group")
def test_start_live_tail_prints_what_comes_in(aws: Cli) -> None:
    words = [AWS, "logs", "start-live-tail", "--log-group-identifiers", ARN, "--log-event-filter-pattern", "loud"]
    printed = aws.home / "printed"
    with printed.open("w") as out, subprocess.Popen(words, env=aws.env, cwd=aws.home, stdout=out) as tail:
        deadline = time.monotonic() + 30
        while not printed.read_text() and time.monotonic() < deadline:
            put(aws, "quiet")
            put(aws, "loud")
        tail.send_signal(signal.SIGINT)
    assert set(printed.read_text().split()) == {"loud"}


def test_following_a_group_shows_every_event_once(endpoint: str, group: str) -> None:
    """`aws logs tail --follow` of version 2 asks again from the newest time on, and knows by ids what it has shown."""
    client = boto3.Session("any", "any", region_name=REGION).client("logs", endpoint_url=endpoint)
    asked: dict[str, Any] = {"logGroupName": group, "interleaved": True, "startTime": int(time.time() * 1000) - 600_000}
    known: set[str] = set()
    shown: list[str] = []
    now = int(time.time() * 1000)
    for turn in range(3):
        events = [{"timestamp": now, "message": f"{turn}-{n}"} for n in range(3)]
        client.put_log_events(logGroupName=group, logStreamName="app/1", logEvents=events)
        for event in client.filter_log_events(**asked)["events"]:
            if event["eventId"] not in known:
                known.add(event["eventId"])
                shown.append(event["message"])
        asked["startTime"] = now
    client.close()
    assert shown == [f"{turn}-{n}" for turn in range(3) for n in range(3)]
