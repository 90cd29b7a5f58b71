"""boto3 and task definitions."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contract.conftest import refusal, register
from tests.contract.whole import ACCOUNT, REGION

PREFIX = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition"


def test_revisions_count_up_and_the_family_means_the_newest_active_one(ecs: Any) -> None:
    first, second = register(ecs, "counts", tags=[{"key": "a", "value": "b"}]), register(ecs, "counts")
    assert (first, second) == (f"{PREFIX}/counts:1", f"{PREFIX}/counts:2")
    assert ecs.describe_task_definition(taskDefinition="counts")["taskDefinition"]["revision"] == 2
    assert ecs.deregister_task_definition(taskDefinition="counts:2")["taskDefinition"]["status"] == "INACTIVE"
    newest = ecs.describe_task_definition(taskDefinition="counts", include=["TAGS"])
    assert newest["taskDefinition"]["taskDefinitionArn"] == first
    assert newest["tags"] == [{"key": "a", "value": "b"}]
    assert ecs.describe_task_definition(taskDefinition=second)["taskDefinition"]["status"] == "INACTIVE"
    assert register(ecs, "counts") == f"{PREFIX}/counts:3"


def test_what_is_registered_is_what_is_described(ecs: Any) -> None:
    container = {
        "name": "app",
        "image": "fake/web:1",
        "cpu": 128,
        "memory": 256,
        "essential": True,
        "portMappings": [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}],
        "environment": [{"name": "COLOUR", "value": "red"}],
        "command": ["serve"],
        "healthCheck": {"command": ["CMD", "true"], "interval": 5, "timeout": 2, "retries": 3},
    }
    registered = ecs.register_task_definition(
        family="whole",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu=".25 vCPU",
        memory="0.5 GB",
        containerDefinitions=[container],
        runtimePlatform={"operatingSystemFamily": "LINUX"},
    )["taskDefinition"]
    assert registered == ecs.describe_task_definition(taskDefinition="whole")["taskDefinition"]
    assert (registered["cpu"], registered["memory"]) == ("256", "512")
    assert set(registered["compatibilities"]) == {"EC2", "FARGATE"}
    assert container.items() <= registered["containerDefinitions"][0].items()


def test_what_tools_write_out_of_habit_asks_for_nothing(ecs: Any) -> None:
    empty = ("mountPoints", "volumesFrom", "systemControls", "secrets", "dependsOn", "links", "dnsServers", "ulimits")
    container = {"name": "app", "image": "fake/web:1", "cpu": 0} | {name: [] for name in empty}
    register(ecs, "habit", containerDefinitions=[container], volumes=[], placementConstraints=[])


def test_definitions_and_families_come_in_pages_and_in_order(ecs: Any) -> None:
    arns = [register(ecs, family) for family in ("list-a", "list-b", "list-a")]

    def listed(operation: str, result: str, **params: Any) -> list[str]:
        pages = ecs.get_paginator(operation).paginate(PaginationConfig={"PageSize": 1}, **params)
        return [item for page in pages for item in page[result]]

    assert listed("list_task_definitions", "taskDefinitionArns", familyPrefix="list-a") == [arns[0], arns[2]]
    newest = listed("list_task_definitions", "taskDefinitionArns", familyPrefix="list-a", sort="DESC")
    assert newest == [arns[2], arns[0]]
    assert listed("list_task_definition_families", "families", familyPrefix="list-") == ["list-a", "list-b"]
    ecs.deregister_task_definition(taskDefinition="list-b:1")
    families = {
        status: listed("list_task_definition_families", "families", familyPrefix="list-", status=status)
        for status in ("ACTIVE", "INACTIVE", "ALL")
    }
    assert families == {"ACTIVE": ["list-a"], "INACTIVE": ["list-b"], "ALL": ["list-a", "list-b"]}
    inactive = listed("list_task_definitions", "taskDefinitionArns", familyPrefix="list-b", status="INACTIVE")
    assert inactive == [arns[1]]


def test_only_what_is_inactive_can_be_deleted(ecs: Any) -> None:
    active, inactive = register(ecs, "goes"), register(ecs, "goes")
    ecs.deregister_task_definition(taskDefinition=inactive)
    answer = ecs.delete_task_definitions(taskDefinitions=[active, inactive, "goes:9"])
    assert [(d["taskDefinitionArn"], d["status"]) for d in answer["taskDefinitions"]] == [
        (inactive, "DELETE_IN_PROGRESS")
    ]
    assert [failure["reason"] for failure in answer["failures"]] == [
        "The specified task definition is still in ACTIVE status. Please deregister the target and try again.",
        "The specified task definition does not exist. Specify a valid account, family, revision and try again.",
    ]


@pytest.mark.parametrize("count", [0, 11])
def test_a_batch_to_delete_has_one_to_ten(ecs: Any, count: int) -> None:
    assert refusal(ecs.delete_task_definitions, taskDefinitions=["x:1"] * count)[0] == "InvalidParameterException"


def test_a_definition_that_needs_what_is_not_there_is_told_what_to_do(ecs: Any) -> None:
    container = {"name": "app", "image": "fake/web:1", "credentialSpecs": ["credentialspec:x"]}
    with pytest.raises(ecs.exceptions.ClientException, match=r"credentialSpecs.*Remove"):
        register(ecs, "logs", containerDefinitions=[container])
