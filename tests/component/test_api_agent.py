"""The operations of agents, on a real store of either kind: joining, and what their reports do to tasks."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from tests.aws import Aws
from tests.builders import (
    DIGEST,
    SCOPE,
    a_container,
    a_container_definition,
    a_service,
    a_task,
    a_task_definition,
    an_instance,
    an_interface,
)

from wherry.model.arn import FARGATE_POOL
from wherry.model.instance import ContainerInstance
from wherry.model.network import NetworkInterface
from wherry.model.service import ServiceRevision
from wherry.model.task import Attachment, AttachmentStatus, StopCode, Task, TaskStatus
from wherry.settings import Settings
from wherry.store import Store, Tx

pytestmark = pytest.mark.anyio

RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
]
ATTRIBUTES = [
    {"name": "wherry.pool", "value": "FARGATE"},
    {"name": "ecs.cpu-architecture", "value": "aarch64"},
    {"name": "ecs.capability.task-eni"},
]
ACKNOWLEDGED = {"acknowledgment": "ACK"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(store: Store) -> Aws:
    return await Aws(store).seed()


async def put(aws: Aws, *entities: Any) -> None:
    def write(tx: Tx) -> None:
        for entity in entities:
            tx.put(entity)

    await aws.store.write(write)


async def get(aws: Aws, kind: type[Any], key: str) -> Any:
    return await aws.store.read(lambda tx: tx.get(kind, key))


async def join(aws: Aws, **changes: Any) -> dict[str, Any]:
    params = {"cluster": "default", "totalResources": RESOURCES, "attributes": ATTRIBUTES} | changes
    return (await aws("RegisterContainerInstance", **params))["containerInstance"]


async def test_a_host_joins_the_pool_and_hears_every_attribute_back(aws: Aws) -> None:
    joined = await join(aws, versionInfo={"agentVersion": "1.0", "agentHash": "abc", "dockerVersion": "29"})
    assert joined["attributes"] == ATTRIBUTES
    assert joined["containerInstanceArn"].startswith(SCOPE.container_instance(FARGATE_POOL, ""))
    instance = await get(aws, ContainerInstance, joined["containerInstanceArn"])
    assert (instance.cpu, instance.memory, instance.architecture) == (2048, 4096, "arm64")
    assert (instance.fargate, instance.agent_connected, instance.availability_zones) == (True, False, ())
    assert (instance.agent_version, instance.docker_version) == ("1.0", "29")


async def test_a_host_that_comes_back_keeps_its_name_and_its_tasks(aws: Aws) -> None:
    first = await join(aws)
    arn = first["containerInstanceArn"]
    await put(aws, a_task(container_instance_arn=arn, last_status=TaskStatus.RUNNING))
    smaller = [RESOURCES[0] | {"integerValue": 1024}, RESOURCES[1]]
    again = await join(aws, containerInstanceArn=arn, totalResources=smaller)
    assert again["containerInstanceArn"] == arn
    remaining = {r["name"]: r["integerValue"] for r in again["remainingResources"]}
    assert (remaining, again["runningTasksCount"]) == ({"CPU": 1024 - 256, "MEMORY": 4096 - 512}, 1)


async def test_a_host_tells_its_zones(aws: Aws) -> None:
    zones = {"name": "wherry.availability-zones", "value": "us-east-1a, us-east-1b"}
    joined = await join(aws, attributes=[*ATTRIBUTES, zones])
    instance = await get(aws, ContainerInstance, joined["containerInstanceArn"])
    assert instance.availability_zones == ("us-east-1a", "us-east-1b")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attributes": []}, "ClientException"),
        ({"totalResources": []}, "InvalidParameterException"),
        ({"platformDevices": [{"id": "0", "type": "GPU"}]}, "ClientException"),
        ({"containerInstanceArn": SCOPE.container_instance(FARGATE_POOL, "0" * 32)}, "ClientException"),
    ],
)
async def test_what_cannot_join_is_refused(aws: Aws, changes: dict[str, Any], code: str) -> None:
    params = {"totalResources": RESOURCES, "attributes": ATTRIBUTES} | changes
    assert (await aws.refusal("RegisterContainerInstance", **params))[0] == code


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        (Settings(), "http://127.0.0.1:4566"),
        (Settings(listen="0.0.0.0", port=80), "http://127.0.0.1:80"),
        (Settings(listen="::"), "http://[::1]:4566"),
        (Settings(listen="10.1.2.3"), "http://10.1.2.3:4566"),
        (Settings(listen="0.0.0.0", advertise_url="https://ecs.example/"), "https://ecs.example"),
    ],
)
async def test_agents_are_told_where_the_server_is(aws: Aws, settings: Settings, base: str) -> None:
    aws.ctx = replace(aws.ctx, settings=settings)
    answer = await aws("DiscoverPollEndpoint")
    assert answer == {"endpoint": f"{base}/acs/", "telemetryEndpoint": f"{base}/tcs/"}


def placed(number: int = 1, **changes: Any) -> tuple[Task, NetworkInterface]:
    attachment = Attachment(id=f"00000000-0000-4000-9000-{number:012x}", status=AttachmentStatus.ATTACHING)
    task = a_task(
        number=number,
        container_instance_arn=an_instance().container_instance_arn,
        last_status=TaskStatus.PENDING,
        attachment=attachment,
        **changes,
    )
    interface = an_interface(task, number=number)
    return task, interface


@pytest.fixture
async def task(aws: Aws) -> Task:
    task, interface = placed()
    await put(aws, an_instance(), task, interface)
    return task


async def attached(aws: Aws, task: Task, status: str) -> dict[str, Any]:
    change = {"attachmentArn": SCOPE.attachment(task.attachment.id), "status": status}
    return await aws("SubmitAttachmentStateChanges", cluster="default", attachments=[change])


async def test_the_life_of_a_task_as_its_agent_tells_it(aws: Aws, task: Task) -> None:
    arn = task.task_arn
    await attached(aws, task, "ATTACHED")
    containers = [{"containerName": "app", "status": "RUNNING", "runtimeId": "abc", "imageDigest": DIGEST}]
    answer = await aws(
        "SubmitTaskStateChange", cluster="default", task=arn, status="RUNNING", containers=containers, pullStartedAt=1.0
    )
    assert answer == ACKNOWLEDGED
    [shown] = (await aws("DescribeTasks", tasks=[arn]))["tasks"]
    assert (shown["lastStatus"], shown["attachments"][0]["status"], shown["connectivity"]) == (
        "RUNNING",
        "ATTACHED",
        "CONNECTED",
    )
    assert (shown["startedAt"], shown["pullStartedAt"]) == (aws.now, 1.0)
    assert shown["containers"][0]["imageDigest"] == DIGEST
    aws.now += 10
    over = [{"containerName": "app", "status": "STOPPED", "exitCode": 3}]
    await aws("SubmitTaskStateChange", task=arn, status="STOPPED", containers=over)
    [shown] = (await aws("DescribeTasks", tasks=[arn]))["tasks"]
    assert (shown["lastStatus"], shown["attachments"][0]["status"]) == ("DEPROVISIONING", "DETACHING")
    assert await get(aws, NetworkInterface, "eni-1") is not None
    await attached(aws, task, "DETACHED")
    [shown] = (await aws("DescribeTasks", tasks=[arn]))["tasks"]
    assert (shown["lastStatus"], shown["attachments"][0]["status"]) == ("STOPPED", "DELETED")
    assert (shown["stopCode"], shown["containers"][0]["exitCode"]) == ("EssentialContainerExited", 3)
    assert await get(aws, NetworkInterface, "eni-1") is None
    assert await attached(aws, task, "DETACHED") == ACKNOWLEDGED


async def test_a_single_container_can_be_reported(aws: Aws, task: Task) -> None:
    await aws("SubmitContainerStateChange", task=task.task_arn, containerName="app", status="STOPPED", exitCode=7)
    stored = await get(aws, Task, task.task_arn)
    assert (stored.containers[0].exit_code, stored.last_status) == (7, TaskStatus.PENDING)


async def test_attachments_may_come_with_the_task(aws: Aws, task: Task) -> None:
    def change(attachment_id: str, status: str) -> dict[str, str]:
        return {"attachmentArn": SCOPE.attachment(attachment_id), "status": status}

    mine, strange = change(task.attachment.id, "ATTACHED"), change("0" * 36, "DETACHED")
    await aws("SubmitTaskStateChange", task=task.task_arn, attachments=[mine, strange])
    assert (await get(aws, Task, task.task_arn)).attachment.status is AttachmentStatus.ATTACHED


async def test_a_report_of_an_unknown_task_is_acknowledged_and_forgotten(aws: Aws) -> None:
    with capture_logs() as logs:
        assert await aws("SubmitTaskStateChange", task="abc", status="STOPPED") == ACKNOWLEDGED
    assert [entry["event"] for entry in logs] == ["report_of_unknown_task"]


async def test_a_task_that_no_instance_has_cannot_be_reported(aws: Aws) -> None:
    waiting = a_task(number=8)
    await put(aws, waiting)
    await aws("SubmitTaskStateChange", task=waiting.task_arn, status="STOPPED")
    assert (await get(aws, Task, waiting.task_arn)).last_status is TaskStatus.PROVISIONING


async def test_an_attachment_reported_with_one_task_does_not_touch_another(aws: Aws, task: Task) -> None:
    other, interface = placed(2)
    await put(aws, other, interface)
    await attached(aws, other, "DETACHED")
    assert await get(aws, NetworkInterface, "eni-1") is not None
    assert (await get(aws, Task, task.task_arn)).version == 1


async def test_a_task_whose_instance_is_gone_gives_its_interface_back_at_once(aws: Aws) -> None:
    orphan, interface = placed(3)
    await put(aws, orphan, interface)
    await aws("SubmitTaskStateChange", task=orphan.task_arn, status="STOPPED", reason="gone")
    stored = await get(aws, Task, orphan.task_arn)
    assert (stored.last_status, stored.stop_code) == (TaskStatus.STOPPED, StopCode.TASK_FAILED_TO_START)
    assert await get(aws, NetworkInterface, "eni-3") is None


@pytest.mark.parametrize("operation", ["SubmitTaskStateChange", "SubmitAttachmentStateChanges"])
async def test_a_status_that_does_not_exist_is_refused(aws: Aws, task: Task, operation: str) -> None:
    params = {
        "SubmitTaskStateChange": {"task": task.task_arn, "status": "FLYING"},
        "SubmitAttachmentStateChanges": {"attachments": [{"attachmentArn": "x/y", "status": "FLYING"}]},
    }[operation]
    refused = await aws.refusal(operation, **params)
    assert refused == ("InvalidParameterException", "The status 'FLYING' is not known.")


async def test_the_first_digests_pin_the_images_of_the_revision(aws: Aws) -> None:
    names = ("app", "floating")
    definition = a_task_definition(
        container_definitions=(
            a_container_definition(name="app"),
            a_container_definition(name="floating", version_consistency="disabled"),
        )
    )
    service = a_service()
    revision = ServiceRevision(
        service_revision_arn=SCOPE.service_revision("default", "web", "1" * 19),
        service_arn=service.service_arn,
        cluster_arn=service.cluster_arn,
        task_definition=definition.task_definition_arn,
    )
    task, interface = placed(
        containers=tuple(a_container(name=name) for name in names), service_revision_arn=revision.service_revision_arn
    )
    await put(aws, an_instance(), definition, service, revision, task, interface)
    for digest in (DIGEST, "sha256:" + "cd" * 32):
        containers = [{"containerName": name, "status": "PENDING", "imageDigest": digest} for name in names]
        await aws("SubmitTaskStateChange", task=task.task_arn, status="MANIFEST_PULLED", containers=containers)
    stored = await get(aws, ServiceRevision, revision.service_revision_arn)
    assert stored.container_images == {"app": DIGEST}
