"""`wherry logs`: whose lines are shown, each once, and what is said when there are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from wherry.cli import logs, target
from wherry.cli.failure import CommandFailed
from wherry.cli.logs import Reader, Stream

CLUSTER_ARNS = {name: f"arn:aws:ecs:us-east-1:000000000000:task/default/{name * 16}" for name in ("aa", "ab", "cc")}
AWSLOGS = {"logDriver": "awslogs", "options": {"awslogs-group": "/web", "awslogs-stream-prefix": "p"}}


class Pages:
    def __init__(self, pages: list[dict[str, Any]]) -> None:
        self.pages = pages

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        yield from self.pages


class Ecs:
    """A cluster with the service web, of the tasks aa… and ab…, and the task cc… beside it."""

    def __init__(self, *containers: dict[str, Any]) -> None:
        self.containers = list(containers)

    def describe_services(self, *, services: list[str], **_: Any) -> dict[str, Any]:
        known = services[0].rsplit("/", 1)[-1] == "web"
        return {"services": [{"status": "ACTIVE", "serviceName": "web"}] if known else []}

    def get_paginator(self, _: str) -> Any:
        class Tasks:
            @staticmethod
            def paginate(*, desiredStatus: str, serviceName: str | None = None, **_: Any) -> Iterator[Any]:  # noqa: N803
                arns = list(CLUSTER_ARNS.values())
                yield {"taskArns": [] if desiredStatus == "STOPPED" else arns[:2] if serviceName else arns}

        return Tasks

    def describe_tasks(self, *, tasks: list[str], **_: Any) -> dict[str, Any]:
        return {"tasks": [{"taskArn": arn, "taskDefinitionArn": "web:1"} for arn in reversed(tasks)]}

    def describe_task_definition(self, **_: Any) -> dict[str, Any]:
        return {"taskDefinition": {"containerDefinitions": self.containers}}


class CloudWatch:
    class exceptions:  # noqa: N801
        ResourceNotFoundException = LookupError

    def __init__(self) -> None:
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.missing: set[str] = set()
        self.asked: list[dict[str, Any]] = []

    def get_paginator(self, _: str) -> CloudWatch:
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(asked)
        if asked["logGroupName"] not in self.events or set(asked["logStreamNames"]) & self.missing:
            raise LookupError
        yield {
            "events": [
                event
                for event in self.events[asked["logGroupName"]]
                if event["logStreamName"] in asked["logStreamNames"] and event["timestamp"] >= asked["startTime"]
            ]
        }


def event(number: int, stream: str = "p/a/1", *, at: int | None = None) -> dict[str, Any]:
    return {
        "eventId": str(number),
        "timestamp": number if at is None else at,
        "logStreamName": stream,
        "message": f"line {number}",
    }


def a_stream(name: str = "p/a/1", group: str = "/web") -> Stream:
    return Stream(group, name, "1 a", "cyan")


def said(reader: Reader, *streams: Stream) -> list[str]:
    return [one["message"] for _, one in reader.news(streams)]


def test_a_name_is_a_service_or_the_start_of_a_task() -> None:
    def found(name: str) -> list[str]:
        return [task["taskArn"] for task in target.tasks(Ecs(), name, "default")]

    assert found("web") == list(CLUSTER_ARNS.values())[:2]
    assert found("cc") == found(CLUSTER_ARNS["cc"]) == [CLUSTER_ARNS["cc"]]
    with pytest.raises(CommandFailed, match="2 tasks begin with a"):
        found("a")
    with pytest.raises(CommandFailed, match="no service and no task nobody"):
        found("nobody")


def test_the_streams_are_those_of_the_awslogs_driver_in_a_colour_for_each_task() -> None:
    ecs = Ecs({"name": "app", "logConfiguration": AWSLOGS}, {"name": "quiet"})
    streams = list(logs.streams_of(ecs, target.tasks(ecs, "web", "default"), None))
    ids = [arn.rsplit("/", 1)[-1] for arn in CLUSTER_ARNS.values()][:2]
    assert [(s.group, s.name) for s in streams] == [("/web", f"p/app/{task_id}") for task_id in ids]
    assert len({s.colour for s in streams}) == 2


def test_a_service_that_logs_elsewhere_is_told_what_to_do() -> None:
    ecs = Ecs({"name": "quiet"})
    with pytest.raises(CommandFailed, match="None of the containers"):
        list(logs.streams_of(ecs, target.tasks(ecs, "web", "default"), None))
    with pytest.raises(CommandFailed, match="no container app"):
        list(logs.streams_of(ecs, target.tasks(ecs, "web", "default"), "app"))


def test_every_line_is_shown_once_in_the_order_of_time_even_if_it_comes_late() -> None:
    cloudwatch, stream = CloudWatch(), a_stream()
    reader = Reader(cloudwatch, pattern=None, begin=0)
    assert said(reader, stream) == []
    cloudwatch.events["/web"] = [event(3), event(1)]
    assert said(reader, stream) == ["line 1", "line 3"]
    cloudwatch.events["/web"].append(event(2))
    assert said(reader, stream) == ["line 2"]
    assert said(reader, stream) == []


def test_while_following_only_the_last_of_time_is_asked_for_again() -> None:
    cloudwatch, stream = CloudWatch(), a_stream()
    cloudwatch.events["/web"] = [event(1, at=1_000_000)]
    reader = Reader(cloudwatch, pattern="?ERROR", begin=500)
    assert said(reader, stream) == ["line 1"]
    said(reader, stream)
    assert [asked["startTime"] for asked in cloudwatch.asked] == [500, 1_000_000 - logs.LATECOMERS]
    assert {asked["filterPattern"] for asked in cloudwatch.asked} == {"?ERROR"}


def test_many_streams_are_asked_for_a_hundred_at_a_time_and_groups_apart() -> None:
    cloudwatch = CloudWatch()
    streams = [a_stream(f"s{number:03}") for number in range(150)] + [a_stream("s", group="/other")]
    said(Reader(cloudwatch, pattern=None, begin=0), *streams)
    # A group that is not there is asked once, whatever the number of its streams.
    cloudwatch.events = {"/web": [], "/other": []}
    cloudwatch.asked.clear()
    said(Reader(cloudwatch, pattern=None, begin=0), *streams)
    assert sorted((a["logGroupName"], len(a["logStreamNames"])) for a in cloudwatch.asked) == [
        ("/other", 1),
        ("/web", 50),
        ("/web", 100),
    ]


@pytest.mark.parametrize(
    ("span", "expected"), [("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("1w", 604_800)]
)
def test_spans_of_time(span: str, expected: int) -> None:
    assert logs.seconds(span) == expected


@pytest.mark.parametrize("span", ["", "5", "m", "-5m", "5 m", "5y"])
def test_what_is_no_span_is_refused(span: str) -> None:
    with pytest.raises(CommandFailed, match="no span of time"):
        logs.seconds(span)


def test_a_stream_that_is_not_there_yet_hides_none_of_the_others() -> None:
    cloudwatch = CloudWatch()
    streams = [a_stream(f"s{number}") for number in range(9)]
    cloudwatch.events["/web"] = [event(number, f"s{number}") for number in range(1, 9)]
    cloudwatch.missing = {"s0", "s5"}
    shown = said(Reader(cloudwatch, pattern=None, begin=0), *streams)
    assert shown == [f"line {number}" for number in (1, 2, 3, 4, 6, 7, 8)]
