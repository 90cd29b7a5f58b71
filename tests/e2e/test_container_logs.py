"""What containers write arrives in CloudWatch Logs, whoever of Wherry dies meanwhile: no line lost, none twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.e2e.lab import PATIENCE, REGION, Cluster, Wherry, eventually
from tests.e2e.pictures import script

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]

ROLE = "ecsTaskExecutionRole"


def logging_to(group: str, container: dict[str, Any], **options: str) -> dict[str, Any]:
    """Have a container log to a group, under the prefix "app"."""
    own = {"awslogs-group": group, "awslogs-region": REGION, "awslogs-stream-prefix": "app"}
    given = {name.replace("_", "-"): value for name, value in options.items()}
    return container | {"logConfiguration": {"logDriver": "awslogs", "options": own | given}}


class Logs:
    """Groups of one Wherry and what is in them."""

    def __init__(self, wherry: Wherry) -> None:
        self.client = wherry.client("logs")
        self.cluster = Cluster(wherry)

    def group(self, name: str) -> str:
        self.client.create_log_group(logGroupName=name)
        return name

    def run(self, family: str, *containers: dict[str, Any]) -> str:
        """Run one task; returns its ARN."""
        made = self.cluster.ecs.register_task_definition(
            family=family,
            containerDefinitions=list(containers),
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            executionRoleArn=ROLE,
            cpu="256",
            memory="512",
        )
        return self.cluster.run(made["taskDefinition"]["taskDefinitionArn"])

    def lines(self, group: str, task_arn: str, container: str = "main") -> list[str]:
        """Read the whole stream of a task's container."""
        stream = f"app/{container}/{task_arn.rsplit('/', 1)[-1]}"
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            page = self.client.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
            found += [event["message"] for event in page["events"]]
            if page["nextForwardToken"] == more.get("nextToken"):
                return found
            more = {"nextToken": page["nextForwardToken"]}

    def settled(self, group: str, task_arn: str, complete: Callable[[list[str]], bool]) -> list[str]:
        """Read the stream once it has what it is to have; what it has in vain is for whoever called to judge."""
        deadline = time.monotonic() + PATIENCE
        while True:
            lines = self._lines_so_far(group, task_arn)
            if complete(lines) or time.monotonic() > deadline:
                return lines
            time.sleep(0.1)

    def _lines_so_far(self, group: str, task_arn: str) -> list[str]:
        try:
            return self.lines(group, task_arn)
        except self.client.exceptions.ResourceNotFoundException:
            return []


def counting(last: int, *, every: float = 0.01) -> dict[str, Any]:
    """Count to `last` on both outputs, then end."""
    text = f"i=0; while [ $i -lt {last} ]; do i=$((i+1)); echo line $i; echo also $i >&2; sleep {every}; done"
    return script("main", text)


def counted(last: int) -> list[str]:
    return [f"line {number}" for number in range(1, last + 1)]


def check_counted(lines: list[str], last: int) -> None:
    """Every line once, and those of each output in their order."""
    missing = {f"{word} {n}" for word in ("line", "also") for n in range(1, last + 1)} - set(lines)
    doubled = [line for line, times in Counter(lines).items() if times > 1]
    assert (sorted(missing), doubled) == ([], [])
    assert [line for line in lines if line.startswith("line")] == counted(last)
    assert [line for line in lines if line.startswith("also")] == [f"also {n}" for n in range(1, last + 1)]


@pytest.fixture(scope="module")
def logs(shared: Wherry) -> Logs:
    return Logs(shared)


@pytest.mark.shows("ContainerDefinition.logConfiguration", "LogConfiguration.logDriver", "LogConfiguration.options")
def test_what_a_container_writes_arrives_under_prefix_container_and_task(logs: Logs) -> None:
    group = logs.group("/arrives")
    task = logs.run("arrives", logging_to(group, counting(50)))

    check_counted(logs.settled(group, task, lambda lines: len(lines) == 100), 50)


