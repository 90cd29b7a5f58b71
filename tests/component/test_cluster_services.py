"""Services of a whole cluster: what a person sees between CreateService and the last task gone."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.component.cluster import Cluster, a_cluster, clock
from trio.testing import MockClock

from wherry.agent.runtime.fake.script import Script
from wherry.model.network import NetworkInterface
from wherry.model.task import Task
from wherry.settings import Timing

pytestmark = pytest.mark.anyio

HEALTH_CHECK = {"command": ["CMD", "true"]}


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def a_steady_service(cluster: Cluster, **changes: Any) -> None:
    await cluster.register()
    await cluster.create(**changes)
    await cluster.steady()


def anonymous(sentences: list[str]) -> list[str]:
    """Leave the ids of tasks and deployments out."""
    return [re.sub(r"( ?\(task \w{32}\))+", " TASKS", re.sub(r"ecs-svc/\d{19}", "D", said)) for said in sentences]


async def test_a_service_begins_and_is_steady_when_its_tasks_have_run_for_forty_seconds(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await cluster.register()
        await cluster.create(desiredCount=3)
        await cluster.until(lambda: running(cluster, 3), within=5)
        began = clock()
        await cluster.steady()
        assert clock() - began == pytest.approx(40, abs=0.1)
        await anyio.sleep(3600)
        assert anonymous(await cluster.said()) == [
            "has started 3 tasks: TASKS.",
            "(deployment D) deployment completed.",
            "has reached a steady state.",
        ]
        [host] = cluster.hosts
        assert len(host.running()) == 3


async def test_a_service_says_again_after_a_while_that_it_is_steady(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, timing=Timing(event_repeat=600)) as cluster:
        await a_steady_service(cluster, desiredCount=1)
        await anyio.sleep(1000)
        said = await cluster.said()
        assert said.count("has reached a steady state.") == 2


async def test_a_service_grows_and_shrinks(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await a_steady_service(cluster)
        old = {task.task_arn for task in await cluster.tasks("web")}
        await cluster.update(desiredCount=5)
        await cluster.steady()
        assert len(await cluster.tasks("web", last_status="RUNNING")) == 5

        await cluster.update(desiredCount=2)
        await cluster.until(lambda: running(cluster, 2))
        await cluster.until(lambda: stopped(cluster, 3))
        gone = await cluster.tasks("web", last_status="STOPPED")
        # The newest go first.
        assert not old & {task.task_arn for task in gone}
        assert {task.stop_code for task in gone} == {"ServiceSchedulerInitiated"}
        assert all(
            re.fullmatch(r"Scaling activity initiated by \(deployment ecs-svc/\d{19}\)", t.stopped_reason) for t in gone
        )
        assert len(await cluster.rows(NetworkInterface)) == 2
        await cluster.update(desiredCount=0)
        await cluster.until(lambda: stopped(cluster, 5))
        assert cluster.hosts[0].engine.containers == {}
        assert cluster.hosts[0].engine.sandboxes == {}
        assert await cluster.rows(NetworkInterface) == []
        steady = "has reached a steady state."
        assert [said for said in anonymous(await cluster.said()) if said != steady][2:] == [
            "has started 3 tasks: TASKS.",
            "has stopped 3 running tasks: TASKS.",
            "has stopped 2 running tasks: TASKS.",
        ]


@pytest.mark.parametrize(
    ("minimum", "maximum", "fewest", "most"),
    [(100, 200, 4, 8), (50, 100, 2, 4), (0, 100, 0, 4), (100, 125, 4, 5), (75, 150, 3, 6), (25, 200, 4, 8)],
)
async def test_a_rollout_keeps_between_floor_and_ceiling_and_uses_them(
    tmp_path: Path, minimum: int, maximum: int, fewest: int, most: int
) -> None:
    async with a_cluster(tmp_path) as cluster:
        configuration = {"minimumHealthyPercent": minimum, "maximumPercent": maximum}
        await a_steady_service(cluster, desiredCount=4, deploymentConfiguration=configuration)
        cluster.rules.forget_extremes()
        new = await cluster.register()
        await cluster.update(taskDefinition=new)
        await cluster.steady()
        tasks = await cluster.tasks("web", last_status="RUNNING")
        assert [task.task_definition_arn for task in tasks] == [new] * 4
        assert (cluster.rules.fewest_healthy["web"], cluster.rules.most_living["web"]) == (fewest, most)
        await cluster.until(lambda: stopped(cluster, 4))
        assert len(cluster.hosts[0].running()) == 4


async def test_a_rollout_says_what_it_does_in_order(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await a_steady_service(cluster)
        before = len(await cluster.said())
        await cluster.register()
        await cluster.update(taskDefinition="web")
        await cluster.steady()
        assert anonymous((await cluster.said())[before:]) == [
            "has started 2 tasks: TASKS.",
            "has stopped 2 running tasks: TASKS.",
            "(deployment D) deployment completed.",
            "has reached a steady state.",
        ]


async def test_a_forced_deployment_replaces_every_task(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await a_steady_service(cluster)
        old = {task.task_arn for task in await cluster.tasks("web")}
        service = await cluster.update(forceNewDeployment=True)
        assert [d["status"] for d in service["deployments"]] == ["PRIMARY", "ACTIVE"]
        await cluster.steady()
        new = await cluster.tasks("web", last_status="RUNNING")
        assert len(new) == 2
        assert not old & {task.task_arn for task in new}
        assert len({task.task_definition_arn for task in await cluster.tasks("web")}) == 1


async def test_a_rollout_overtaken_twice_ends_with_the_last(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await a_steady_service(cluster, desiredCount=4)
        for seconds in (1.0, 20.0, 0.0):
            newest = await cluster.register()
            await cluster.update(taskDefinition=newest)
            await anyio.sleep(seconds)
        await cluster.steady()
        assert {task.task_definition_arn for task in await cluster.tasks("web", last_status="RUNNING")} == {newest}


async def test_what_the_floor_owes_the_old_revision_is_not_forgotten_when_the_new_one_is_overtaken(
    tmp_path: Path,
) -> None:
    async with a_cluster(tmp_path) as cluster:
        await a_steady_service(cluster, desiredCount=1)
        [host], [first] = cluster.hosts, await cluster.tasks("web")
        slow = Script(pull_seconds=1000)
        await cluster.update(taskDefinition=await cluster.register(image="fake/slow", does=slow))
        await anyio.sleep(60)
        # The old task ends, and so does the one that is started in its place: the next has to wait a little.
        cluster.scripts["fake/web"] = Script(run_for=3, exit_code=1)
        host.engine.kill(host.container_of(first.task_arn).id)
        await cluster.until(lambda: stopped(cluster, 2), within=20)
        cluster.scripts["fake/web"] = Script()
        await cluster.update(taskDefinition=await cluster.register(image="fake/slow"))
        await cluster.until(lambda: running(cluster, 1), within=20)
        [task] = await cluster.tasks("web", last_status="RUNNING")
        assert task.task_definition_arn == first.task_definition_arn
        await cluster.steady()


async def test_the_circuit_breaker_opens_and_rolls_back(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
        await a_steady_service(cluster, deploymentConfiguration=breaker)
        good = {task.task_arn for task in await cluster.tasks("web")}
        before = len(await cluster.said())
        bad = await cluster.register(image="fake/bad", does=Script(start_error="no such command"))
        await cluster.update(taskDefinition=bad)
        await cluster.until(lambda: shows(cluster, taskDefinition=bad[:-1] + "1"))
        await cluster.steady()
        assert {task.task_arn for task in await cluster.tasks("web", last_status="RUNNING")} == good
        said = [s for s in anonymous((await cluster.said())[before:]) if not s.startswith("has started")]
        assert said == [
            "(deployment D) deployment failed: tasks failed to start.",
            "rolling back to deployment D.",
            "(deployment D) deployment completed.",
            "has reached a steady state.",
        ]
        failed = [t for t in await cluster.tasks("web") if t.task_definition_arn == bad]
        assert len(failed) >= 3
        assert {(t.stop_code, t.stopped_reason) for t in failed} >= {
            ("TaskFailedToStart", "CannotStartContainerError: no such command")
        }
        newest, *_ = (await cluster("ListServiceDeployments", service="web"))["serviceDeployments"]
        assert newest["status"] == "ROLLBACK_SUCCESSFUL"


async def test_the_circuit_breaker_without_rollback_leaves_the_old_tasks(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
        await a_steady_service(cluster, deploymentConfiguration=breaker)
        bad = await cluster.register(image="fake/bad", does=Script(pull_error="denied"))
        await cluster.update(taskDefinition=bad)
        await cluster.until(lambda: primary(cluster, rolloutState="FAILED"))
        failed = len(await cluster.tasks("web"))
        await anyio.sleep(3600)
        service = await cluster.describe()
        assert (service["runningCount"], service["pendingCount"]) == (2, 0)
        assert [d["rolloutState"] for d in service["deployments"]] == ["FAILED", "COMPLETED"]
        assert len(await cluster.tasks("web")) == failed


async def test_starts_that_fail_are_tried_again_after_pauses_that_double_up_to_a_quarter_of_an_hour(
    tmp_path: Path,
) -> None:
    async with a_cluster(tmp_path) as cluster:
        await cluster.register(does=Script(pull_error="denied"))
        await cluster.create(desiredCount=1)
        await anyio.sleep(2 * 3600)
        starts = [task.created_at for task in await cluster.tasks("web")]
        pauses = [after - before for before, after in pairwise(starts)]
        expected = [10, 20, 40, 80, 160, 320, 640, *[900] * 6]
        assert pauses == pytest.approx(expected, abs=2)
        said = await cluster.said()
        throttled = [s for s in said if s.startswith("is unable to consistently start tasks successfully.")]
        assert len(throttled) == 1

        # What heals is used at the next try, and what ran well is started at once from then on.
        cluster.scripts.clear()
        await cluster.steady()
        [task] = await cluster.tasks("web", last_status="RUNNING")
        cluster.hosts[0].engine.kill(cluster.hosts[0].container_of(task.task_arn).id)
        await cluster.until(lambda: running(cluster, 0), within=5)
        await cluster.until(lambda: running(cluster, 1), within=15)


async def test_a_task_that_ends_is_replaced_and_keeps_its_exit_code(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await a_steady_service(cluster)
        [host] = cluster.hosts
        victim, other = await cluster.tasks("web")
        host.engine.kill(host.container_of(victim.task_arn).id, exit_code=9)
        await cluster.until(lambda: stopped(cluster, 1))
        await cluster.steady()
        [task] = (await cluster("DescribeTasks", tasks=[victim.task_arn]))["tasks"]
        assert (task["lastStatus"], task["desiredStatus"]) == ("STOPPED", "STOPPED")
        assert (task["stopCode"], task["stoppedReason"]) == (
            "EssentialContainerExited",
            "Essential container in task exited",
        )
        assert task["containers"][0]["exitCode"] == 9
        assert other.task_arn in {t.task_arn for t in await cluster.tasks("web", last_status="RUNNING")}


async def test_an_unhealthy_task_is_replaced_before_it_is_stopped(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await cluster.register(does=Script(unhealthy_after=100), container={"healthCheck": HEALTH_CHECK})
        await cluster.create()
        await cluster.until(lambda: running(cluster, 2))
        cluster.scripts.clear()
        first = {task.task_arn for task in await cluster.tasks("web")}
        await cluster.steady(within=30)
        cluster.rules.forget_extremes()
        await cluster.until(lambda: stopped(cluster, 2))
        await cluster.steady()
        stopped_tasks = await cluster.tasks("web", last_status="STOPPED")
        assert {task.task_arn for task in stopped_tasks} == first
        assert {task.stopped_reason for task in stopped_tasks} == {"Task failed container health checks"}
        assert cluster.rules.most_living["web"] > 2
        said = anonymous(await cluster.said())
        assert "has started 2 tasks: TASKS. Amazon ECS replaced 2 tasks due to an unhealthy status." in said
        assert sum("failed container health checks." in sentence for sentence in said) == 2


async def test_health_checks_decide_when_a_deployment_is_through(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await cluster.register(does=Script(healthy_after=300), container={"healthCheck": HEALTH_CHECK})
        began = clock()
        await cluster.create()
        await cluster.steady()
        assert clock() - began == pytest.approx(300, abs=2)


async def test_protection_keeps_tasks_for_as_long_as_it_holds(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await a_steady_service(cluster, desiredCount=3)
        arns = [task.task_arn for task in await cluster.tasks("web")]
        await cluster(
            "UpdateTaskProtection", cluster="default", tasks=arns, protectionEnabled=True, expiresInMinutes=60
        )
        until = clock() + 3600
        await cluster.update(desiredCount=1)
        await anyio.sleep(3590)
        assert len(await cluster.tasks("web", last_status="RUNNING")) == 3
        assert any(
            "Reason: The number of protected tasks are more than the desired count" in s for s in await cluster.said()
        )
        await cluster.until(lambda: stopped(cluster, 2), within=60)
        assert clock() == pytest.approx(until, abs=5)


async def test_a_service_deleted_by_force_drains_and_leaves_nothing_running(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await a_steady_service(cluster, desiredCount=3)
        deleted = (await cluster("DeleteService", service="web", force=True))["service"]
        assert (deleted["status"], deleted["desiredCount"]) == ("DRAINING", 0)
        await cluster.boto3_waits("services_inactive", services=["web"])
        await cluster.until(lambda: stopped(cluster, 3))
        assert cluster.hosts[0].engine.containers == {}
        assert await cluster.rows(NetworkInterface) == []
        assert (await cluster("ListServices"))["serviceArns"] == []

        # Its name is free again.
        await cluster.create()
        await cluster.steady()


async def test_the_waiters_of_boto3_come_to_their_ends(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await cluster.register()
        await cluster.create()
        await cluster.boto3_waits("services_stable", services=["web"])
        ran = await cluster.run_task(count=3)
        arns = [task["taskArn"] for task in ran["tasks"]]
        await cluster.boto3_waits("tasks_running", tasks=arns)
        for arn in arns:
            await cluster("StopTask", task=arn, reason="enough")
        await cluster.boto3_waits("tasks_stopped", tasks=arns)
        found = await cluster.tasks(started_by=None, service_arn=None)
        assert {(task.stop_code, task.stopped_reason) for task in found} == {("UserInitiated", "enough")}
        await cluster.register()
        await cluster.update(taskDefinition="web")
        await cluster.boto3_waits("services_stable", services=["web"])
        await cluster.update(desiredCount=0)
        await cluster.boto3_waits("services_stable", services=["web"])
        await cluster("DeleteService", service="web")
        await cluster.boto3_waits("services_inactive", services=["web"])


async def test_a_task_that_ignores_the_signal_is_killed_after_its_timeout(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await cluster.register(does=Script(ignore_stop=True), container={"stopTimeout": 90})
        [task] = (await cluster.run_task())["tasks"]
        await cluster.boto3_waits("tasks_running", tasks=[task["taskArn"]])
        await cluster("StopTask", task=task["taskArn"])
        began = clock()
        await cluster.until(lambda: stopped(cluster, 1, None))
        assert clock() - began == pytest.approx(90, abs=1)
        [stopped_task] = await cluster.rows(Task)
        assert stopped_task.containers[0].exit_code == 137


def disks(size: int) -> list[dict[str, Any]]:
    return [{"name": "data", "managedEBSVolume": {"roleArn": "ebs", "sizeInGiB": size}}]


async def test_every_task_of_a_service_has_a_disk_and_the_next_one_a_new_one(tmp_path: Path) -> None:
    at_launch = {"volumes": [{"name": "data", "configuredAtLaunch": True}]}
    mounts = {"mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}
    async with a_cluster(tmp_path) as cluster:
        [host] = cluster.hosts
        await cluster.register(container=mounts, **at_launch)
        await cluster.create(desiredCount=2, volumeConfigurations=disks(10))
        await cluster.until(lambda: running(cluster, 2))
        first = await disks_of_machine(cluster)
        assert sorted(first.values()) == [10, 10]
        await host.kill_agent()
        await host.start_agent()
        await anyio.sleep(60)
        assert await disks_of_machine(cluster) == first, "an agent's death changes nothing"
        host.engine.kill(host.running()[0].id)
        await cluster.until(lambda: stopped(cluster, 1))
        await cluster.until(lambda: running(cluster, 2))
        second = await disks_of_machine(cluster)
        assert (len(second), len(second.keys() & first.keys())) == (2, 1)
        await cluster.steady()
        await cluster.update(volumeConfigurations=disks(20))
        await cluster.steady()
        third = await disks_of_machine(cluster)
        assert (sorted(third.values()), third.keys() & second.keys()) == ([20, 20], set())


async def test_a_rollback_brings_back_the_disks_of_before(tmp_path: Path) -> None:
    at_launch = {"volumes": [{"name": "data", "configuredAtLaunch": True}]}
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    async with a_cluster(tmp_path) as cluster:
        await cluster.register(**at_launch)
        await cluster.create(desiredCount=1, volumeConfigurations=disks(10), deploymentConfiguration=breaker)
        await cluster.steady()
        await cluster.update(volumeConfigurations=disks(16000))
        await cluster.until(lambda: primary(cluster, volumeConfigurations=disks(10), rolloutState="COMPLETED"))
        assert sorted((await disks_of_machine(cluster)).values()) == [10]
        reasons = {task.stopped_reason or "" for task in await cluster.tasks("web") if task.is_stopped}
        assert any("ResourceInitializationError" in reason for reason in reasons)


async def disks_of_machine(cluster: Cluster) -> dict[str, int]:
    """Tell the sizes of the disks that the one host has, by their ids; every one is a running task's."""
    [host] = cluster.hosts
    found = {disk.id: disk.size_gib for one in host.engine.disks.values() for disk in one}
    wanted = [task.volume for task in await cluster.tasks("web") if not task.is_stopped and task.volume is not None]
    assert found.keys() == {volume.volume_id for volume in wanted}
    return found


async def running(cluster: Cluster, count: int, name: str | None = "web") -> bool:
    return len(await cluster.tasks(name, last_status="RUNNING")) == count


async def stopped(cluster: Cluster, count: int, name: str | None = "web") -> bool:
    return len(await cluster.tasks(name, last_status="STOPPED")) == count


async def shows(cluster: Cluster, **wanted: Any) -> bool:
    return wanted.items() <= (await cluster.describe()).items()


async def primary(cluster: Cluster, **wanted: Any) -> bool:
    return wanted.items() <= (await cluster.describe())["deployments"][0].items()
