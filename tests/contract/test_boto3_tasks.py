"""boto3 and tasks that run: a real agent carries them out on fake containers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contract.conftest import refusal, register, wait


def run(ecs: Any, cluster: str, network: dict[str, Any], **changes: Any) -> dict[str, Any]:
    params = {"cluster": cluster, "launchType": "FARGATE", "networkConfiguration": network}
    answer: dict[str, Any] = ecs.run_task(**params | changes)
    return answer


def describe(ecs: Any, cluster: str, *arns: str, **params: Any) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = ecs.describe_tasks(cluster=cluster, tasks=list(arns), **params)["tasks"]
    return tasks


def test_a_task_runs_until_it_is_stopped(ecs: Any, ec2: Any, cluster: str, network: dict[str, Any]) -> None:
    register(ecs, "runs")
    tags = [{"key": "team", "value": "a"}]
    [task] = run(ecs, cluster, network, taskDefinition="runs", startedBy="me", tags=tags)["tasks"]
    assert (task["lastStatus"], task["desiredStatus"]) == ("PROVISIONING", "RUNNING")
    wait(ecs, "tasks_running", cluster=cluster, tasks=[task["taskArn"]])
    [seen] = describe(ecs, cluster, task["taskArn"], include=["TAGS"])
    assert (seen["launchType"], seen["group"], seen["startedBy"], seen["tags"]) == (
        "FARGATE",
        "family:runs",
        "me",
        tags,
    )
    assert seen["createdAt"] <= seen["pullStartedAt"] <= seen["pullStoppedAt"] <= seen["startedAt"]
    [attachment] = seen["attachments"]
    details = {detail["name"]: detail["value"] for detail in attachment["details"]}
    [interface] = ec2.describe_network_interfaces(NetworkInterfaceIds=[details["networkInterfaceId"]])[
        "NetworkInterfaces"
    ]
    assert interface["PrivateIpAddress"] == details["privateIPv4Address"]
    assert "Association" not in interface
    stopping = ecs.stop_task(cluster=cluster, task=task["taskArn"], reason="enough")["task"]
    assert stopping["desiredStatus"] == "STOPPED"
    wait(ecs, "tasks_stopped", cluster=cluster, tasks=[task["taskArn"]])
    [stopped] = describe(ecs, cluster, task["taskArn"])
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "enough")
    assert stopped["containers"][0]["exitCode"] == 0
    with pytest.raises(ec2.exceptions.ClientError, match=r"InvalidNetworkInterfaceID\.NotFound"):
        ec2.describe_network_interfaces(NetworkInterfaceIds=[details["networkInterfaceId"]])


def test_a_public_task_shows_its_address(ecs: Any, ec2: Any, cluster: str, network: dict[str, Any]) -> None:
    register(ecs, "public")
    open_ = {"awsvpcConfiguration": network["awsvpcConfiguration"] | {"assignPublicIp": "ENABLED"}}
    [task] = run(ecs, cluster, open_, taskDefinition="public")["tasks"]
    wait(ecs, "tasks_running", cluster=cluster, tasks=[task["taskArn"]])
    [seen] = describe(ecs, cluster, task["taskArn"])
    address = seen["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    filters = [{"Name": "association.public-ip", "Values": [address]}]
    [interface] = ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
    assert interface["Association"]["PublicIp"] == address


@pytest.mark.parametrize(
    ("image", "end", "reason"),
    [
        ("fake/job", ("EssentialContainerExited", 3), "Essential container in task exited"),
        ("fake/absent", ("TaskFailedToStart", None), "CannotPullContainerError: manifest unknown"),
    ],
)
def test_a_task_that_ends_says_why(
    ecs: Any, network: dict[str, Any], image: str, end: tuple[str, int | None], reason: str
) -> None:
    family = image.replace("/", "-")
    register(ecs, family, image=image)
    [task] = run(ecs, "default", network, taskDefinition=family)["tasks"]
    wait(ecs, "tasks_stopped", tasks=[task["taskArn"]])
    [stopped] = describe(ecs, "default", task["taskArn"])
    assert (stopped["stopCode"], stopped["containers"][0].get("exitCode")) == end
    assert reason in stopped["stoppedReason"] or reason in stopped["containers"][0]["reason"]


def test_tasks_are_listed_by_what_they_are(ecs: Any, cluster: str, network: dict[str, Any]) -> None:
    for family in ("one", "two"):
        register(ecs, family)
    ones = [t["taskArn"] for t in run(ecs, cluster, network, taskDefinition="one", count=3, startedBy="x")["tasks"]]
    [two] = [t["taskArn"] for t in run(ecs, cluster, network, taskDefinition="two")["tasks"]]
    wait(ecs, "tasks_running", cluster=cluster, tasks=[*ones, two])

    def listed(**filters: str) -> set[str]:
        pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, PaginationConfig={"PageSize": 2}, **filters)
        return {arn for page in pages for arn in page["taskArns"]}

    assert listed() == {*ones, two}
    assert listed(family="two") == {two}
    assert listed(startedBy="x") == set(ones)
    assert listed(launchType="EC2") == listed(desiredStatus="STOPPED") == listed(desiredStatus="PENDING") == set()
    ecs.stop_task(cluster=cluster, task=two)
    wait(ecs, "tasks_stopped", cluster=cluster, tasks=[two])
    assert listed(desiredStatus="STOPPED") == {two}
    with pytest.raises(ecs.exceptions.ServiceNotFoundException):
        listed(serviceName="nothing")


def test_tasks_that_are_not_there_are_missing_and_fail_the_waiter(ecs: Any) -> None:
    answer = ecs.describe_tasks(tasks=["0" * 32])
    assert answer["tasks"] == []
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]
    with pytest.raises(Exception, match="MISSING"):
        wait(ecs, "tasks_running", tasks=["0" * 32])
    assert refusal(ecs.stop_task, task="0" * 32) == ("InvalidParameterException", "The referenced task was not found.")


def test_the_same_token_gives_the_same_tasks_and_other_parameters_conflict(
    ecs: Any, cluster: str, network: dict[str, Any]
) -> None:
    register(ecs, "token")

    def again(**changes: Any) -> list[str]:
        answer = run(ecs, cluster, network, taskDefinition="token", clientToken="once", **changes)
        return [task["taskArn"] for task in answer["tasks"]]

    arns = again()
    assert again() == arns
    with pytest.raises(ecs.exceptions.ConflictException) as caught:
        again(count=2)
    assert caught.value.response["resourceIds"] == arns


def test_what_does_not_fit_is_a_failure_and_no_error(ecs: Any, cluster: str, network: dict[str, Any]) -> None:
    register(ecs, "huge", cpu="16384", memory="32768")
    answer = run(ecs, cluster, network, taskDefinition="huge")
    assert answer["tasks"] == []
    assert len(answer["failures"]) == 1
    assert answer["failures"][0]["reason"].startswith(("Capacity is unavailable", "RESOURCE:"))


def test_overrides_reach_the_task(ecs: Any, cluster: str, network: dict[str, Any]) -> None:
    register(ecs, "override")
    container = {"name": "app", "command": ["x"], "environment": [{"name": "A", "value": "1"}]}
    overrides = {"containerOverrides": [container]}
    [task] = run(ecs, cluster, network, taskDefinition="override", overrides=overrides)["tasks"]
    assert task["overrides"]["containerOverrides"] == [container]


def test_only_tasks_of_services_are_protected(ecs: Any, cluster: str, network: dict[str, Any]) -> None:
    register(ecs, "alone")
    [task] = run(ecs, cluster, network, taskDefinition="alone")["tasks"]
    answer = ecs.update_task_protection(cluster=cluster, tasks=[task["taskArn"]], protectionEnabled=True)
    assert [failure["reason"] for failure in answer["failures"]] == ["TASK_NOT_VALID"]
    answer = ecs.get_task_protection(cluster=cluster, tasks=["0" * 32])
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]


def test_tasks_have_nowhere_to_run_but_fargate(ecs: Any, cluster: str, network: dict[str, Any]) -> None:
    register(ecs, "ec2", requiresCompatibilities=["EC2"])
    refused = refusal(
        ecs.run_task, cluster=cluster, taskDefinition="ec2", launchType="EC2", networkConfiguration=network
    )
    assert refused == ("InvalidParameterException", "No Container Instances were found in your cluster.")
