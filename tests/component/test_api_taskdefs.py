"""The operations on task definitions, on a real store of either kind."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec import structs
from tests.builders import KEYRING, NO_LOGS, NOW, SCOPE, Counter, a_deployment, a_task

from wherry.api.context import Context
from wherry.api.ecs import taskdefs
from wherry.control.reaper import deleted_definitions
from wherry.model.call import Call, Principal
from wherry.model.errors import ApiError, ClientException, InvalidParameterException
from wherry.model.service import DeploymentStatus
from wherry.model.task import TaskStatus
from wherry.model.taskdef import TaskDefinition
from wherry.settings import Settings, Timing
from wherry.store import Store, Tx

pytestmark = pytest.mark.anyio

USER = Principal(account_id=SCOPE.account_id, arn="arn:aws:iam::000000000000:root", access_key_id="test")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Ecs:
    """Calls the handlers as the gateway does."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW
        self.ctx = Context(
            store=store,
            logs=NO_LOGS,
            settings=Settings(),
            scope=SCOPE,
            clock=lambda: self.now,
            entropy=Counter(),
            keyring=KEYRING,
        )

    async def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        handler = getattr(taskdefs, re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower())
        call = Call(
            service="ecs",
            operation=operation,
            params=params,
            principal=USER,
            region=SCOPE.region,
            request_id="r",
        )
        return await handler(self.ctx, call)

    async def register(self, family: str = "web", **changes: Any) -> str:
        params = {"family": family, "containerDefinitions": [{"name": "app", "image": "nginx", "memory": 64}]}
        answer = await self("RegisterTaskDefinition", **params | changes)
        return answer["taskDefinition"]["taskDefinitionArn"]

    async def delete(self, reference: str) -> None:
        await self("DeregisterTaskDefinition", taskDefinition=reference)
        await self("DeleteTaskDefinitions", taskDefinitions=[reference])

    async def reap(self) -> int:
        return await self.store.write(deleted_definitions, self.now, Timing())

    async def listed(self, **params: Any) -> list[str]:
        arns = (await self("ListTaskDefinitions", **params))["taskDefinitionArns"]
        return [arn.rsplit("/", 1)[1] for arn in arns]

    async def families(self, **params: Any) -> list[str]:
        return (await self("ListTaskDefinitionFamilies", **params))["families"]

    async def refusal(self, operation: str, **params: Any) -> ApiError:
        with pytest.raises(ApiError) as caught:
            await self(operation, **params)
        return caught.value


@pytest.fixture
def ecs(store: Store) -> Ecs:
    return Ecs(store)


async def test_the_echo_has_the_members_and_defaults_of_ecs(ecs: Ecs) -> None:
    answer = await ecs(
        "RegisterTaskDefinition",
        family="my-task-def",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu=".25 vCPU",
        memory="0.5 GB",
        containerDefinitions=[
            {"name": "backend", "image": "backend", "portMappings": [{"containerPort": 8080}], "volumesFrom": []},
            {"name": "frontend", "image": "frontend", "command": ["run"], "healthCheck": {"command": ["CMD", "true"]}},
        ],
        tags=[{"key": "team", "value": "blue"}],
    )
    always = {
        "cpu": 0,
        "essential": True,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
    }
    assert answer == {
        "taskDefinition": {
            "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/my-task-def:1",
            "family": "my-task-def",
            "revision": 1,
            "status": "ACTIVE",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "compatibilities": ["EC2", "FARGATE"],
            "requiresAttributes": [
                {"name": "ecs.capability.container-health-check"},
                {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"},
                {"name": "ecs.capability.task-eni"},
            ],
            "cpu": "256",
            "memory": "512",
            "volumes": [],
            "placementConstraints": [],
            "registeredAt": NOW,
            "registeredBy": USER.arn,
            "containerDefinitions": [
                always
                | {
                    "name": "backend",
                    "image": "backend",
                    "portMappings": [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}],
                },
                always
                | {
                    "name": "frontend",
                    "image": "frontend",
                    "portMappings": [],
                    "command": ["run"],
                    "healthCheck": {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3},
                },
            ],
        },
        "tags": [{"key": "team", "value": "blue"}],
    }
    json.dumps(answer)