def test_lines_are_joined_by_a_pattern_and_by_dates(logs: Logs) -> None:
    group = logs.group("/joined")
    text = "echo 'ERROR first'; echo '  at one'; echo '  at two'; echo 'ERROR second'; echo '  at three'; sleep 2"
    by_pattern = logs.run("pattern", logging_to(group, script("main", text), awslogs_multiline_pattern="^ERROR"))
    dated = "echo '[2026-11-26 10:00:00] first'; echo ' more'; echo '[2026-11-26 10:00:01] second'; sleep 2"
    by_date = logs.run(
        "dates", logging_to(group, script("main", dated), awslogs_datetime_format=r"\[%Y-%m-%d %H:%M:%S\]")
    )

    assert logs.settled(group, by_pattern, lambda lines: len(lines) == 2) == [
        "ERROR first\n  at one\n  at two\n",
        "ERROR second\n  at three\n",
    ]
    assert logs.settled(group, by_date, lambda lines: len(lines) == 2) == [
        "[2026-11-26 10:00:00] first\n more\n",
        "[2026-11-26 10:00:01] second\n",
    ]


def test_a_group_that_is_missing_fails_the_task_as_on_fargate(logs: Logs) -> None:
    task = logs.cluster.stopped(logs.run("missing", logging_to("/nowhere", script("main", "sleep 60"))))

    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"] == (
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
        "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. "
        ": exit status 1"
    )


def test_a_group_is_made_where_the_options_say_so_and_the_role_may(logs: Logs, shared: Wherry) -> None:
    container = logging_to("/made", script("main", "echo here; sleep 1"), awslogs_create_group="true")
    refused = logs.cluster.stopped(logs.run("made", container))
    # What AWS's policy for execution roles does not allow either.
    assert "AccessDeniedException" in refused["stoppedReason"]
    assert "not authorized to perform: logs:CreateLogGroup" in refused["stoppedReason"]

    allowed = {"Effect": "Allow", "Action": "logs:CreateLogGroup", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    shared.client("iam").put_role_policy(RoleName=ROLE, PolicyName="groups", PolicyDocument=policy)
    assert logs.settled("/made", logs.run("made", container), bool) == ["here"]


def test_drivers_of_the_engine_are_the_engines(shared: Wherry) -> None:
    made = shared.ecs.register_task_definition(
        family="files",
        containerDefinitions=[
            script("main", "echo to a file")
            | {"logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}}}
        ],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
    )["taskDefinition"]
    assert {"name": "com.amazonaws.ecs.capability.logging-driver.json-file"} in made["requiresAttributes"]


class Apart:
    """A control plane and an agent in processes of their own."""

    def __init__(self, wherry: Wherry) -> None:
        self.wherry = wherry
        self.server = wherry.start("server")
        self.agent = wherry.start("agent")
        eventually("the agent to join", wherry.joined)
        self.logs = Logs(wherry)


@pytest.fixture
def apart(own: Wherry) -> Apart:
    return Apart(own)


def test_a_control_plane_that_is_killed_costs_no_line(apart: Apart) -> None:
    logs, group = apart.logs, apart.logs.group("/plane")
    long = logs.run("long", logging_to(group, counting(1500)))
    waits = script("first", "sleep 3", essential=False)
    late = counting(200) | {"dependsOn": [{"containerName": "first", "condition": "SUCCESS"}]}
    starts = logs.run("starts", waits, logging_to(group, late))
    logs.settled(group, long, lambda lines: len(lines) > 100)
    apart.server.kill()
    time.sleep(8)
    apart.server = apart.wherry.start("server")
    eventually("the control plane to answer", apart.wherry.answers)

    check_counted(logs.settled(group, long, lambda lines: len(lines) == 3000), 1500)
    check_counted(logs.settled(group, starts, lambda lines: len(lines) == 400), 200)


@pytest.mark.parametrize("pause", [0.0, 3.0, 6.0])
def test_an_agent_that_is_killed_costs_no_line(apart: Apart, pause: float) -> None:
    logs, group = apart.logs, apart.logs.group("/agent")
    task = logs.run("long", logging_to(group, counting(1500)))
    logs.settled(group, task, lambda lines: len(lines) > 100)
    apart.agent.kill()
    time.sleep(pause)
    apart.agent = apart.wherry.start("agent")

    check_counted(logs.settled(group, task, lambda lines: len(lines) == 3000), 1500)
