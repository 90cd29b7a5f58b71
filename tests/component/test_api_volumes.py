"""Volumes that are configured at launch, by RunTask, StartTask and services, on a real store."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.builders import an_instance
from tests.world import World

from wherry.api.acs.payload import Terms, payload_task
from wherry.api.iam.roles import create_default_role, find_role, may_be_assumed_by
from wherry.model.iam.identity import Role
from wherry.model.network import NetworkInterface, Subnet
from wherry.model.protocol.volume import PayloadVolume
from wherry.model.service import Service, ServiceRevision
from wherry.model.task import Attachment, AttachmentStatus, Task
from wherry.model.taskdef import TaskDefinition
from wherry.store import Store

pytestmark = pytest.mark.anyio

ROLE = "arn:aws:iam::000000000000:role/ecsInfrastructureRole"
AT_LAUNCH = [{"name": "data", "configuredAtLaunch": True}]
WRONG = "InvalidParameterException"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(store: Store) -> World:
    """A control plane with a host and the definition disk:1, whose volume "data" is configured at launch."""
    aws = await World(store).begin()
    await aws.put(an_instance())
    await aws.register("disk", volumes=AT_LAUNCH)
    return aws


def volume(name: str = "data", **changes: Any) -> list[dict[str, Any]]:
    managed = {"roleArn": ROLE, "sizeInGiB": 20} | changes
    return [{"name": name, "managedEBSVolume": {key: value for key, value in managed.items() if value is not ...}}]


def launch(aws: World, **changes: Any) -> dict[str, Any]:
    params = {
        "taskDefinition": "disk",
        "launchType": "FARGATE",
        "networkConfiguration": aws.network,
        "volumeConfigurations": volume(),
    }
    return {key: value for key, value in (params | changes).items() if value is not ...}


async def run(aws: World, **changes: Any) -> list[dict[str, Any]]:
    """Run tasks; describe them as they are once they have their hosts."""
    started = (await aws("RunTask", **launch(aws, **changes)))["tasks"]
    found = await aws("DescribeTasks", tasks=[task["taskArn"] for task in started])
    return list(found["tasks"])


def attached(task: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Pick the volume out of a task's attachments, with its details by their names."""
    [found] = [one for one in task["attachments"] if one["type"] == "AmazonElasticBlockStorage"]
    return found, {detail["name"]: detail["value"] for detail in found["details"]}


async def payload(aws: World, task_arn: str) -> Any:
    """Say what the agent is told of a task."""

    def read(tx: Any) -> Any:
        task = tx.get(Task, task_arn)
        [interface] = tx.find(NetworkInterface, task_arn=task_arn)
        return payload_task(
            task,
            definition=tx.get(TaskDefinition, task.task_definition_arn),
            interface=interface,
            subnet=tx.get(Subnet, interface.subnet_id),
            terms=Terms(region="us-east-1", stop_timeout=30),
        )

    return await aws.store.read(read)


async def test_a_definition_shows_its_volume_as_one_that_is_configured_at_launch(aws: World) -> None:
    shown = (await aws("DescribeTaskDefinition", taskDefinition="disk"))["taskDefinition"]["volumes"]
    assert shown == AT_LAUNCH
    await aws.register("plain", volumes=[{"name": "data", "configuredAtLaunch": False}])
    shown = (await aws("DescribeTaskDefinition", taskDefinition="plain"))["taskDefinition"]["volumes"]
    assert shown == [{"name": "data", "host": {}}]


async def test_every_task_shows_a_volume_of_its_own_beside_its_interface(aws: World) -> None:
    tasks = await run(aws, count=2, volumeConfigurations=volume(filesystemType="ext4", volumeType="gp2"))
    for task in tasks:
        found, details = attached(task)
        assert (found["status"], len(task["attachments"])) == ("ATTACHING", 2)
        assert details == {
            "roleArn": ROLE,
            "volumeId": details["volumeId"],
            "volumeName": "data",
            "sizeInGiB": "20",
            "volumeType": "gp2",
            "filesystemType": "ext4",
            "deleteOnTermination": "true",
        }
    ids = {one["id"] for task in tasks for one in task["attachments"]}
    assert len(ids) == 4
    assert len({attached(task)[1]["volumeId"] for task in tasks}) == 2


