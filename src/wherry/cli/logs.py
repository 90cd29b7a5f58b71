"""`wherry logs`: what the containers of a service or task have written, a colour for each task."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from wherry.cli import target
from wherry.cli.client import asking, connect
from wherry.cli.failure import CommandFailed
from wherry.cli.options import ClientOptions, decode

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_magenta")
PAUSE = 1.0
"""Seconds between two looks while following."""
LOOK_AGAIN = 5
"""Looks after which the tasks of a service are listed anew."""
LATECOMERS = 30_000
"""Milliseconds by which an event may come later than a newer one and is still shown: drivers send in batches."""
MOST_STREAMS = 100
"""Streams in one FilterLogEvents."""
_SPAN = re.compile(r"(\d+)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


class Stream(NamedTuple):
    """Where a container's lines are, and how they are marked."""

    group: str
    name: str
    label: str
    colour: str


def logs(
    name: Annotated[str, Parameter(help="A service, or a task: its ARN, its id or the start of it.")],
    *,
    follow: Annotated[
        bool, Parameter(name=["--follow", "-f"], negative="", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    container: Annotated[str | None, Parameter(name=["--container", "-c"], help="Only this container.")] = None,
    since: Annotated[str, Parameter(help="How far back: 30s, 5m, 2h, 1d.")] = "10m",
    pattern: Annotated[str | None, Parameter(name="--filter", help="A filter pattern of CloudWatch Logs.")] = None,
    cluster: Annotated[str, Parameter(help="The cluster.")] = "default",
    client: ClientOptions | None = None,
) -> None:
    """Show what containers have written to CloudWatch Logs; each task has a colour."""
    settings, console = decode(client), Console(highlight=False, soft_wrap=True)
    begin = round((time.time() - seconds(since)) * 1000)
    with asking(settings):
        ecs, cloudwatch = connect(settings, "ecs"), connect(settings, "logs")
        reader = Reader(cloudwatch, pattern=pattern, begin=begin)
        looks = 0
        streams: list[Stream] = []
        while True:
            if looks % LOOK_AGAIN == 0:
                streams = list(streams_of(ecs, target.tasks(ecs, name, cluster), container))
            for stream, event in reader.news(streams):
                console.print(line(stream, event))
            if not follow:
                return
            looks += 1
            time.sleep(PAUSE)


def seconds(span: str) -> int:
    """Read a span of time such as 5m; raises `CommandFailed`."""
    found = _SPAN.fullmatch(span)
    if found is None:
        raise CommandFailed(f"{span} is no span of time.", "Write 30s, 5m, 2h, 1d or 1w.")
    return int(found[1]) * _SECONDS[found[2]]


def streams_of(ecs: Any, tasks: list[dict[str, Any]], only: str | None) -> Iterator[Stream]:
    """Find the streams of the containers that log to CloudWatch Logs; raises `CommandFailed` if none does."""
    definitions: dict[str, Any] = {}
    names: set[str] = set()
    found = False
    for number, task in enumerate(tasks):
        arn = task["taskDefinitionArn"]
        if arn not in definitions:
            definitions[arn] = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        task_id = task["taskArn"].rsplit("/", 1)[-1]
        for defined in definitions[arn]["containerDefinitions"]:
            names.add(defined["name"])
            configuration = defined.get("logConfiguration") or {}
            if only not in (None, defined["name"]) or configuration.get("logDriver") != "awslogs":
                continue
            found = True
            options = configuration.get("options") or {}
            stream = f"{options.get('awslogs-stream-prefix', '')}/{defined['name']}/{task_id}"
            label = f"{task_id[:8]} {defined['name']}"
            yield Stream(options["awslogs-group"], stream.removeprefix("/"), label, COLOURS[number % len(COLOURS)])
    if only is not None and tasks and only not in names:
        raise CommandFailed(f"There is no container {only}.", f"There are {', '.join(sorted(names))}.")
    if tasks and not found:
        raise CommandFailed(
            "None of the containers logs to CloudWatch Logs.",
            'Give them a logConfiguration with logDriver "awslogs"; see docs/how-to/logs.md.',
        )


class Reader:
    """Asks for events, and gives each one out once."""

    def __init__(self, cloudwatch: Any, *, pattern: str | None, begin: int) -> None:
        """Begin with events of the time `begin`, in milliseconds."""
        self._cloudwatch = cloudwatch
        self._pattern = pattern
        self._begin = begin
        self._newest = begin
        self._shown: set[str] = set()
        self._order: deque[str] = deque(maxlen=200_000)

    def news(self, streams: Iterable[Stream]) -> Iterator[tuple[Stream, dict[str, Any]]]:
        """Yield what has not been given out yet, in the order of time."""
        found: list[tuple[Stream, dict[str, Any]]] = []
        by_group: dict[str, dict[str, Stream]] = {}
        for stream in streams:
            by_group.setdefault(stream.group, {})[stream.name] = stream
        begin = max(self._begin, self._newest - LATECOMERS)
        for group, named in by_group.items():
            names = sorted(named)
            for start in range(0, len(names), MOST_STREAMS):
                for event in self._events(group, names[start : start + MOST_STREAMS], begin):
                    if event["eventId"] not in self._shown:
                        self._remember(event["eventId"])
                        found.append((named[event["logStreamName"]], event))
        found.sort(key=lambda pair: int(pair[1]["timestamp"]))
        if found:
            self._newest = max(self._newest, int(found[-1][1]["timestamp"]))
        yield from found

    def _events(self, group: str, names: list[str], begin: int) -> Iterator[dict[str, Any]]:
        asked = {"logGroupName": group, "logStreamNames": names, "startTime": begin}
        if self._pattern is not None:
            asked["filterPattern"] = self._pattern
        try:
            for page in self._cloudwatch.get_paginator("filter_log_events").paginate(**asked):
                yield from page["events"]
        except self._cloudwatch.exceptions.ResourceNotFoundException:
            # One that is not there, of a container that has not written yet, hides none of those that are.
            half = len(names) // 2
            for part in (names[:half], names[half:]) if half else ():
                yield from self._events(group, part, begin)

    def _remember(self, event_id: str) -> None:
        if len(self._order) == self._order.maxlen:
            self._shown.discard(self._order[0])
        self._order.append(event_id)
        self._shown.add(event_id)


def line(stream: Stream, event: dict[str, Any]) -> Text:
    """Write an event as a line: whose it is, in the colour of its task, and what it says."""
    return Text.assemble((stream.label, stream.colour), " | ", str(event["message"]).rstrip("\n"))
