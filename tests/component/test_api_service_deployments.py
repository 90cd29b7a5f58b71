"""Service deployments and revisions, and that they tell the same as the service."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import SCOPE, a_task
from tests.world import World

from wherry.model import rollout
from wherry.model.service import Deployment, DeploymentStatus, Service, ServiceRevision
from wherry.model.task import TaskStatus
from wherry.store import Store, Tx

pytestmark = pytest.mark.anyio

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(memory_store: Store) -> World:
    return await World(memory_store).begin()


@pytest.fixture
async def anywhere(store: Store) -> World:
    return await World(store).begin()


async def test_a_deployment_can_be_rolled_back_only_to_one_that_completed(aws: World) -> None:
    service = await aws.create()
    arn = service["currentServiceDeployment"]
    code, _ = await aws.refusal("StopServiceDeployment", serviceDeploymentArn=arn)
    assert code == "ConflictException"
    await aws.complete(service["deployments"][0]["id"])
    code, _ = await aws.refusal("StopServiceDeployment", serviceDeploymentArn=arn)
    assert code == "ConflictException"
    after = await aws.update(forceNewDeployment=True)
    arn = after["currentServiceDeployment"]
    for _ in range(2):
        assert await aws("StopServiceDeployment", serviceDeploymentArn=arn) == {"serviceDeploymentArn": arn}
        status = await aws("ListServiceDeployments", service="web", status=["ROLLBACK_REQUESTED"])
        assert [d["serviceDeploymentArn"] for d in status["serviceDeployments"]] == [arn]
    code, _ = await aws.refusal("StopServiceDeployment", serviceDeploymentArn="arn:nope")
    assert code == "ServiceDeploymentNotFoundException"


async def test_a_new_deployment_configuration_holds_for_the_rollout_under_way(aws: World) -> None:
    arn = (await aws.create())["currentServiceDeployment"]
    await aws.update(deploymentConfiguration={"minimumHealthyPercent": 0})
    described = await aws("DescribeServiceDeployments", serviceDeploymentArns=[arn])
    assert described["serviceDeployments"][0]["deploymentConfiguration"]["minimumHealthyPercent"] == 0


async def test_the_first_deployment_can_be_aborted(aws: World) -> None:
    arn = (await aws.create())["currentServiceDeployment"]
    await aws("StopServiceDeployment", serviceDeploymentArn=arn, stopType="ABORT")
    described = await aws("DescribeServiceDeployments", serviceDeploymentArns=[arn])
    assert described["serviceDeployments"][0]["status"] == "STOP_REQUESTED"


async def test_a_rollback_is_part_of_the_service_deployment_that_it_undoes(anywhere: World) -> None:
    first = await anywhere.create()
    await anywhere.complete(first["deployments"][0]["id"])
    second = await anywhere.update(forceNewDeployment=True)
    anywhere.now += 1
    arn = second["currentServiceDeployment"]

    def roll_back(tx: Tx) -> None:
        deployments = tx.find(Deployment, service_arn=second["serviceArn"])
        service = tx.get(Service, second["serviceArn"])
        current = next(d for d in deployments if d.status is DeploymentStatus.PRIMARY)
        failed = rollout.fail(current, reason="tasks failed", status_reason=None, now=anywhere.now)
        written = rollout.roll_back(
            service,
            failed,
            deployments=[failed if d is current else d for d in deployments],
            revisions={r.service_revision_arn: r for r in tx.find(ServiceRevision)},
            reason="because",
            scope=SCOPE,
            entropy=anywhere.ctx.entropy,
            now=anywhere.now,
        )
        tx.put(written.service)
        tx.put(written.deployment)
        for changed in written.changed:
            tx.put(changed)

    await anywhere.store.write(roll_back)
    survivor = a_task(
        service_arn=second["serviceArn"],
        service_revision_arn=first["currentServiceRevisions"][0]["arn"],
        started_by=first["deployments"][0]["id"],
        last_status=TaskStatus.RUNNING,
    )
    await anywhere.put(survivor)
    service = await anywhere.describe()
    assert [d["runningCount"] for d in service["deployments"]] == [1, 0, 0]
    assert service["currentServiceDeployment"] == arn
    assert [d["status"] for d in service["deployments"]] == ["PRIMARY", "ACTIVE", "ACTIVE"]
    assert len({r["arn"] for r in service["currentServiceRevisions"]}) == 2
    listed = (await anywhere("ListServiceDeployments", service="web"))["serviceDeployments"]
    assert [d["serviceDeploymentArn"] for d in listed] == [arn, first["currentServiceDeployment"]]
    [described] = (await anywhere("DescribeServiceDeployments", serviceDeploymentArns=[arn]))["serviceDeployments"]
    assert described["status"] == "ROLLBACK_IN_PROGRESS"
    assert described["rollback"] == {
        "reason": "because",
        "startedAt": anywhere.now,
        "serviceRevisionArn": first["currentServiceRevisions"][0]["arn"],
    }


async def test_service_deployments_are_listed_newest_first_by_page_status_and_time(anywhere: World) -> None:
    begin = anywhere.now
    arns = [(await anywhere.create())["currentServiceDeployment"]]
    arns += [(await anywhere.update(forceNewDeployment=True))["currentServiceDeployment"] for _ in range(4)]
    newest_first = arns[::-1]

    async def listed(**params: Any) -> list[str]:
        answer = await anywhere("ListServiceDeployments", service="web", **params)
        return [d["serviceDeploymentArn"] for d in answer["serviceDeployments"]]

    assert await listed() == newest_first
    assert await listed(status=["STOPPED"]) == newest_first[1:]
    assert await listed(createdAt={"after": begin + 2, "before": begin + 4}) == [arns[3], arns[2]]
    first = await anywhere("ListServiceDeployments", service="web", maxResults=3)
    assert await listed(nextToken=first["nextToken"]) == newest_first[3:]
    code, _ = await anywhere.refusal("ListServiceDeployments", service="nope")
    assert code == "ServiceNotFoundException"


async def test_a_revision_names_the_images_that_were_pinned(aws: World) -> None:
    service = await aws.create()
    arn = service["currentServiceRevisions"][0]["arn"]
    await aws.change(ServiceRevision, arn, container_images={"app": DIGEST})
    answer = await aws("DescribeServiceRevisions", serviceRevisionArns=[arn, "arn:nope"])
    [revision] = answer["serviceRevisions"]
    assert revision["taskDefinition"] == SCOPE.task_definition("web", 1)
    assert revision["containerImages"] == [
        {"containerName": "app", "image": f"example/app@{DIGEST}", "imageDigest": DIGEST}
    ]
    assert answer["failures"] == [{"arn": "arn:nope", "reason": "MISSING"}]


async def test_one_record_is_shown_alike_in_every_projection(anywhere: World) -> None:
    service = await anywhere.create()
    made = {
        "service_arn": service["serviceArn"],
        "service_revision_arn": service["currentServiceRevisions"][0]["arn"],
    }
    await anywhere.put(
        a_task(number=1, last_status=TaskStatus.RUNNING, **made),
        a_task(number=2, last_status=TaskStatus.PENDING, **made),
        a_task(number=3, last_status=TaskStatus.STOPPED, **made),
    )
    service = await anywhere.describe()
    deployment = service["deployments"][0]
    assert (service["runningCount"], service["pendingCount"]) == (1, 1)
    assert (deployment["desiredCount"], deployment["runningCount"], deployment["pendingCount"]) == (2, 1, 1)
    [revision] = service["currentServiceRevisions"]
    assert (revision["requestedTaskCount"], revision["runningTaskCount"], revision["pendingTaskCount"]) == (2, 1, 1)
    listed = (await anywhere("ListServiceDeployments", service="web"))["serviceDeployments"]
    assert [d["serviceDeploymentArn"] for d in listed] == [service["currentServiceDeployment"]]
    described = await anywhere(
        "DescribeServiceDeployments", serviceDeploymentArns=[service["currentServiceDeployment"], "arn:nope"]
    )
    assert described["serviceDeployments"][0]["targetServiceRevision"] == revision
    assert described["serviceDeployments"][0]["status"] == "IN_PROGRESS"
    assert described["failures"] == [{"arn": "arn:nope", "reason": "MISSING"}]