async def test_the_agent_is_told_as_a_stock_one_is(aws: World) -> None:
    [task] = await run(aws)
    told = await payload(aws, task["taskArn"])
    found, details = attached(task)
    assert told.volumes == (PayloadVolume(name="data", type="attachment"),)
    [attachment] = told.attachments
    assert attachment.attachment_type == "amazonebs"
    assert attachment.attachment_arn.endswith(f":attachment/{found['id']}")
    task_id = task["taskArn"].rsplit("/", 1)[-1]
    assert {one.name: one.value for one in attachment.attachment_properties} == {
        "volumeId": details["volumeId"],
        "volumeName": "data",
        "volumeSizeGib": "20",
        "fileSystem": "xfs",
        "sourceVolumeHostPath": f"{task_id}_{details['volumeId']}",
    }


async def test_a_volume_that_is_to_be_kept_says_so_to_the_agent(aws: World) -> None:
    [task] = await run(aws, volumeConfigurations=volume(terminationPolicy={"deleteOnTermination": False}))
    assert attached(task)[1]["deleteOnTermination"] == "false"
    [attachment] = (await payload(aws, task["taskArn"])).attachments
    assert {one.name: one.value for one in attachment.attachment_properties}["deleteOnTermination"] == "false"


async def test_a_volume_goes_the_way_of_the_interface(aws: World) -> None:
    [task] = await run(aws)
    for status in AttachmentStatus:
        await aws.change(Task, task["taskArn"], attachment=Attachment(id="eni", status=status))
        [described] = (await aws("DescribeTasks", tasks=[task["taskArn"]]))["tasks"]
        found, details = attached(described)
        assert found["status"] == status
        assert ("volumeId" in details) is (status is not AttachmentStatus.PRECREATED)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"volumeConfigurations": ...}, "The volume 'data' of disk:1 is configuredAtLaunch: configure it in"),
        ({"volumeConfigurations": []}, "The volume 'data' of disk:1 is configuredAtLaunch: configure it in"),
        ({"volumeConfigurations": volume("other")}, "has no volume 'other' that is configuredAtLaunch. Name 'data'."),
        ({"taskDefinition": "web"}, "web:1 has no volume 'data' that is configuredAtLaunch. Leave volumeConfig"),
        ({"volumeConfigurations": volume() * 2}, "volumeConfigurations can have one element only."),
        ({"volumeConfigurations": [{"name": "data"}]}, "say managedEBSVolume of the volume 'data'."),
        ({"volumeConfigurations": volume(roleArn="")}, "managedEBSVolume.roleArn should not be blank."),
        ({"volumeConfigurations": volume(sizeInGiB=...)}, "managedEBSVolume.sizeInGiB is required."),
        ({"volumeConfigurations": volume(sizeInGiB=0)}, "sizeInGiB should be between 1 and 16384."),
        ({"volumeConfigurations": volume(sizeInGiB=16385)}, "sizeInGiB should be between 1 and 16384."),
        ({"volumeConfigurations": volume(filesystemType="ntfs")}, "it is for Windows containers. Use xfs"),
        ({"volumeConfigurations": volume(filesystemType="zfs")}, "should be one of [ext3, ext4, xfs], not 'zfs'."),
        ({"volumeConfigurations": volume(volumeType="io2")}, "volumeType io2 is not supported: a volume is on the"),
        ({"volumeConfigurations": volume(volumeType="floppy")}, "should be one of [gp2, gp3], not 'floppy'."),
        ({"volumeConfigurations": volume(snapshotId="snap-1")}, "Wherry has no snapshots."),
        ({"volumeConfigurations": volume(encrypted=True)}, "put the data directory of the agent on an encrypted disk"),
        ({"volumeConfigurations": volume(iops=3000)}, "managedEBSVolume.iops is not supported: "),
        ({"volumeConfigurations": volume(tagSpecifications=[{"resourceType": "volume"}])}, "have no tags."),
    ],
)
async def test_what_cannot_be_is_refused_with_a_sentence(aws: World, changes: dict[str, Any], text: str) -> None:
    code, message = await aws.refusal("RunTask", **launch(aws, **changes))
    assert code == WRONG
    assert text in message
    assert not await aws.store.read(lambda tx: tx.find(Task))


async def test_start_task_checks_the_same(aws: World) -> None:
    params = launch(aws, launchType=..., containerInstances=["one"])
    assert (await aws("StartTask", **params))["failures"][0]["reason"] == "MISSING"
    code, message = await aws.refusal("StartTask", **params | {"volumeConfigurations": volume("other")})
    assert (code, "no volume 'other'" in message) == (WRONG, True)
    code, message = await aws.refusal("StartTask", **params | {"volumeConfigurations": volume(iops=1)})
    assert (code, "iops is not supported" in message) == (WRONG, True)


