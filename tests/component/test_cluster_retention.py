"""Nothing is kept for ever: after everything has stopped and its time has passed, the store is as it was at first."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from tests.component.cluster import Cluster, a_cluster
from trio.testing import MockClock

from wherry.agent.runtime.fake.script import Script
from wherry.model.account import IdempotencyToken
from wherry.model.cluster import Cluster as ClusterRow
from wherry.model.network import NetworkInterface
from wherry.model.service import Deployment, Service, ServiceEvent, ServiceRevision
from wherry.model.task import Task
from wherry.model.taskdef import TaskDefinition
from wherry.settings import Timing

pytestmark = pytest.mark.anyio

SOON = Timing(stopped_task_retention=300, inactive_retention=900, deployment_retention=1200, idempotency=600)
MORTAL = (Task, NetworkInterface, Service, Deployment, ServiceRevision, ServiceEvent, IdempotencyToken, TaskDefinition)


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def counts(cluster: Cluster) -> dict[str, int]:
    return {type_.__name__: len(await cluster.rows(type_)) for type_ in MORTAL}


async def test_after_all_is_stopped_and_deleted_and_its_time_has_passed_nothing_is_left(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, agents=2, timing=SOON) as cluster:
        definitions = [await cluster.register(), await cluster.register()]
        await cluster("CreateCluster", clusterName="other")
        await cluster.create(clientToken="service")
        await cluster.run_task(count=3, clientToken="tasks")
        await cluster.run_task(cluster="other", count=2)
        await cluster.update(taskDefinition=definitions[0])
        await cluster.steady()
        for home in ("default", "other"):
            for arn in (await cluster("ListTasks", cluster=home))["taskArns"]:
                await cluster("StopTask", cluster=home, task=arn)
        await cluster("DeleteService", service="web", force=True)
        await cluster.boto3_waits("services_inactive", services=["web"])
        await anyio.sleep(60)
        await cluster("DeleteCluster", cluster="other")
        for arn in definitions:
            await cluster("DeregisterTaskDefinition", taskDefinition=arn)
        await cluster("DeleteTaskDefinitions", taskDefinitions=definitions)
        assert (await cluster.rows(NetworkInterface)) == []
        assert len(await cluster.tasks(last_status="STOPPED")) == len(await cluster.tasks()) >= 7

        await anyio.sleep(2500)
        assert set((await counts(cluster)).values()) == {0}, await counts(cluster)
        assert [row.cluster_name for row in await cluster.rows(ClusterRow)] == ["default"]
        assert all(host.engine.containers == {} and host.engine.sandboxes == {} for host in cluster.hosts)


async def test_a_service_that_never_works_does_not_grow_the_store(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, timing=SOON) as cluster:
        await cluster.register(does=Script(run_for=3, exit_code=1))
        await cluster.create(desiredCount=1)
        await anyio.sleep(700)
        before = await counts(cluster)
        await anyio.sleep(700)
        after = await counts(cluster)
        assert after["Task"] == pytest.approx(before["Task"], abs=3)
        assert before["ServiceEvent"] <= 100
        assert after["ServiceEvent"] <= 100
        assert len(cluster.hosts[0].engine.containers) <= 2
        assert after["NetworkInterface"] <= 2


async def test_many_rollouts_leave_few_rows(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, timing=SOON) as cluster:
        await cluster.register()
        await cluster.create(desiredCount=1)
        for _ in range(12):
            await cluster.update(forceNewDeployment=True)
            await cluster.steady()
            await anyio.sleep(300)
        kept = await counts(cluster)
        # Those of the last 1200 seconds, one each 340.
        assert kept["Deployment"] <= 6
        assert kept["ServiceRevision"] <= 6
        assert kept["Task"] <= 4
