"""Services keep what they were asked to keep, through kills, rollouts and failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.e2e.lab import QUICKLY, Cluster, Wherry, address, container, eventually, fetch, reach, run
from tests.e2e.pictures import MISSING, bare, web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]


class Floor:
    """Counts how many tasks of a service answer, again and again; `lowest` is the fewest at any look."""

    def __init__(self, wherry: Wherry, service: str) -> None:
        self._cluster = Cluster(wherry)  # clients are not shared between threads
        self._service = service
        self._known: set[str] = set()
        self.over = threading.Event()
        self.counts: list[int] = []

    def sample(self) -> None:
        while not self.over.is_set():
            self._known |= {address(task) for task in self._cluster.tasks_of(self._service)}
            self.counts.append(sum(fetch(host) is not None for host in sorted(self._known)))


@contextmanager
def watched(wherry: Wherry, service: str) -> Iterator[Floor]:
    floor = Floor(wherry, service)
    thread = threading.Thread(target=floor.sample)
    thread.start()
    try:
        eventually("a first look", lambda: floor.counts)
        yield floor
    finally:
        floor.over.set()
        thread.join()


def answering(cluster: Cluster, name: str) -> list[str | None]:
    return [fetch(address(task)) for task in cluster.tasks_of(name)]


def test_a_service_becomes_stable_rolls_over_scales_and_goes(cluster: Cluster, shared: Wherry) -> None:
    first = cluster.register("web", web(page="one"))
    cluster.serve("web", first, 2)
    cluster.ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig=QUICKLY)
    cluster.stable("web")
    eventually("both to answer", lambda: answering(cluster, "web") == ["one", "one"])
    shared.aws("ecs", "wait", "services-stable", "--services", "web")

    second = cluster.register("web", web(page="two"))
    with watched(shared, "web") as floor:
        cluster.ecs.update_service(service="web", taskDefinition=second)
        cluster.stable("web")
    assert min(floor.counts) >= 2, floor.counts
    eventually("the new page", lambda: answering(cluster, "web") == ["two", "two"])

    cluster.ecs.update_service(service="web", desiredCount=3)
    assert cluster.stable("web")["runningCount"] == 3
    cluster.ecs.update_service(service="web", desiredCount=1)
    assert cluster.stable("web")["runningCount"] == 1
    (kept,) = cluster.tasks_of("web")

    cluster.ecs.update_service(service="web", forceNewDeployment=True)
    assert cluster.stable("web")["taskDefinition"] == second
    (fresh,) = cluster.tasks_of("web")
    assert fresh["taskArn"] != kept["taskArn"]
    gone = cluster.stopped(kept["taskArn"])
    assert gone["stopCode"] == "ServiceSchedulerInitiated"
    assert gone["stoppedReason"].startswith("Scaling activity initiated by (deployment ecs-svc/")

    events = cluster.events("web")
    assert events[0] == "(service web) has reached a steady state."
    cluster.remove("web")
    assert "web" not in str(cluster.ecs.list_services()["serviceArns"])
    assert cluster.service("web")["status"] == "INACTIVE"


def test_a_killed_container_has_its_task_replaced(cluster: Cluster) -> None:
    cluster.serve("kept", cluster.register("kept", web(), web("second", port=8081)), 1)
    cluster.stable("kept")
    (before,) = cluster.tasks_of("kept")
    run("docker", "kill", container(before, "web")["runtimeId"])
    old = cluster.stopped(before["taskArn"])
    assert (old["stopCode"], container(old, "web")["exitCode"]) == ("EssentialContainerExited", 137)
    assert container(old, "second")["exitCode"] == 0
    cluster.stable("kept")
    (after,) = cluster.tasks_of("kept")
    assert after["taskArn"] != before["taskArn"]
    reach(address(after), "web")
    cluster.remove("kept")


def test_a_removed_container_has_its_task_replaced(cluster: Cluster) -> None:
    cluster.serve("removed", cluster.register("removed", web()), 1)
    cluster.stable("removed")
    (before,) = cluster.tasks_of("removed")
    run("docker", "rm", "-f", container(before, "web")["runtimeId"])
    cluster.stopped(before["taskArn"])
    cluster.stable("removed")
    (after,) = cluster.tasks_of("removed")
    assert after["taskArn"] != before["taskArn"]
    cluster.remove("removed")


def test_a_task_that_becomes_unhealthy_is_replaced(cluster: Cluster) -> None:
    check = {"command": ["CMD-SHELL", "[ ! -e /tmp/ill ]"], "interval": 5, "timeout": 2, "retries": 1}
    cluster.serve("checked", cluster.register("checked", web(healthCheck=check)), 1)
    cluster.stable("checked")
    (before,) = cluster.tasks_of("checked")
    run("docker", "exec", container(before, "web")["runtimeId"], "sh", "-c", "echo > /tmp/ill")
    old = cluster.stopped(before["taskArn"])
    assert (old["stopCode"], old["stoppedReason"]) == (
        "ServiceSchedulerInitiated",
        "Task failed container health checks",
    )
    assert any(event.endswith("failed container health checks.") for event in cluster.events("checked"))
    cluster.stable("checked")
    cluster.remove("checked")


def test_the_circuit_breaker_rolls_back_to_what_worked(cluster: Cluster) -> None:
    good = cluster.register("breaker", web(page="good"))
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    cluster.serve("breaker", good, 1, deploymentConfiguration=breaker)
    cluster.stable("breaker")
    (kept,) = cluster.tasks_of("breaker")

    bad = cluster.register("breaker", bare("web", "/no/such/program"))
    cluster.ecs.update_service(service="breaker", taskDefinition=bad)
    rolled: dict[str, Any] = eventually("the rollback", lambda: _when(cluster.service("breaker"), good)) or {}
    assert rolled["deployments"][0]["rolloutState"] in {"IN_PROGRESS", "COMPLETED"}
    cluster.stable("breaker")
    assert answering(cluster, "breaker") == ["good"]
    assert [task["taskArn"] for task in cluster.tasks_of("breaker")] == [kept["taskArn"]]
    events = cluster.events("breaker")
    assert any(event.endswith("deployment failed: tasks failed to start.") for event in events), events
    assert any("rolling back to deployment" in event for event in events), events
    (newest, *_) = cluster.ecs.list_service_deployments(service="breaker")["serviceDeployments"]
    assert newest["status"] in {"ROLLBACK_SUCCESSFUL", "SUCCESSFUL"}
    cluster.remove("breaker")


def _when(service: dict[str, Any], task_definition: str) -> dict[str, Any] | None:
    return service if service["taskDefinition"] == task_definition else None


def test_an_image_that_cannot_be_had_is_tried_again_more_and_more_slowly(cluster: Cluster) -> None:
    cluster.serve("missing", cluster.register("missing", {"name": "web", "image": MISSING}), 1)
    told = "(service missing) is unable to consistently start tasks successfully."
    eventually("the event", lambda: any(event.startswith(told) for event in cluster.events("missing")))
    service = cluster.service("missing")
    assert service["runningCount"] == 0
    assert service["deployments"][0]["failedTasks"] >= 1
    cluster.remove("missing")


def test_a_service_may_go_gently(cluster: Cluster) -> None:
    cluster.serve("gentle", cluster.register("gentle", web()), 1)
    cluster.stable("gentle")
    with pytest.raises(cluster.ecs.exceptions.InvalidParameterException):
        cluster.ecs.delete_service(service="gentle")
    cluster.ecs.update_service(service="gentle", desiredCount=0)
    cluster.stable("gentle")
    cluster.ecs.delete_service(service="gentle")
    cluster.ecs.get_waiter("services_inactive").wait(services=["gentle"], WaiterConfig=QUICKLY)