async def test_the_role_is_made_for_ecs_or_refused_as_the_setting_says(aws: World) -> None:
    await run(aws)
    role = await aws.store.read(lambda tx: find_role(tx, ROLE, aws.ctx.scope))
    assert role is not None
    assert may_be_assumed_by(role, "ecs.amazonaws.com")
    assert not may_be_assumed_by(role)
    aws.ctx = msgspec.structs.replace(
        aws.ctx, settings=msgspec.structs.replace(aws.ctx.settings, missing_roles="refuse")
    )
    await run(aws)
    refused = launch(aws, volumeConfigurations=volume(roleArn="nobody-made-it"))
    assert await aws.refusal("RunTask", **refused) == ("ClientException", "Role is not valid")


async def test_a_role_that_does_not_trust_ecs_is_refused(aws: World) -> None:
    made = {"scope": aws.ctx.scope, "execution": False, "entropy": aws.ctx.entropy, "now": aws.now}
    await aws.store.write(lambda tx: create_default_role(tx, "for-tasks", **made))
    wrong = volume(roleArn="arn:aws:iam::000000000000:role/for-tasks")
    code, message = await aws.refusal("RunTask", **launch(aws, volumeConfigurations=wrong))
    assert code == "ClientException"
    assert message.startswith("ECS was unable to assume the role 'arn:aws:iam::000000000000:role/for-tasks'")
    code, _ = await aws.refusal("CreateService", **aws.request(taskDefinition="disk", volumeConfigurations=wrong))
    assert code == "ClientException"
    assert not await aws.store.read(lambda tx: tx.find(Service))


async def test_a_service_shows_its_volumes_in_deployments_and_revisions(aws: World) -> None:
    configured = volume(filesystemType="ext4")
    service = await aws.create(taskDefinition="disk", volumeConfigurations=configured)
    assert service["deployments"][0]["volumeConfigurations"] == configured
    arn = (await aws.store.read(lambda tx: tx.find(ServiceRevision)))[0].service_revision_arn
    [revision] = (await aws("DescribeServiceRevisions", serviceRevisionArns=[arn]))["serviceRevisions"]
    assert revision["volumeConfigurations"] == configured
    assert await aws.store.read(lambda tx: tx.get(Role, "ecsInfrastructureRole")) is not None


async def test_an_update_of_the_volumes_starts_a_deployment_and_others_keep_them(aws: World) -> None:
    await aws.create(taskDefinition="disk", volumeConfigurations=volume())
    kept = await aws.update(desiredCount=3)
    assert len(kept["deployments"]) == 1
    same = await aws.update(volumeConfigurations=volume())
    assert len(same["deployments"]) == 1
    larger = await aws.update(volumeConfigurations=volume(sizeInGiB=40))
    assert [one["volumeConfigurations"] for one in larger["deployments"]] == [volume(sizeInGiB=40), volume()]
    forced = await aws.update(forceNewDeployment=True)
    assert forced["deployments"][0]["volumeConfigurations"] == volume(sizeInGiB=40)


async def test_an_empty_list_takes_the_volumes_of_a_service_away(aws: World) -> None:
    await aws.create(taskDefinition="disk", volumeConfigurations=volume())
    code, message = await aws.refusal("UpdateService", service="web", taskDefinition="web")
    assert (code, "or empty in a service" in message) == (WRONG, True)
    code, message = await aws.refusal("UpdateService", service="web", volumeConfigurations=[])
    assert (code, "The volume 'data' of disk:1" in message) == (WRONG, True)
    plain = await aws.update(taskDefinition="web", volumeConfigurations=[])
    assert plain["deployments"][0]["volumeConfigurations"] == []


async def test_a_service_refuses_what_a_task_does(aws: World) -> None:
    params = aws.request(taskDefinition="disk", volumeConfigurations=volume(iops=3000))
    code, message = await aws.refusal("CreateService", **params)
    assert (code, "managedEBSVolume.iops is not supported: " in message) == (WRONG, True)
    code, message = await aws.refusal("CreateService", **params | {"volumeConfigurations": []})
    assert (code, "is configuredAtLaunch" in message) == (WRONG, True)


async def test_a_second_create_with_other_volumes_is_another_request(aws: World) -> None:
    await aws.create(taskDefinition="disk", volumeConfigurations=volume())
    other = aws.request(taskDefinition="disk", volumeConfigurations=volume(sizeInGiB=1))
    assert (await aws.refusal("CreateService", **other))[1] == "Creation of service was not idempotent."