async def test_what_was_registered_is_described(ecs: Ecs) -> None:
    registered = await ecs(
        "RegisterTaskDefinition",
        family="web",
        containerDefinitions=[{"name": "app", "image": "nginx", "memory": 64}],
        tags=[{"key": "team", "value": "blue"}],
    )
    for reference in ("web", "web:1", registered["taskDefinition"]["taskDefinitionArn"]):
        described = await ecs("DescribeTaskDefinition", taskDefinition=reference)
        assert described == {"taskDefinition": registered["taskDefinition"]}
        assert await ecs("DescribeTaskDefinition", taskDefinition=reference, include=["TAGS"]) == registered


async def test_a_bad_definition_leaves_no_trace(ecs: Ecs) -> None:
    error = await ecs.refusal("RegisterTaskDefinition", family="web", containerDefinitions=[{"name": "app"}])
    assert (error.code, error.message) == ("ClientException", "Container.image should not be null or empty.")
    assert await ecs.register() == SCOPE.task_definition("web", 1)


@pytest.mark.parametrize("key", ["", "aws:team", "x" * 129])
async def test_tags_follow_the_rules_of_tags(ecs: Ecs, key: str) -> None:
    with pytest.raises(InvalidParameterException):
        await ecs.register(tags=[{"key": key, "value": ""}])


async def test_a_family_means_its_newest_active_revision(ecs: Ecs) -> None:
    for _ in range(11):
        await ecs.register()
    await ecs("DeregisterTaskDefinition", taskDefinition="web:11")
    assert (await ecs("DescribeTaskDefinition", taskDefinition="web"))["taskDefinition"]["revision"] == 10
    assert (await ecs("DescribeTaskDefinition", taskDefinition="web:11"))["taskDefinition"]["status"] == "INACTIVE"


@pytest.mark.parametrize(
    "reference", ["ghost", "web:2", "arn:aws:ecs:us-east-1:111111111111:task-definition/web:1", "arn:aws:ecs:x"]
)
async def test_what_does_not_exist_cannot_be_described(ecs: Ecs, reference: str) -> None:
    await ecs.register()
    error = await ecs.refusal("DescribeTaskDefinition", taskDefinition=reference)
    assert (error.code, error.message) == ("ClientException", "Unable to describe task definition.")


async def test_a_number_is_never_used_twice(ecs: Ecs) -> None:
    assert await ecs.register() == SCOPE.task_definition("web", 1)
    await ecs.delete("web:1")
    assert await ecs.reap() == 1
    assert await ecs.register() == SCOPE.task_definition("web", 2)


async def test_deregistering_makes_inactive_once(ecs: Ecs) -> None:
    await ecs.register()
    ecs.now = NOW + 5
    first = await ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    assert (first["taskDefinition"]["status"], first["taskDefinition"]["deregisteredAt"]) == ("INACTIVE", NOW + 5)
    ecs.now = NOW + 9
    assert await ecs("DeregisterTaskDefinition", taskDefinition="web:1") == first


@pytest.mark.parametrize(
    ("reference", "code", "message"),
    [
        ("web", "ClientException", "Revision is missing."),
        ("web:one", "InvalidParameterException", "Invalid revision number. Number: one"),
        ("web:²", "InvalidParameterException", "Invalid revision number. Number: ²"),
        ("web:7", "ClientException", "Unable to describe task definition."),
    ],
)
async def test_deregistering_needs_a_revision_that_exists(ecs: Ecs, reference: str, code: str, message: str) -> None:
    await ecs.register()
    error = await ecs.refusal("DeregisterTaskDefinition", taskDefinition=reference)
    assert (error.code, error.message) == (code, message)


async def test_only_deregistered_revisions_are_deleted_and_each_other_reference_fails_alone(ecs: Ecs) -> None:
    for _ in range(2):
        await ecs.register()
    await ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    answer = await ecs("DeleteTaskDefinitions", taskDefinitions=["web:1", "web:2", "web:3", "web", "web:x"])
    (deleted,) = answer["taskDefinitions"]
    assert (deleted["revision"], deleted["status"], deleted["deleteRequestedAt"]) == (1, "DELETE_IN_PROGRESS", NOW)
    assert {failure["arn"]: failure["reason"].split(".")[0] for failure in answer["failures"]} == {
        "web:2": "The specified task definition is still in ACTIVE status",
        "web:3": "The specified task definition does not exist",
        "web": "The specified task definition identifier is invalid",
        "web:x": "The specified task definition identifier is invalid",
    }
    again = await ecs("DeleteTaskDefinitions", taskDefinitions=["web:1"])
    assert again == {"taskDefinitions": [deleted], "failures": []}


