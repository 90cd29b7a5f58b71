"""RunTask and its siblings, on a real store of either kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from tests.aws import Aws
from tests.builders import NOW, SCOPE, a_service, a_task, an_instance

from wherry.model.instance import ContainerInstance
from wherry.model.network import NetworkInterface, Subnet
from wherry.model.task import Task, TaskStatus
from wherry.store import Store, Tx

pytestmark = pytest.mark.anyio

CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(store: Store) -> Aws:
    """A control plane with a host of 2 vCPU and 4 GB in its pool and the definition web:1 of 0.25 and 0.5."""
    aws = await Aws(store).seed()
    await put(aws, an_instance())
    await register(aws)
    return aws


async def register(aws: Aws, **changes: Any) -> None:
    definition = {
        "family": "web",
        "cpu": "256",
        "memory": "512",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [{"name": "app", "image": "example/app:1"}],
        "tags": [{"key": "from", "value": "definition"}],
    }
    await aws("RegisterTaskDefinition", **definition | changes)


async def put(aws: Aws, *entities: Any) -> None:
    def write(tx: Tx) -> None:
        for entity in entities:
            tx.put(entity)

    await aws.store.write(write)


async def rows(aws: Aws, kind: type[Any], **equals: Any) -> list[Any]:
    return await aws.store.read(lambda tx: tx.find(kind, **equals))


async def network(aws: Aws, *zones: str, **changes: Any) -> dict[str, Any]:
    subnets = {s.availability_zone[-1]: s.subnet_id for s in await rows(aws, Subnet)}
    chosen = [subnets[zone] for zone in zones or sorted(subnets)]
    return {"awsvpcConfiguration": {"subnets": chosen} | changes}


async def run(aws: Aws, **params: Any) -> dict[str, Any]:
    return await aws("RunTask", **await request(aws) | params)


async def request(aws: Aws) -> dict[str, Any]:
    return {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": await network(aws)}


async def describe(aws: Aws, *tasks: str, **params: Any) -> list[dict[str, Any]]:
    return (await aws("DescribeTasks", tasks=list(tasks), **params))["tasks"]


async def test_a_task_is_born_provisioning_and_has_its_host_and_address_at_once(aws: Aws) -> None:
    [born] = (await run(aws))["tasks"]
    assert (born["lastStatus"], born["desiredStatus"], born["launchType"]) == ("PROVISIONING", "RUNNING", "FARGATE")
    assert (born["platformVersion"], born["group"], born["cpu"], born["memory"]) == (
        "1.4.0",
        "family:web",
        "256",
        "512",
    )
    assert born["attachments"][0]["status"] == "PRECREATED"
    [task] = await describe(aws, born["taskArn"])
    assert task["lastStatus"] == "PENDING"
    assert task["containerInstanceArn"] is None
    details = {d["name"]: d["value"] for d in task["attachments"][0]["details"]}
    assert details["privateDnsName"] == f"ip-{details['privateIPv4Address'].replace('.', '-')}.ec2.internal"
    assert task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] == details["privateIPv4Address"]
    [interface] = await rows(aws, NetworkInterface)
    assert interface.network_interface_id == details["networkInterfaceId"]
    assert (interface.subnet_id, interface.mac_address) == (details["subnetId"], details["macAddress"])
    assert interface.security_group_ids


async def test_tasks_beyond_the_room_are_failures_that_say_why(aws: Aws) -> None:
    answer = await run(aws, count=10)
    assert len(answer["tasks"]) == 8
    assert [f["reason"] for f in answer["failures"]] == [CAPACITY] * 2
    assert "insufficient" in answer["failures"][0]["detail"]
    assert len(await rows(aws, Task)) == 8
    zones = [t.availability_zone for t in await rows(aws, Task)]
    assert sorted(zones.count(zone) for zone in set(zones)) == [2, 3, 3]


async def test_without_a_connected_host_everything_fails_and_nothing_is_made(aws: Aws) -> None:
    [host] = await rows(aws, ContainerInstance)
    await put(aws, type(host)(**{f: getattr(host, f) for f in host.__struct_fields__} | {"agent_connected": False}))
    answer = await run(aws)
    assert answer["tasks"] == []
    assert "doesn't have the agent connected" in answer["failures"][0]["detail"]
    assert await rows(aws, Task) == []


async def test_no_two_tasks_share_an_address_and_freed_ones_rest(aws: Aws) -> None:
    tasks = (await run(aws, count=4, networkConfiguration=await network(aws, "a")))["tasks"]
    first = [i.private_ip_address for i in await rows(aws, NetworkInterface)]
    assert len(set(first)) == 4
    for task in tasks:
        await stop(aws, task["taskArn"])
    assert await rows(aws, NetworkInterface) == []
    await run(aws, count=4, networkConfiguration=await network(aws, "a"))
    assert not set(first) & {i.private_ip_address for i in await rows(aws, NetworkInterface)}


async def stop(aws: Aws, task_arn: str) -> None:
    """Bring a task to its end, as its agent would."""
    await aws("StopTask", task=task_arn)
    await aws("SubmitTaskStateChange", task=task_arn, status="STOPPED")
    [task] = await describe(aws, task_arn)
    changes = [{"attachmentArn": SCOPE.attachment(task["attachments"][0]["id"]), "status": "DETACHED"}]
    await aws("SubmitAttachmentStateChanges", attachments=changes)


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"count": 0}, "InvalidParameterException", "count should be between 1 and 10."),
        ({"count": 11}, "InvalidParameterException", "count should be between 1 and 10."),
        ({"taskDefinition": "nope"}, "ClientException", "TaskDefinition not found."),
        ({"cluster": "nope"}, "ClusterNotFoundException", "Cluster not found."),
        ({"launchType": "EC2"}, "InvalidParameterException", "No Container Instances were found in your cluster."),
        (
            {"launchType": "FARGATE", "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
            "InvalidParameterException",
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ),
        ({"platformVersion": "9.9.9"}, "PlatformUnknownException", None),
        (
            {"networkConfiguration": {}},
            "InvalidParameterException",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}}, "InvalidParameterException", None),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s-x"]}}}, "InvalidParameterException", None),
        ({"referenceId": "x"}, "InvalidParameterException", None),
        ({"propagateTags": "SERVICE"}, "InvalidParameterException", None),
        ({"group": "service:web"}, "InvalidParameterException", None),
        ({"startedBy": "not allowed!"}, "InvalidParameterException", None),
        ({"clientToken": "x" * 65}, "InvalidParameterException", None),
        (
            {"placementConstraints": [{"type": "distinctInstance"}]},
            "InvalidParameterException",
            "Placement constraints are not supported with FARGATE launch type.",
        ),
        (
            {"placementStrategy": [{"type": "random"}]},
            "InvalidParameterException",
            "Placement strategies are not supported with FARGATE launch type.",
        ),
        (
            {"overrides": {"containerOverrides": [{"name": "other"}]}},
            "InvalidParameterException",
            "Override for container named other is not a container in the TaskDefinition.",
        ),
        (
            {"overrides": {"containerOverrides": [{"name": "app", "command": ["x" * 8200]}]}},
            "InvalidParameterException",
            "Container Overrides length must be at most 8192",
        ),
        (
            {"overrides": {"cpu": "300"}},
            "InvalidParameterException",
            "No Fargate configuration exists for given values.",
        ),
        (
            {"overrides": {"taskRoleArn": "arn:aws:iam::000000000000:user/x"}},
            "InvalidParameterException",
            "Role is not valid",
        ),
        ({"overrides": {"containerOverrides": [{"name": "app", "cpu": 512}]}}, "InvalidParameterException", None),
    ],
)
async def test_what_cannot_be_run_is_refused_and_leaves_nothing(
    aws: Aws, params: dict[str, Any], code: str, message: str | None
) -> None:
    refused = await aws.refusal("RunTask", **await request(aws) | params)
    assert refused[0] == code
    assert message is None or refused[1] == message
    assert await rows(aws, Task) == []
    assert await rows(aws, NetworkInterface) == []


def known(value: Any) -> Any:
    """Leave out what is None, as the serializer does."""
    match value:
        case dict():
            return {name: known(item) for name, item in value.items() if item is not None}
        case list():
            return [known(item) for item in value]
        case _:
            return value


async def test_overrides_are_shown_with_an_entry_for_every_container(aws: Aws) -> None:
    overrides = {"cpu": "512", "memory": "1024", "containerOverrides": [{"name": "app", "command": ["sleep", "1"]}]}
    [task] = (await run(aws, overrides=overrides))["tasks"]
    assert (task["cpu"], task["memory"]) == ("512", "1024")
    assert known(task["overrides"]) == overrides | {"inferenceAcceleratorOverrides": []}
    [task] = (await run(aws))["tasks"]
    assert known(task["overrides"]) == {"containerOverrides": [{"name": "app"}], "inferenceAcceleratorOverrides": []}


async def test_tags_come_from_the_request_the_definition_and_ecs(aws: Aws) -> None:
    answer = await run(
        aws, tags=[{"key": "from", "value": "request"}], propagateTags="TASK_DEFINITION", enableECSManagedTags=True
    )
    expected = [{"key": "from", "value": "request"}, {"key": "aws:ecs:clusterName", "value": "default"}]
    assert answer["tasks"][0]["tags"] == expected
    arn = answer["tasks"][0]["taskArn"]
    assert (await describe(aws, arn))[0]["tags"] == []
    assert (await describe(aws, arn, include=["TAGS"]))[0]["tags"] == expected
    await aws("StopTask", task=arn)
    assert (await describe(aws, arn, include=["TAGS"]))[0]["tags"] == []


async def test_the_same_token_starts_nothing_twice(aws: Aws) -> None:
    first = await run(aws, clientToken="once")
    again = await run(aws, clientToken="once")
    assert [t["taskArn"] for t in again["tasks"]] == [t["taskArn"] for t in first["tasks"]]
    assert len(await rows(aws, Task)) == 1
    code, _ = await aws.refusal("RunTask", **await request(aws) | {"clientToken": "once", "count": 2})
    assert code == "ConflictException"
    aws.now += 24 * 3600
    await run(aws, clientToken="once", count=2)
    assert len(await rows(aws, Task)) == 3


async def test_a_request_that_started_nothing_may_be_repeated_with_its_token(aws: Aws) -> None:
    await register(aws, family="big", cpu="4096", memory="8192")
    refused = await run(aws, taskDefinition="big", clientToken="once")
    assert refused["failures"]
    await put(aws, an_instance(number=2, cpu=8192, memory=16384))
    assert (await run(aws, taskDefinition="big", clientToken="once"))["tasks"]


async def test_a_strategy_shares_tasks_out_among_its_providers(aws: Aws) -> None:
    both = ["FARGATE", "FARGATE_SPOT"]
    await aws(
        "PutClusterCapacityProviders", cluster="default", capacityProviders=both, defaultCapacityProviderStrategy=[]
    )
    strategy = [{"capacityProvider": name, "weight": weight} for name, weight in zip(both, (1, 1), strict=True)]
    params = await request(aws) | {"capacityProviderStrategy": strategy, "count": 4}
    del params["launchType"]
    tasks = (await aws("RunTask", **params))["tasks"]
    assert sorted(t["capacityProviderName"] for t in tasks) == ["FARGATE"] * 2 + ["FARGATE_SPOT"] * 2
    assert {t["launchType"] for t in tasks} == {"FARGATE"}


async def test_start_task_finds_no_instances(aws: Aws) -> None:
    params = {"taskDefinition": "web", "networkConfiguration": await network(aws)}
    answer = await aws("StartTask", **params, containerInstances=["abc"])
    missing = {"arn": SCOPE.container_instance("default", "abc"), "reason": "MISSING"}
    assert answer == {"tasks": [], "failures": [missing]}
    refused = await aws.refusal("StartTask", **params, containerInstances=[])
    assert refused == ("ClientException", "Container Instances cannot be empty.")


async def test_stop_task_says_who_and_why_and_the_first_one_wins(aws: Aws) -> None:
    [born] = (await run(aws))["tasks"]
    stopped = (await aws("StopTask", task=born["taskArn"].rpartition("/")[2], reason="enough"))["task"]
    assert (stopped["desiredStatus"], stopped["lastStatus"]) == ("STOPPED", "PENDING")
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "enough")
    again = (await aws("StopTask", task=born["taskArn"]))["task"]
    assert (again["stoppedReason"], again["version"]) == ("enough", stopped["version"])


async def test_a_task_that_waits_for_a_host_stops_at_once(aws: Aws) -> None:
    await put(aws, a_task())
    stopped = (await aws("StopTask", task=a_task().task_arn))["task"]
    assert (stopped["lastStatus"], stopped["stoppedReason"]) == ("STOPPED", "Task stopped by user")


async def test_a_task_of_another_cluster_is_not_there(aws: Aws) -> None:
    await put(aws, a_task())
    await aws("CreateCluster", clusterName="other")
    refused = await aws.refusal("StopTask", cluster="other", task=a_task().task_arn)
    assert refused == ("InvalidParameterException", "The referenced task was not found.")
    answer = await aws("DescribeTasks", cluster="other", tasks=[a_task().task_arn, "abc"])
    assert answer["tasks"] == []
    assert [f["reason"] for f in answer["failures"]] == ["MISSING", "MISSING"]
    assert answer["failures"][1]["arn"] == SCOPE.task("other", "abc")


@pytest.mark.parametrize("tasks", [[], ["x"] * 101])
async def test_describe_takes_one_to_a_hundred_tasks(aws: Aws, tasks: list[str]) -> None:
    assert (await aws.refusal("DescribeTasks", tasks=tasks))[0] == "InvalidParameterException"


@pytest.fixture
async def listed(aws: Aws) -> Aws:
    service = a_service()
    await put(
        aws,
        service,
        a_task(number=1, family="web", started_by="me"),
        a_task(number=2, family="api"),
        a_task(number=3, family="web", service_arn=service.service_arn),
        a_task(number=4, family="web", desired_status="STOPPED"),
    )
    return aws


def numbers(arns: Iterable[str]) -> list[int]:
    return [int(arn[-32:], 16) for arn in arns]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"desiredStatus": "STOPPED"}, [4]),
        ({"desiredStatus": "PENDING"}, []),
        ({"family": "web"}, [1, 3]),
        ({"startedBy": "me"}, [1]),
        ({"startedBy": "me", "desiredStatus": "STOPPED"}, []),
        ({"serviceName": "web"}, [3]),
        ({"launchType": "EC2"}, []),
        ({"containerInstance": "abc"}, []),
    ],
)
async def test_tasks_are_listed_by_filters(listed: Aws, filters: dict[str, Any], expected: list[int]) -> None:
    assert numbers((await listed("ListTasks", **filters))["taskArns"]) == expected


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ({"startedBy": "me", "family": "web"}, "InvalidParameterException"),
        ({"serviceName": "nope"}, "ServiceNotFoundException"),
        ({"daemonName": "x"}, "InvalidParameterException"),
        ({"maxResults": 101}, "InvalidParameterException"),
        ({"nextToken": "garbage"}, "InvalidParameterException"),
        ({"cluster": "nope"}, "ClusterNotFoundException"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(listed: Aws, filters: dict[str, Any], code: str) -> None:
    assert (await listed.refusal("ListTasks", **filters))[0] == code


async def test_a_list_comes_in_pages(listed: Aws) -> None:
    first = await listed("ListTasks", maxResults=2)
    rest = await listed("ListTasks", maxResults=2, nextToken=first["nextToken"])
    assert numbers(first["taskArns"] + rest["taskArns"]) == [1, 2, 3]
    assert rest["nextToken"] is None


async def test_protection_holds_for_its_time_and_only_for_tasks_of_services(listed: Aws) -> None:
    await listed("CreateCluster", clusterName="other")
    arns = [a_task(number=n).task_arn for n in (1, 3, 9)]
    answer = await listed("UpdateTaskProtection", cluster="default", tasks=arns, protectionEnabled=True)
    [protected] = answer["protectedTasks"]
    assert protected == {"taskArn": arns[1], "protectionEnabled": True, "expirationDate": NOW + 7200}
    assert [f["reason"] for f in answer["failures"]] == ["TASK_NOT_VALID", "MISSING"]
    shown = await listed("GetTaskProtection", cluster="default")
    assert shown["protectedTasks"] == [protected]
    listed.now += 7200
    [expired] = (await listed("GetTaskProtection", cluster="default", tasks=[arns[1]]))["protectedTasks"]
    assert (expired["protectionEnabled"], expired["expirationDate"]) == (False, None)


async def test_a_service_cannot_have_more_protected_tasks_than_it_wants(listed: Aws) -> None:
    await put(listed, a_task(number=5, service_arn=a_service().service_arn))
    arns = [a_task(number=n).task_arn for n in (3, 5)]
    answer = await listed("UpdateTaskProtection", cluster="default", tasks=arns, protectionEnabled=True)
    assert [t["taskArn"] for t in answer["protectedTasks"]] == arns[:1]
    assert [f["reason"] for f in answer["failures"]] == ["DEPLOYMENT_BLOCKED"]
    again = await listed(
        "UpdateTaskProtection", cluster="default", tasks=arns[:1], protectionEnabled=True, expiresInMinutes=1
    )
    assert again["protectedTasks"][0]["expirationDate"] == NOW + 60


@pytest.mark.parametrize("minutes", [0, 2881])
async def test_protection_lasts_a_minute_to_two_days(listed: Aws, minutes: int) -> None:
    refused = await listed.refusal(
        "UpdateTaskProtection", cluster="default", tasks=["x"], protectionEnabled=True, expiresInMinutes=minutes
    )
    assert refused[0] == "InvalidParameterException"


async def test_a_stopped_task_frees_its_room(aws: Aws) -> None:
    tasks = (await run(aws, count=8))["tasks"]
    assert (await run(aws))["failures"]
    await stop(aws, tasks[0]["taskArn"])
    assert (await rows(aws, Task, last_status=TaskStatus.STOPPED))[0].task_arn == tasks[0]["taskArn"]
    assert (await run(aws))["tasks"]
