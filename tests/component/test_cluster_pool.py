"""Several hosts in one pool: who gets what, what happens when it is full, and what a host that shrinks keeps."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import anyio
import pytest
from msgspec import structs
from tests.component.cluster import Cluster, a_cluster
from trio.testing import MockClock

from wherry.model.network import NetworkInterface, Subnet
from wherry.model.task import Task

pytestmark = pytest.mark.anyio

TASK = {"cpu": "1024", "memory": "2048"}


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def running(cluster: Cluster, count: int) -> bool:
    return len(await cluster.tasks(last_status="RUNNING")) == count


async def stopped(cluster: Cluster, count: int) -> bool:
    return len(await cluster.tasks(last_status="STOPPED")) == count


async def test_tasks_spread_over_zones_and_hosts_and_live_in_their_zones_subnet(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, agents=0) as cluster:
        for zone in "abc":
            await cluster.add_host(zones=(f"us-east-1{zone}",))
        await cluster.register()
        await cluster.create(desiredCount=6)
        await cluster.steady()
        assert [len(host.running()) for host in cluster.hosts] == [2, 2, 2]
        zone_of = {subnet.subnet_id: subnet.availability_zone for subnet in await cluster.rows(Subnet)}
        tasks = await cluster.tasks()
        assert Counter(task.availability_zone for task in tasks) == {f"us-east-1{zone}": 2 for zone in "abc"}
        assert all(
            task.attachment and zone_of[task.attachment.subnet_id or ""] == task.availability_zone for task in tasks
        )

        # What shrinks stays spread.
        await cluster.update(desiredCount=3)
        await cluster.until(lambda: stopped(cluster, 3))
        assert [len(host.running()) for host in cluster.hosts] == [1, 1, 1]


async def test_a_host_that_joins_later_takes_its_share_of_what_starts_from_then_on(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await cluster.register()
        await cluster.create(desiredCount=4)
        await cluster.steady()
        await cluster.add_host()
        await cluster.update(desiredCount=8)
        await cluster.steady()
        assert [len(host.running()) for host in cluster.hosts] == [4, 4]


async def test_run_task_tells_for_how_many_there_is_no_room(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, cpu=2048, memory_mib=8192) as cluster:
        await cluster.register(**TASK)
        answer = await cluster.run_task(count=3)
        assert len(answer["tasks"]) == 2
        [failure] = answer["failures"]
        assert (
            failure["reason"]
            == "Capacity is unavailable at this time. Please try again later or in a different availability zone"
        )
        assert "insufficient CPU" in failure["detail"]
        assert len(await cluster.tasks()) == 2


async def test_a_service_says_once_that_there_is_no_room_and_starts_when_there_is(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, cpu=2048, memory_mib=8192) as cluster:
        await cluster.register(**TASK)
        await cluster.create(desiredCount=4)
        await cluster.until(lambda: running(cluster, 2))
        await anyio.sleep(3600)
        said = await cluster.said()
        assert sum(sentence.startswith("was unable to place a task. Reason: ") for sentence in said) == 1
        assert not any("steady state" in sentence for sentence in said)
        service = await cluster.describe()
        assert (service["runningCount"], service["pendingCount"]) == (2, 2)

        await cluster.add_host(cpu=2048, memory_mib=8192)
        await cluster.steady(within=60)
        assert [len(host.running()) for host in cluster.hosts] == [2, 2]


async def test_a_task_that_stops_makes_room_for_one_that_waits(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, cpu=1024, memory_mib=8192) as cluster:
        await cluster.register(**TASK)
        [blocker] = (await cluster.run_task())["tasks"]
        await cluster.create(desiredCount=1)
        await anyio.sleep(300)
        assert await running(cluster, 1)
        await cluster("StopTask", task=blocker["taskArn"])
        await cluster.steady(within=60)


async def test_a_rollout_on_a_full_cluster_gets_through_within_the_floor(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, cpu=4096, memory_mib=16384) as cluster:
        await cluster.register(**TASK)
        configuration = {"minimumHealthyPercent": 50, "maximumPercent": 200}
        await cluster.create(desiredCount=4, deploymentConfiguration=configuration)
        await cluster.steady()
        cluster.rules.forget_extremes()
        new = await cluster.register(**TASK)
        await cluster.update(taskDefinition=new)
        await cluster.steady()
        assert {t.task_definition_arn for t in await cluster.tasks(last_status="RUNNING")} == {new}
        assert cluster.rules.fewest_healthy["web"] >= 2


async def test_a_host_that_comes_back_with_half_the_memory_keeps_its_tasks_and_gets_no_more(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, cpu=4096, memory_mib=8192) as cluster:
        await cluster.register(**TASK)
        await cluster.create(desiredCount=3)
        await cluster.steady()
        tasks = {task.task_arn for task in await cluster.tasks()}
        [host] = cluster.hosts
        await host.kill_agent()
        host.options = structs.replace(host.options, memory=4096)
        await host.start_agent()
        await cluster.until(cluster.all_connected)
        await anyio.sleep(600)
        assert {task.task_arn for task in await cluster.tasks()} == tasks
        assert len(host.running()) == 3
        [failure] = (await cluster.run_task())["failures"]
        assert "insufficient memory" in failure["detail"]

        await cluster.update(desiredCount=1)
        await cluster.until(lambda: stopped(cluster, 2))
        assert (await cluster.run_task())["failures"] == []


async def test_a_host_that_never_comes_back_is_replaced_by_the_others(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, agents=3) as cluster:
        await cluster.register()
        await cluster.create(desiredCount=6)
        await cluster.steady()
        lost, *left = cluster.hosts
        arns = {container.task.arn for container in lost.running()}
        await lost.kill_agent()
        await anyio.sleep(900)
        await cluster.steady()
        assert [len(host.running()) for host in left] == [3, 3]
        dead = [task for task in await cluster.tasks() if task.task_arn in arns]
        assert {(task.last_status, task.desired_status) for task in dead} == {("STOPPED", "STOPPED")}
        assert len(await cluster.rows(NetworkInterface)) == 6


async def test_when_every_host_is_gone_tasks_wait_and_the_service_says_why(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        [host] = cluster.hosts
        await host.kill_agent()
        await cluster.register()
        await cluster.create(desiredCount=1)
        await anyio.sleep(120)
        [task] = await cluster.rows(Task)
        assert (task.last_status, task.container_instance_arn) == ("PROVISIONING", None)
        said = await cluster.said()
        assert any("doesn't have the agent connected" in sentence for sentence in said)
        await host.start_agent()
        await cluster.steady(within=120)