@pytest.mark.parametrize("count", [0, 11])
async def test_one_to_ten_are_deleted_at_once(ecs: Ecs, count: int) -> None:
    error = await ecs.refusal("DeleteTaskDefinitions", taskDefinitions=[f"web:{n}" for n in range(count)])
    assert error.code == "InvalidParameterException"


async def test_a_list_is_by_family_and_revision_and_shows_active_ones(ecs: Ecs) -> None:
    for family in ("web", "api"):
        for _ in range(10):
            await ecs.register(family)
    await ecs("DeregisterTaskDefinition", taskDefinition="api:3")
    ascending = [f"api:{n}" for n in range(1, 11) if n != 3] + [f"web:{n}" for n in range(1, 11)]
    assert await ecs.listed() == ascending
    assert await ecs.listed(sort="DESC") == ascending[::-1]
    assert await ecs.listed(status="INACTIVE") == ["api:3"]
    assert await ecs.listed(familyPrefix="web", sort="DESC") == [f"web:{n}" for n in range(10, 0, -1)]
    assert await ecs.listed(familyPrefix="we") == []


@pytest.mark.parametrize("sort", ["ASC", "DESC"])
async def test_pages_join_to_the_whole_list(ecs: Ecs, sort: str) -> None:
    for family in ("web", "api"):
        for _ in range(4):
            await ecs.register(family)
    pages, token = [], {}
    while True:
        answer = await ecs("ListTaskDefinitions", sort=sort, maxResults=3, **token)
        pages.append([arn.rsplit("/", 1)[1] for arn in answer["taskDefinitionArns"]])
        if answer["nextToken"] is None:
            break
        token = {"nextToken": answer["nextToken"]}
    assert [len(page) for page in pages] == [3, 3, 2]
    assert [name for page in pages for name in page] == await ecs.listed(sort=sort)


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("ListTaskDefinitions", {"nextToken": "x"}),
        ("ListTaskDefinitions", {"maxResults": 101}),
        ("ListTaskDefinitions", {"status": "GONE"}),
        ("ListTaskDefinitions", {"sort": "UP"}),
        ("ListTaskDefinitionFamilies", {"nextToken": "x"}),
        ("ListTaskDefinitionFamilies", {"status": "GONE"}),
        ("DescribeTaskDefinition", {"taskDefinition": "web", "include": ["ALL"]}),
    ],
)
async def test_parameters_out_of_range_are_invalid(ecs: Ecs, operation: str, params: dict[str, Any]) -> None:
    assert (await ecs.refusal(operation, **params)).code == "InvalidParameterException"


async def test_a_family_has_the_status_of_its_revisions(ecs: Ecs) -> None:
    for family in ("active", "both", "inactive", "deleted"):
        await ecs.register(family)
    await ecs.register("both")
    for reference in ("both:1", "inactive:1"):
        await ecs("DeregisterTaskDefinition", taskDefinition=reference)
    await ecs.delete("deleted:1")
    assert await ecs.families() == ["active", "both", "inactive"]
    assert await ecs.families(status="ACTIVE") == ["active", "both"]
    assert await ecs.families(status="INACTIVE") == ["inactive"]
    assert await ecs.families(familyPrefix="in") == ["inactive"]


async def test_families_come_in_pages_even_where_most_are_not_shown(ecs: Ecs) -> None:
    for number in range(9):
        await ecs.register(f"f{number}")
        if number % 4:
            await ecs("DeregisterTaskDefinition", taskDefinition=f"f{number}:1")
    first = await ecs("ListTaskDefinitionFamilies", status="ACTIVE", maxResults=2)
    assert first["families"] == ["f0", "f4"]
    second = await ecs("ListTaskDefinitionFamilies", status="ACTIVE", maxResults=2, nextToken=first["nextToken"])
    assert second == {"families": ["f8"], "nextToken": None}


