"""A task injects faults into its own network, by its agent's endpoint, and takes them back."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from tests.e2e.lab import Cluster, Wherry, address, container, eventually, fetch, inside, inspected, reach, run
from tests.e2e.pictures import bare, web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]

INGRESS = {"Port": 8080, "Protocol": "tcp", "TrafficType": "ingress"}
EGRESS = INGRESS | {"TrafficType": "egress"}
EVERYBODY = {"Sources": ["0.0.0.0/0"]}


def started(cluster: Cluster, family: str, **members: Any) -> dict[str, Any]:
    """Run a task with a web server, and a container beside it."""
    definition = cluster.ecs.register_task_definition(
        family=family,
        containerDefinitions=[web(page=family), bare("side")],
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        **members,
    )["taskDefinition"]
    assert definition.get("enableFaultInjection") == members.get("enableFaultInjection")
    task = cluster.running(cluster.run(definition["taskDefinitionArn"]))
    reach(address(task), family)
    return task


@pytest.fixture(scope="module")
def task(cluster: Cluster) -> dict[str, Any]:
    return started(cluster, "brave", enableFaultInjection=True)


@pytest.fixture(scope="module")
def other(cluster: Cluster) -> dict[str, Any]:
    return started(cluster, "timid")


def post(task: dict[str, Any], path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, str]]:
    """Ask the agent from the task's network; returns the status of HTTP, and the answer."""
    own = str(container(task, "side")["runtimeId"])
    uri = inside(own, "sh", "-c", "echo $ECS_AGENT_URI")
    network = f"--net=/proc/{inspected(own)['State']['Pid']}/ns/net"
    asked = ("curl", "-s", "-m", "10", "-w", "\n%{http_code}", "-d", "" if body is None else json.dumps(body))
    said = run("nsenter", network, *asked, f"{uri}/fault/v1/{path}").stdout
    answer, _, status = said.rpartition("\n")
    return int(status), json.loads(answer)


def gets(task: dict[str, Any], host: str) -> bool:
    """Tell whether the task is served by a web server."""
    own = str(container(task, "side")["runtimeId"])
    url = f"http://{host}:8080/"
    done = subprocess.run(
        ["docker", "exec", own, "timeout", "3", "wget", "-q", "-O", "-", url], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.mark.shows("RegisterTaskDefinition.enableFaultInjection")
def test_a_black_hole_stops_connections_outlives_the_agent_and_is_taken_back(shared: Wherry, task: dict[str, Any]):
    hole = "network-blackhole-port"
    assert post(task, f"{hole}/status", INGRESS) == (200, {"Status": "not-running"})
    assert post(task, f"{hole}/start", INGRESS) == (200, {"Status": "running"})
    assert fetch(address(task)) is None
    shared.programs[-1].kill()
    shared.up()
    assert eventually("the agent to know", lambda: post(task, f"{hole}/status", INGRESS)) == (
        200,
        {"Status": "running"},
    )
    assert fetch(address(task)) is None
    # It is this port's, this direction's and this protocol's alone.
    for another in ({"Port": 8081}, {"TrafficType": "egress"}, {"Protocol": "udp"}):
        assert post(task, f"{hole}/status", INGRESS | another) == (200, {"Status": "not-running"})
    assert post(task, f"{hole}/stop", INGRESS) == (200, {"Status": "stopped"})
    assert fetch(address(task)) == "brave"
    assert post(task, f"{hole}/status", INGRESS) == (200, {"Status": "not-running"})


def test_a_black_hole_spares_whom_it_is_told_to(task: dict[str, Any], other: dict[str, Any]) -> None:
    hole = "network-blackhole-port"
    assert gets(task, address(other))
    assert post(task, f"{hole}/start", EGRESS) == (200, {"Status": "running"})
    assert not gets(task, address(other))
    assert fetch(address(task)) == "brave"
    assert post(task, f"{hole}/stop", EGRESS) == (200, {"Status": "stopped"})
    spared = EGRESS | {"SourcesToFilter": [address(other)]}
    assert post(task, f"{hole}/start", spared) == (200, {"Status": "running"})
    assert gets(task, address(other))
    assert not gets(task, address(task))
    assert post(task, f"{hole}/stop", EGRESS) == (200, {"Status": "stopped"})
    assert gets(task, address(task))


def test_who_black_holes_port_80_can_still_ask_for_the_end_of_it(task: dict[str, Any]) -> None:
    every = EGRESS | {"Port": 80}
    assert post(task, "network-blackhole-port/start", every) == (200, {"Status": "running"})
    assert post(task, "network-blackhole-port/stop", every) == (200, {"Status": "stopped"})


def test_a_task_that_is_not_for_it_has_no_faults(task: dict[str, Any], other: dict[str, Any]) -> None:
    refused = {"Error": f"enableFaultInjection is not enabled for task: {other['taskArn']}"}
    assert post(other, "network-blackhole-port/start", INGRESS) == (400, refused)
    assert fetch(address(other)) == "timid"
    own = str(container(task, "web")["runtimeId"])
    uri = inside(own, "sh", "-c", "wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task")
    assert json.loads(uri)["FaultInjectionEnabled"] is True


def test_latency_is_added_or_it_is_said_what_the_kernel_lacks(task: dict[str, Any]) -> None:
    body = EVERYBODY | {"DelayMilliseconds": 300, "JitterMilliseconds": 0}
    status, answer = post(task, "network-latency/start", body)
    if status == 200:
        assert post(task, "network-packet-loss/start", EVERYBODY | {"LossPercent": 5})[0] == 409
        assert post(task, "network-latency/status") == (200, {"Status": "running"})
    else:
        assert status == 500
        assert "sch_netem" in answer["Error"]
        assert "modprobe" in answer["Error"]
        assert post(task, "network-latency/status") == (200, {"Status": "not-running"})
    assert post(task, "network-latency/stop") == (200, {"Status": "stopped"})
    assert fetch(address(task)) == "brave"
