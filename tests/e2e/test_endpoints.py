"""What a container finds at 169.254.170.2, through real networks: its own, and nobody else's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lab import Cluster, Wherry, a_wherry, address, container, eventually, inside, run
from tests.e2e.pictures import bare, script, web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]


def ask(runtime_id: str, url: str) -> Any:
    """Fetch JSON as the container does; None if it is refused."""
    found = subprocess.run(
        ["docker", "exec", runtime_id, "timeout", "5", "wget", "-q", "-O", "-", url], capture_output=True, check=False
    )
    return json.loads(found.stdout) if found.returncode == 0 else None


def variables(runtime_id: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in inside(runtime_id, "env").splitlines() if "=" in line)


def a_role(wherry: Wherry, name: str) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    role = wherry.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    return str(role["Arn"])


def started(cluster: Cluster, family: str, *containers: dict[str, Any], **members: Any) -> dict[str, Any]:
    definition = cluster.ecs.register_task_definition(
        family=family,
        containerDefinitions=list(containers),
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        **members,
    )["taskDefinition"]["taskDefinitionArn"]
    return cluster.running(cluster.run(definition, tags=[{"key": "team", "value": "red"}]))


@pytest.fixture(scope="module")
def task(shared: Wherry, cluster: Cluster) -> dict[str, Any]:
    both = web(), bare("side", dependsOn=[{"containerName": "web", "condition": "START"}])
    return started(cluster, "endpoints", *both, taskRoleArn=a_role(shared, "endpoints"))


def test_a_container_finds_itself_and_its_task(task):
    own = container(task, "web")["runtimeId"]
    uri = variables(own)["ECS_CONTAINER_METADATA_URI_V4"]
    found = ask(own, uri)
    assert (found["DockerId"], found["Name"], found["KnownStatus"]) == (own, "web", "RUNNING")
    assert found["Networks"][0]["IPv4Addresses"] == [address(task)]
    assert not any(name.startswith("wherry.") for name in found["Labels"])
    whole = ask(own, f"{uri}/taskWithTags")
    assert whole["TaskARN"] == task["taskArn"]
    assert whole["AvailabilityZone"] == task["availabilityZone"]
    assert {one["Name"]: one["DockerId"] for one in whole["Containers"]} == {
        one["name"]: one["runtimeId"] for one in task["containers"]
    }
    assert whole["TaskTags"] == {"team": "red"}
    assert 0 < whole["EphemeralStorageMetrics"]["Utilized"] < whole["EphemeralStorageMetrics"]["Reserved"]


def test_statistics_are_those_of_the_task(task):
    own = container(task, "web")["runtimeId"]
    uri = variables(own)["ECS_CONTAINER_METADATA_URI_V4"]
    first = ask(own, f"{uri}/stats")
    assert first["id"] == own
    assert first["memory_stats"]["usage"] > 0
    assert first["network_rate_stats"]["rx_bytes_per_sec"] >= 0
    assert first["networks"]["eth0"]["rx_bytes"] > 0
    every = ask(own, f"{uri}/task/stats")
    assert every.keys() == {one["runtimeId"] for one in task["containers"]}
    assert every[own]["networks"]["eth0"]["rx_bytes"] > first["networks"]["eth0"]["rx_bytes"] or (
        every[own]["read"] == first["read"]
    )


def test_credentials_and_tokens_are_for_their_own_task_alone(cluster, task):
    own = container(task, "web")["runtimeId"]
    mine = variables(own)
    credentials = "http://169.254.170.2" + mine["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    assert ask(own, credentials)["RoleArn"].endswith("role/endpoints")
    other = started(cluster, "stranger", bare("app"))["containers"][0]["runtimeId"]
    theirs = variables(other)
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in theirs
    assert ask(other, theirs["ECS_CONTAINER_METADATA_URI_V4"])["DockerId"] == other
    stolen = [credentials, mine["ECS_CONTAINER_METADATA_URI_V4"], mine["ECS_CONTAINER_METADATA_URI"]]
    forged = mine["ECS_CONTAINER_METADATA_URI_V4"][:-1] + "!"
    assert [ask(other, url) for url in (*stolen, forged)] == [None] * 4
    assert ask(own, forged) is None
    # Nor does the host itself get what is a task's, nor anybody on a bridge of Docker's.
    host = [run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url).stdout for url in stolen]
    assert host == ["400", "404", "400"]
    bridged = ["docker", "run", "--rm", "wherry-e2e/bare:1", "timeout", "5", "wget", "-q", "-O", "-", credentials]
    assert subprocess.run(bridged, capture_output=True, check=False).returncode != 0


def test_task_protection_is_asked_for_in_the_name_of_the_tasks_role(shared, task):
    own = container(task, "web")["runtimeId"]
    path = variables(own)["ECS_AGENT_URI"] + "/task-protection/v1/state"
    assert ask(own, path) is None
    statement = {"Effect": "Allow", "Action": "ecs:GetTaskProtection", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    shared.client("iam").put_role_policy(RoleName="endpoints", PolicyName="protect", PolicyDocument=policy)
    # It is no service's task, which only ECS can say.
    assert ask(own, path)["failure"]["Reason"] == "TASK_NOT_VALID"


def test_a_container_that_has_just_started_already_finds_them(cluster):
    text = "wget -q -O - $ECS_CONTAINER_METADATA_URI_V4 > /tmp/found && cat /tmp/found && echo && sleep 60"
    task = started(cluster, "early", script("app", text))
    own = task["containers"][0]["runtimeId"]
    said = eventually("the container to have asked", lambda: run("docker", "logs", own).stdout)
    assert json.loads(said)["KnownStatus"] == "RUNNING"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Wherry, Wherry]]:
    with a_wherry(tmp_path / "one") as one, a_wherry(tmp_path / "two") as two:
        yield one, two


def test_agents_of_one_host_answer_for_each_other_and_outlive_each_other(pair):
    asked = []
    for name, wherry in zip(("one", "two"), pair, strict=True):
        program = wherry.up()
        cluster = Cluster(wherry)
        own = started(cluster, name, bare("app"))["containers"][0]["runtimeId"]
        asked.append((own, variables(own)["ECS_CONTAINER_METADATA_URI_V4"], program))
    # Each connection comes to whichever of them the kernel chooses.
    for own, uri, _ in asked * 8:
        assert ask(own, uri)["DockerId"] == own
    asked[0][2].kill()
    own, uri, _ = asked[1]
    # There is nothing to wait for.
    assert [ask(own, uri)["DockerId"] for _ in range(8)] == [own] * 8
    # An agent that comes back knows its containers by the tokens that they were given.
    pair[0].up()
    own, uri, _ = asked[0]
    assert eventually("the agent to answer again", lambda: ask(own, uri))["DockerId"] == own
    # And what a killed agent leaves of its own goes with `wherry down`.
    asked[1][2].kill()
    left = Path("/run/wherry/endpoints") / f"{pair[1].instance}.sock"
    assert left.exists()
    pair[1].down()
    assert not left.exists()
