"""Roles of tasks: found, made or refused when they are named, and given to the agent as credentials."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.aws import Aws
from tests.builders import KEYRING, NOW, an_instance

from wherry.api.acs import assignments, credentials
from wherry.api.acs.credentials import APPLICATION, EXECUTION
from wherry.api.acs.payload import Terms
from wherry.api.ecs import roles
from wherry.api.sts import sessions
from wherry.model.ecr.names import RegistryNames
from wherry.model.errors import ClientException
from wherry.model.network import NetworkInterface, Subnet
from wherry.model.protocol.task import PayloadTask
from wherry.model.task import Task
from wherry.store import Store

pytestmark = pytest.mark.anyio

TASK_ROLE = "arn:aws:iam::000000000000:role/app/web"
ELSEWHERE = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
TRUST_OF_LAMBDA = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
    '"Principal": {"Service": "lambda.amazonaws.com"}}]}'
)
DEFINITION = {
    "family": "web",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [{"name": "web", "image": "web"}],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(store: Store) -> Aws:
    aws = await Aws(store).seed()
    await store.write(lambda tx: tx.put(an_instance()))
    return aws


async def run(aws: Aws, **params: Any) -> dict[str, Any]:
    subnet = (await aws.store.read(lambda tx: tx.find(Subnet)))[0]
    network = {"awsvpcConfiguration": {"subnets": [subnet.subnet_id]}}
    return await aws("RunTask", taskDefinition="web", launchType="FARGATE", networkConfiguration=network, **params)


def refusing(aws: Aws) -> None:
    aws.ctx = msgspec.structs.replace(
        aws.ctx, settings=msgspec.structs.replace(aws.ctx.settings, missing_roles="refuse")
    )


async def payloads(aws: Aws) -> list[PayloadTask]:
    """What the agent would be sent of every task."""
    terms = Terms(region="us-east-1", stop_timeout=30)
    arns = [task.task_arn for task in await aws.store.read(lambda tx: tx.find(Task))]
    found = await aws.store.read(assignments.translate, arns, terms=terms, custom=roles.custom(aws.ctx))
    return [credentials.equipped(aws.ctx, task, own) for task, own in found]


async def test_roles_that_nobody_made_are_made_and_may_do_what_they_are_for(aws: Aws) -> None:
    await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn=TASK_ROLE, executionRoleArn=ELSEWHERE)
    task_role = (await aws("GetRole", of="iam", RoleName="web"))["Role"]
    assert task_role["Arn"] == TASK_ROLE
    assert (await aws("ListRolePolicies", of="iam", RoleName="web"))["PolicyNames"] == []
    assert (await aws("ListAttachedRolePolicies", of="iam", RoleName="web"))["AttachedPolicies"] == []
    execution = (await aws("GetRole", of="iam", RoleName="ecsTaskExecutionRole"))["Role"]
    assert execution["Arn"] == "arn:aws:iam::000000000000:role/ecsTaskExecutionRole"
    attached = await aws("ListAttachedRolePolicies", of="iam", RoleName="ecsTaskExecutionRole")
    assert [one["PolicyName"] for one in attached["AttachedPolicies"]] == ["AmazonECSTaskExecutionRolePolicy"]
    # Once made, they are found.
    await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn="web", executionRoleArn=ELSEWHERE)


async def test_where_missing_roles_are_refused_nothing_is_made(aws: Aws) -> None:
    refusing(aws)
    with pytest.raises(ClientException, match="Role is not valid"):
        await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn=TASK_ROLE)
    assert (await aws("ListRoles", of="iam"))["Roles"] == []
    assert (await aws("ListTaskDefinitions"))["taskDefinitionArns"] == []


async def test_a_name_that_means_another_role_already_is_refused(aws: Aws) -> None:
    await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn=TASK_ROLE)
    with pytest.raises(ClientException, match="Role is not valid"):
        await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn="arn:aws:iam::000000000000:role/other/web")


async def test_the_agent_is_given_both_roles_and_each_acts_as_the_task(aws: Aws) -> None:
    await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn=TASK_ROLE, executionRoleArn="ecsTaskExecutionRole")
    started = (await run(aws))["tasks"]
    [told] = await payloads(aws)
    task_id = started[0]["taskArn"].rsplit("/", 1)[-1]
    own, execution = told.role_credentials, told.execution_role_credentials
    assert own is not None
    assert execution is not None
    assert (own.role_type, own.role_arn) == (APPLICATION, TASK_ROLE)
    assert (execution.role_type, execution.role_arn) == (
        EXECUTION,
        "arn:aws:iam::000000000000:role/ecsTaskExecutionRole",
    )
    session = sessions.read(KEYRING, own.access_key_id, own.session_token, now=NOW)
    assert session.principal_arn == f"arn:aws:sts::000000000000:assumed-role/web/{task_id}"
    assert session.expires_at == NOW + 6 * 3600
    # Asked again, as after a reconnection: other keys under the same ids.
    [again] = await payloads(aws)
    assert again.role_credentials is not None
    assert again.role_credentials.credentials_id == own.credentials_id
    assert again.role_credentials.access_key_id != own.access_key_id
    assert own.credentials_id != execution.credentials_id
    assert own.credentials_id not in str(started)


async def test_a_task_without_roles_is_given_none(aws: Aws) -> None:
    await aws("RegisterTaskDefinition", **DEFINITION)
    await run(aws)
    [told] = await payloads(aws)
    assert (told.role_credentials, told.execution_role_credentials) == (None, None)


async def test_overrides_name_other_roles(aws: Aws) -> None:
    await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn=TASK_ROLE)
    started = await run(aws, overrides={"taskRoleArn": "batch"})
    assert started["tasks"][0]["overrides"]["taskRoleArn"] == "batch"
    [told] = await payloads(aws)
    assert told.role_credentials is not None
    assert told.role_credentials.role_arn == "arn:aws:iam::000000000000:role/batch"


async def test_a_role_that_does_not_trust_tasks_is_not_assumed(aws: Aws) -> None:
    await aws("CreateRole", of="iam", RoleName="lambda", AssumeRolePolicyDocument=TRUST_OF_LAMBDA)
    await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn="lambda")
    with pytest.raises(ClientException, match="ECS was unable to assume the role 'lambda' that was provided"):
        await run(aws)


async def test_a_role_that_goes_while_the_task_waits_is_told_as_missing(aws: Aws) -> None:
    await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn=TASK_ROLE)
    await run(aws)
    await aws("DeleteRole", of="iam", RoleName="web")
    arns = [task.task_arn for task in await aws.store.read(lambda tx: tx.find(Task))]
    terms = Terms(region="us-east-1", stop_timeout=30)
    [(_, own)] = await aws.store.read(assignments.translate, arns, terms=terms, custom=roles.custom(aws.ctx))
    assert own.missing == TASK_ROLE


async def test_a_task_whose_role_has_gone_is_stopped_and_the_agent_says_when_it_has(aws: Aws) -> None:
    await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn=TASK_ROLE)
    [started] = (await run(aws))["tasks"]
    instance = an_instance().container_instance_arn
    await aws.store.write(assignments.not_assumed, instance, started["taskArn"], "no role", NOW + 1)
    task = await aws.store.read(lambda tx: tx.get(Task, started["taskArn"]))
    assert (task.desired_status, task.stopped_reason) == ("STOPPED", "no role")
    assert not task.is_stopped
    # Its interface stays until then: the agent may have given the address out already.
    assert await aws.store.read(lambda tx: tx.find(NetworkInterface, task_arn=task.task_arn))


async def test_a_service_needs_roles_that_its_tasks_can_have(aws: Aws) -> None:
    await aws("RegisterTaskDefinition", **DEFINITION, taskRoleArn=TASK_ROLE)
    subnet = (await aws.store.read(lambda tx: tx.find(Subnet)))[0]
    network = {"awsvpcConfiguration": {"subnets": [subnet.subnet_id]}}
    service = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "launchType": "FARGATE"}
    await aws("CreateService", **service, networkConfiguration=network)
    await aws("DeleteRole", of="iam", RoleName="web")
    with pytest.raises(ClientException, match="ECS was unable to assume the role"):
        await aws("UpdateService", service="web", forceNewDeployment=True)
    # What starts no deployment is not held up by it.
    await aws("UpdateService", service="web", desiredCount=0)


async def test_an_execution_role_of_the_overrides_is_the_one_that_pulls(aws: Aws) -> None:
    container = {"name": "web", "image": "localhost:4566/web:1"}
    await aws("RegisterTaskDefinition", **DEFINITION | {"containerDefinitions": [container]})
    await run(aws, overrides={"executionRoleArn": "puller"})
    names = RegistryNames(account_id="000000000000", region="us-east-1", hosts=frozenset({"localhost:4566"}))
    terms = Terms(region="us-east-1", stop_timeout=30, registry=names)
    arns = [task.task_arn for task in await aws.store.read(lambda tx: tx.find(Task))]
    [(told, _)] = await aws.store.read(assignments.translate, arns, terms=terms, custom=roles.custom(aws.ctx))
    assert told.containers[0].registry_authentication.ecr_auth_data.use_execution_role
