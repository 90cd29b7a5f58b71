"""The life of a task: from RunTask to STOPPED, as a client of the API sees it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.lab import QUICKLY, Cluster, Wherry, container, eventually
from tests.e2e.pictures import BARE, EXITS, MISSING, USR1, bare, script, web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]

LADDER = ["PROVISIONING", "PENDING", "RUNNING", "STOPPING", "DEPROVISIONING", "STOPPED"]
TIMES = ["createdAt", "connectivityAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt"]


def ends(task: dict[str, Any]) -> tuple[str, str, list[int | None]]:
    codes = [one.get("exitCode") for one in task["containers"]]
    return task["stopCode"], task["stoppedReason"], codes


@pytest.mark.shows(
    "ContainerDefinition.name", "ContainerDefinition.image", "RegisterTaskDefinition.containerDefinitions"
)
def test_a_task_is_run_waited_for_stopped_and_waited_for(cluster: Cluster) -> None:
    ecs = cluster.ecs
    definition = cluster.register("life", web())
    arn = cluster.run(definition)
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig=QUICKLY)
    assert arn in ecs.list_tasks(family="life")["taskArns"]

    ecs.stop_task(task=arn, reason="the test is over")
    ecs.get_waiter("tasks_stopped").wait(tasks=[arn], WaiterConfig=QUICKLY)

    task = cluster.task(arn)
    assert ends(task) == ("UserInitiated", "the test is over", [0])
    assert task["desiredStatus"] == "STOPPED"
    assert arn not in ecs.list_tasks(family="life")["taskArns"]
    assert arn in ecs.list_tasks(family="life", desiredStatus="STOPPED")["taskArns"]
    times = [task[name] for name in TIMES]
    assert times == sorted(times), dict(zip(TIMES, times, strict=True))
    assert task["pullStartedAt"] <= task["pullStoppedAt"] <= task["startedAt"]


def test_the_aws_cli_runs_waits_for_and_stops_a_task(cluster: Cluster, shared: Wherry) -> None:
    cluster.register("by-cli", web())
    subnet = cluster.network["awsvpcConfiguration"]["subnets"][0]
    started = shared.aws(
        *("ecs", "run-task", "--task-definition", "by-cli", "--launch-type", "FARGATE"),
        *("--network-configuration", f"awsvpcConfiguration={{subnets=[{subnet}]}}"),
    )
    (task,) = started["tasks"]
    cluster.running(task["taskArn"])
    shared.aws("ecs", "wait", "tasks-running", "--tasks", task["taskArn"])
    shared.aws("ecs", "stop-task", "--task", task["taskArn"])
    assert ends(cluster.stopped(task["taskArn"]))[:2] == ("UserInitiated", "Task stopped by user")


def test_last_status_only_climbs(cluster: Cluster) -> None:
    arn = cluster.run(cluster.register("ladder", script("short", "sleep 1")))
    seen: list[str] = []

    def look() -> bool:
        status = cluster.task(arn)["lastStatus"]
        if not seen or seen[-1] != status:
            seen.append(status)
        return bool(status == "STOPPED")

    eventually("the end of the task", look)
    places = [LADDER.index(status) for status in seen]
    assert places == sorted(places), seen
    assert "RUNNING" in seen


@pytest.mark.shows("ContainerDefinition.essential")
@pytest.mark.parametrize("code", [0, 1, 42])
def test_an_essential_container_that_exits_ends_the_task_with_its_exit_code(cluster: Cluster, code: int) -> None:
    sidecar = script("sidecar", "trap 'exit 0' TERM; while true; do sleep 1 & wait $!; done")
    arn = cluster.run(cluster.register(f"exits-{code}", script("main", f"sleep 1; exit {code}"), sidecar))
    task = cluster.stopped(arn)
    assert ends(task) == ("EssentialContainerExited", "Essential container in task exited", [code, 0])


def test_a_container_that_is_not_essential_may_exit(cluster: Cluster) -> None:
    arn = cluster.run(cluster.register("spare", web(), script("helper", "exit 5", essential=False)))
    cluster.running(arn)
    helper = eventually("the helper's end", lambda: _stopped(cluster.task(arn), "helper"))
    assert helper["exitCode"] == 5
    assert cluster.task(arn)["lastStatus"] == "RUNNING"
    assert ends(cluster.stop(arn))[0] == "UserInitiated"


def _stopped(task: dict[str, Any], name: str) -> dict[str, Any] | None:
    found = container(task, name)
    return found if found["lastStatus"] == "STOPPED" else None


@pytest.mark.parametrize("limited", ["task", "container"])
def test_a_container_beyond_its_memory_is_reported_as_ecs_does(cluster: Cluster, limited: str) -> None:
    limit = {"memory": 32} if limited == "container" else {}
    eater = bare("eater", "tail", "/dev/zero", **limit)
    task = cluster.stopped(cluster.run(cluster.register(f"eater-{limited}", eater)))
    assert ends(task) == ("EssentialContainerExited", "Essential container in task exited", [137])
    assert container(task, "eater")["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_an_image_that_does_not_exist_cannot_be_pulled(cluster: Cluster) -> None:
    arn = cluster.run(cluster.register("missing", {"name": "main", "image": MISSING}))
    task = cluster.stopped(arn)
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: ")
    main = container(task, "main")
    assert main["reason"].startswith("CannotPullContainerError: ")
    assert "exitCode" not in main
    assert "startedAt" not in task


def test_a_program_that_does_not_exist_cannot_be_started(cluster: Cluster) -> None:
    task = cluster.stopped(cluster.run(cluster.register("no-program", bare("main", "/no/such/program"))))
    assert task["stopCode"] == "TaskFailedToStart"
    assert container(task, "main")["reason"].startswith("CannotStartContainerError: ")


@pytest.mark.shows("ContainerDefinition.dependsOn", "ContainerDependency")
def test_init_containers_run_before_what_depends_on_them(cluster: Cluster) -> None:
    arn = cluster.run(
        cluster.register(
            "ordered",
            script("must-succeed", "sleep 1", essential=False),
            script("may-fail", "exit 9", essential=False),
            web(
                dependsOn=[
                    {"containerName": "must-succeed", "condition": "SUCCESS"},
                    {"containerName": "may-fail", "condition": "COMPLETE"},
                ]
            ),
        )
    )
    task = cluster.running(arn)
    assert container(task, "must-succeed")["exitCode"] == 0
    assert container(task, "may-fail")["exitCode"] == 9
    cluster.stop(arn)


def test_a_failed_init_container_keeps_its_dependants_from_starting(cluster: Cluster) -> None:
    arn = cluster.run(
        cluster.register(
            "init-fails",
            script("init", "exit 1", essential=False),
            web(dependsOn=[{"containerName": "init", "condition": "SUCCESS"}]),
        )
    )
    task = cluster.stopped(arn)
    assert task["stopCode"] == "TaskFailedToStart"
    assert "exitCode" not in container(task, "web")
    assert "dependency did not exit successfully" in container(task, "web")["reason"]
    assert container(task, "init")["exitCode"] == 1


CHECK = {"command": ["CMD-SHELL", "timeout 1 wget -q -O - http://127.0.0.1:8080/"], "interval": 5, "timeout": 2}


@pytest.mark.shows(
    "ContainerDefinition.healthCheck", "HealthCheck.command", "HealthCheck.interval", "HealthCheck.retries"
)
def test_health_is_seen_and_waited_for(cluster: Cluster) -> None:
    arn = cluster.run(
        cluster.register(
            "healthy",
            web(healthCheck=CHECK | {"retries": 1}),
            bare("after", dependsOn=[{"containerName": "web", "condition": "HEALTHY"}], stopTimeout=2),
        )
    )
    task = cluster.running(arn)
    assert container(task, "web")["healthStatus"] == "HEALTHY"
    eventually("the task to be HEALTHY", lambda: cluster.task(arn)["healthStatus"] == "HEALTHY")
    assert container(cluster.task(arn), "after")["healthStatus"] == "UNKNOWN"
    cluster.stop(arn)


def test_a_failing_check_makes_a_task_unhealthy_and_leaves_it_running(cluster: Cluster) -> None:
    check = {"command": ["CMD", "false"], "interval": 5, "timeout": 2, "retries": 1}
    arn = cluster.run(cluster.register("unhealthy", web(healthCheck=check)))
    eventually("the task to be UNHEALTHY", lambda: cluster.task(arn)["healthStatus"] == "UNHEALTHY")
    assert container(cluster.task(arn), "web")["healthStatus"] == "UNHEALTHY"
    assert cluster.task(arn)["lastStatus"] == "RUNNING"
    cluster.stop(arn)


def test_the_image_says_by_which_signal_it_stops(cluster: Cluster) -> None:
    arn = cluster.run(cluster.register("usr1", {"name": "main", "image": USR1, "stopTimeout": 30}))
    cluster.running(arn)
    assert ends(cluster.stop(arn))[2] == [17]


def test_what_does_not_stop_is_killed_after_its_stop_timeout(cluster: Cluster) -> None:
    arn = cluster.run(cluster.register("stubborn", {"name": "main", "image": BARE, "stopTimeout": 3}))
    cluster.running(arn)
    task = cluster.stop(arn)
    assert ends(task)[2] == [137]
    took = (task["executionStoppedAt"] - task["stoppingAt"]).total_seconds()
    assert 3 <= took < 10, took


def test_a_task_that_exits_at_once_has_run(cluster: Cluster) -> None:
    task = cluster.stopped(cluster.run(cluster.register("at-once", {"name": "main", "image": EXITS})))
    assert ends(task) == ("EssentialContainerExited", "Essential container in task exited", [3])


def test_a_task_can_be_stopped_before_it_runs(cluster: Cluster) -> None:
    arn = cluster.run(cluster.register("early", web()))
    assert ends(cluster.stop(arn))[0] == "UserInitiated"
