"""A cluster whose parts die, are cut off and come back: tasks go on, nothing is lost, nothing runs twice."""

from __future__ import annotations

from pathlib import Path
from random import Random

import anyio
import pytest
from tests.component.cluster import Cluster, a_cluster, clock
from trio.testing import MockClock

from wherry.agent.link.base import UnreachableError
from wherry.agent.runtime.fake.script import Script
from wherry.model.errors import ConflictException
from wherry.model.instance import ContainerInstance
from wherry.model.network import NetworkInterface
from wherry.settings import Timing

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def a_steady_service(cluster: Cluster, **changes: object) -> set[str]:
    await cluster.register()
    await cluster.create(**changes)
    await cluster.steady()
    return await running(cluster)


async def running(cluster: Cluster) -> set[str]:
    return {task.task_arn for task in await cluster.tasks(last_status="RUNNING")}


async def gone(cluster: Cluster, arn: str) -> bool:
    return [task.last_status for task in await cluster.rows_of_task(arn)] == ["STOPPED"]


async def test_an_agent_that_comes_back_adopts_its_tasks(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        tasks = await a_steady_service(cluster, desiredCount=3)
        [host] = cluster.hosts
        before = set(host.engine.containers)
        await host.kill_agent()
        await anyio.sleep(300)
        await host.start_agent()
        await cluster.until(cluster.all_connected)
        await anyio.sleep(600)
        assert await running(cluster) == tasks
        assert set(host.engine.containers) == before
        assert len(await cluster.rows(ContainerInstance)) == 1


async def test_what_ends_while_the_agent_is_away_is_told_with_its_exit_code(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        tasks = await a_steady_service(cluster)
        [host] = cluster.hosts
        victim = min(tasks)
        await host.kill_agent()
        await anyio.sleep(100)
        host.engine.kill(host.container_of(victim).id, exit_code=42)
        ended = clock()
        await anyio.sleep(100)
        assert await running(cluster) == tasks
        await host.start_agent()
        await cluster.until(lambda: gone(cluster, victim), within=60)
        [task] = await cluster.rows_of_task(victim)
        assert task.containers[0].exit_code == 42
        assert task.execution_stopped_at == pytest.approx(ended)
        await cluster.steady()


async def test_a_stop_that_was_asked_for_while_the_agent_was_away_is_carried_out_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with a_cluster(tmp_path) as cluster:
        await cluster.register()
        [task] = (await cluster.run_task())["tasks"]
        await cluster.boto3_waits("tasks_running", tasks=[task["taskArn"]])
        [host] = cluster.hosts
        await host.kill_agent()
        await cluster("StopTask", task=task["taskArn"])
        await anyio.sleep(200)
        assert len(host.running()) == 1
        await host.start_agent()
        await cluster.boto3_waits("tasks_stopped", tasks=[task["taskArn"]])
        assert host.engine.containers == {}


@pytest.mark.parametrize("seed", range(4))
async def test_an_agent_killed_at_any_moment_of_a_rollout_finishes_it(tmp_path: Path, seed: int) -> None:
    async with a_cluster(tmp_path, seed=seed) as cluster:
        slow = Script(pull_seconds=3, start_seconds=2)
        await cluster.register(does=slow)
        await cluster.create(desiredCount=3)
        [host], random = cluster.hosts, Random(seed)
        for _ in range(6):
            await anyio.sleep(random.choice([0, 0.01, random.uniform(0, 6), random.uniform(0, 60)]))
            await host.kill_agent()
            if random.random() < 0.3:
                await cluster.register(image=f"fake/{random.random()}", does=slow)
                await cluster.update(taskDefinition="web")
            await anyio.sleep(random.choice([0, random.uniform(0, 30)]))
            await host.start_agent()
        await converged(cluster, 3)


async def test_a_line_that_is_cut_stops_no_task_and_reports_come_later(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, timing=Timing(instance_lost_after=2 * 3600)) as cluster:
        tasks = await a_steady_service(cluster, desiredCount=3)
        [host] = cluster.hosts
        victim = min(tasks)
        await host.link.cut()
        await anyio.sleep(1800)
        host.engine.kill(host.container_of(victim).id, exit_code=3)
        await anyio.sleep(1800)
        assert await running(cluster) == tasks
        assert len(host.running()) == 2
        host.link.up = True
        await cluster.until(lambda: gone(cluster, victim), within=200)
        [task] = await cluster.rows_of_task(victim)
        assert task.containers[0].exit_code == 3
        await cluster.steady()
        assert len(tasks & await running(cluster)) == 2


async def test_a_line_on_which_all_is_lost_without_a_word_is_noticed_on_both_sides(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        tasks = await a_steady_service(cluster)
        [host] = cluster.hosts
        host.link.silent = True
        began = clock()
        await cluster.until(lambda: connected(cluster, 0), within=120)
        assert clock() - began <= 90
        await anyio.sleep(150)
        host.link.silent = False
        await cluster.until(cluster.all_connected, within=250)
        await anyio.sleep(600)
        assert await running(cluster) == tasks


async def test_answers_that_get_lost_double_nothing(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        [host] = cluster.hosts
        host.link.forgetful = 0.6
        await a_steady_service(cluster, desiredCount=4)
        await cluster.register()
        await cluster.update(taskDefinition="web")
        await converged(cluster, 4)


async def test_a_registration_whose_answer_was_lost_leaves_the_host_usable(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, agents=0) as cluster:
        cluster.forgetful = 0.9
        await cluster.add_host()
        tasks = await a_steady_service(cluster)
        assert len(tasks) == 2


async def test_a_host_that_is_cut_off_for_too_long_is_given_up_and_what_it_ran_is_replaced(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, agents=2) as cluster:
        tasks = await a_steady_service(cluster, desiredCount=4)
        lost, left = cluster.hosts
        assert (len(lost.running()), len(left.running())) == (2, 2)
        await lost.link.cut()
        await anyio.sleep(500)
        assert await running(cluster) == tasks
        await cluster.steady(within=1000)
        await cluster.until(lambda: replaced(cluster, tasks, 2), within=1000)
        assert len(left.running()) == 4
        assert len(lost.running()) == 2  # nobody can tell it

        lost.link.up = True
        await cluster.until(cluster.all_connected, within=300)
        await anyio.sleep(100)
        assert lost.engine.containers == {}
        assert lost.engine.sandboxes == {}
        await converged(cluster, 4)


async def test_an_engine_that_dies_and_comes_back_keeps_its_tasks(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        tasks = await a_steady_service(cluster)
        [host] = cluster.hosts
        host.engine.crash()
        await cluster.update(desiredCount=4)
        await anyio.sleep(200)
        assert await running(cluster) == tasks
        host.engine.restart()
        await converged(cluster, 4)
        assert tasks <= await running(cluster)


async def test_an_agent_connects_anew_every_half_hour_and_nothing_happens_to_its_tasks(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        tasks = await a_steady_service(cluster)
        [before] = await cluster.rows(ContainerInstance)
        await anyio.sleep(5000)
        [after] = await cluster.rows(ContainerInstance)
        assert after.manifest_sequence >= before.manifest_sequence + 2
        assert await running(cluster) == tasks


@pytest.mark.parametrize("seed", range(6))
async def test_a_control_plane_that_dies_at_any_moment_of_a_rollout_finishes_it(tmp_path: Path, seed: int) -> None:
    async with a_cluster(tmp_path, agents=2, seed=seed) as cluster:
        tasks = await a_steady_service(cluster, desiredCount=4)
        random = Random(seed)
        for number in range(3):
            await cluster.register(image=f"fake/{number}", does=Script(pull_seconds=2, start_seconds=1))
            await cluster.update(taskDefinition="web")
            for _ in range(4):
                await anyio.sleep(random.choice([0, 0.03, random.uniform(0, 5), random.uniform(0, 50)]))
                await cluster.stop_control_plane()
                await anyio.sleep(random.choice([0, random.uniform(0, 100)]))
                await cluster.start_control_plane()
        await converged(cluster, 4)
        assert not tasks & await running(cluster)


async def test_a_token_is_worth_the_same_after_a_restart_and_when_the_answer_never_came(tmp_path: Path) -> None:
    async with a_cluster(tmp_path) as cluster:
        await cluster.register()
        first = await cluster.run_task(count=2, clientToken="once")
        async with anyio.create_task_group() as group:
            group.start_soon(unanswered, cluster)
            await anyio.lowlevel.checkpoint()
            await cluster.stop_control_plane()
        await cluster.start_control_plane()
        again = await cluster.run_task(count=2, clientToken="once")
        assert arns(first) == arns(again)
        await cluster.until(cluster.all_connected)
        await cluster.run_task(count=3, clientToken="unanswered")
        assert len(await cluster.tasks()) == 5
        with pytest.raises(ConflictException):
            await cluster.run_task(count=1, clientToken="once")

        created = await cluster.create(clientToken="service")
        await cluster.restart_control_plane()
        assert (await cluster.create(clientToken="service"))["serviceArn"] == created["serviceArn"]
        assert len(created["deployments"]) == len((await cluster.describe())["deployments"]) == 1
        await cluster.steady()


async def unanswered(cluster: Cluster) -> None:
    """Ask for three tasks and perhaps never hear of them."""
    try:
        await cluster.run_task(count=3, clientToken="unanswered")
    except UnreachableError:
        return


def arns(answer: dict) -> list[str]:
    return sorted(task["taskArn"] for task in answer["tasks"])


async def connected(cluster: Cluster, count: int) -> bool:
    return sum(instance.agent_connected for instance in await cluster.rows(ContainerInstance)) == count


async def replaced(cluster: Cluster, tasks: set[str], count: int) -> bool:
    now = await running(cluster)
    return len(now) == len(tasks) and len(tasks - now) == count


async def converged(cluster: Cluster, count: int) -> None:
    """Hold that the service comes to rest with `count` tasks and that the machines run these and nothing else."""
    await cluster.steady()
    await anyio.sleep(200)
    tasks = await cluster.tasks(last_status="RUNNING")
    assert len(tasks) == count
    assert len({task.task_definition_arn for task in tasks}) == 1
    found = {c.task.arn for host in cluster.hosts for c in host.engine.containers.values()}
    assert found == {task.task_arn for task in tasks}
    assert {interface.task_arn for interface in await cluster.rows(NetworkInterface)} == found
    sandboxes = [task_id for host in cluster.hosts for _, task_id in host.engine.sandboxes]
    assert sorted(sandboxes) == sorted(task.task_id for task in tasks)
    assert await cluster.tasks(last_status=["PENDING", "PROVISIONING", "STOPPING", "DEPROVISIONING"]) == []