async def test_resolving_wants_an_active_revision(ecs: Ecs) -> None:
    arn = await ecs.register()
    resolved: TaskDefinition = await ecs.store.read(taskdefs.resolve, SCOPE, "web")
    assert resolved.task_definition_arn == arn
    with pytest.raises(ClientException, match=re.escape("TaskDefinition not found.")):
        await ecs.store.read(taskdefs.resolve, SCOPE, "web:2")
    await ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    with pytest.raises(ClientException, match="TaskDefinition is inactive"):
        await ecs.store.read(taskdefs.resolve, SCOPE, "web:1")
    with pytest.raises(ClientException, match=re.escape("TaskDefinition not found.")):
        await ecs.store.read(taskdefs.resolve, SCOPE, "web")


async def test_a_deleted_revision_goes_when_its_last_task_has_stopped(ecs: Ecs) -> None:
    arn = await ecs.register()
    await ecs.delete(arn)
    task = await ecs.store.write(Tx.put, a_task(task_definition_arn=arn, last_status=TaskStatus.STOPPING))
    assert await ecs.reap() == 0
    await ecs.store.write(Tx.delete, task)
    await ecs.store.write(Tx.put, a_task(task_definition_arn=arn, last_status=TaskStatus.STOPPED))
    assert await ecs.reap() == 1
    assert (await ecs.refusal("DescribeTaskDefinition", taskDefinition=arn)).code == "ClientException"


@pytest.mark.parametrize(
    ("status", "is_kept"),
    [(DeploymentStatus.PRIMARY, True), (DeploymentStatus.ACTIVE, True), (DeploymentStatus.INACTIVE, False)],
)
async def test_a_deleted_revision_stays_while_a_service_deploys_it(
    ecs: Ecs, status: DeploymentStatus, is_kept: bool
) -> None:
    arn = await ecs.register()
    await ecs.delete(arn)
    await ecs.store.write(Tx.put, a_deployment(task_definition=arn, status=status))
    assert await ecs.reap() == (0 if is_kept else 1)


PRIVILEGED = {
    "family": "host",
    "networkMode": "host",
    "containerDefinitions": [{"name": "app", "image": "app", "memory": 64, "privileged": True}],
}


def allowing(ecs: Ecs, **settings: Any) -> None:
    ecs.ctx = structs.replace(ecs.ctx, settings=Settings(**settings))


async def test_what_takes_of_the_host_is_refused_unless_the_settings_allow_it(ecs: Ecs) -> None:
    for settings, setting in [
        ({}, "networkMode host is not allowed by the host rules: the setting WHERRY_HOST_NAMESPACES decides."),
        (
            {"host_namespaces": True},
            "A privileged container is not allowed by the host rules: the setting WHERRY_HOST_PRIVILEGED decides.",
        ),
    ]:
        allowing(ecs, **settings)
        with pytest.raises(ClientException, match=re.escape(setting)):
            await ecs("RegisterTaskDefinition", **PRIVILEGED)
    allowing(ecs, host_namespaces=True, host_privileged=True)
    assert (await ecs("RegisterTaskDefinition", **PRIVILEGED))["taskDefinition"]["revision"] == 1


@pytest.mark.parametrize("users", ["administrator", "everybody"])
async def test_what_takes_of_the_host_is_for_the_administrator_to_register(ecs: Ecs, users: str) -> None:
    allowing(ecs, host_namespaces=True, host_privileged=True, host_users=users)
    call = Call(
        service="ecs",
        operation="RegisterTaskDefinition",
        params=PRIVILEGED,
        principal=Principal(
            account_id=SCOPE.account_id, arn=f"arn:aws:iam::{SCOPE.account_id}:user/ci", access_key_id="AKIA"
        ),
        region=SCOPE.region,
        request_id="r",
    )
    if users == "everybody":
        assert await taskdefs.register_task_definition(ecs.ctx, call)
        return
    with pytest.raises(ClientException) as refused:
        await taskdefs.register_task_definition(ecs.ctx, call)
    assert refused.value.message == (
        "networkMode host is for the administrator of the account to register: the setting WHERRY_HOST_USERS decides."
    )
