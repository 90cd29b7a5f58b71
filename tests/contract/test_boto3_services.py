"""boto3 and services that are kept: a real scheduler and a real agent, with short waiting times."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import WaiterError
from tests.contract.conftest import completed, refusal, register, wait
from tests.contract.whole import ACCOUNT, REGION

PREFIX = f"arn:aws:ecs:{REGION}:{ACCOUNT}"


class Services:
    """Short ways to the services of one cluster."""

    def __init__(self, ecs: Any, cluster: str, network: dict[str, Any]) -> None:
        self.ecs = ecs
        self.cluster = cluster
        self.network = network
        register(ecs, cluster)

    def request(self, name: str = "web", **changes: Any) -> dict[str, Any]:
        params = {
            "cluster": self.cluster,
            "serviceName": name,
            "taskDefinition": self.cluster,
            "desiredCount": 1,
            "launchType": "FARGATE",
            "networkConfiguration": self.network,
        }
        return params | changes

    def create(self, name: str = "web", **changes: Any) -> dict[str, Any]:
        return dict(self.ecs.create_service(**self.request(name, **changes))["service"])

    def update(self, name: str = "web", **changes: Any) -> dict[str, Any]:
        return dict(self.ecs.update_service(cluster=self.cluster, service=name, **changes)["service"])

    def describe(self, name: str = "web", **params: Any) -> dict[str, Any]:
        [service] = self.ecs.describe_services(cluster=self.cluster, services=[name], **params)["services"]
        return dict(service)

    def delete(self, name: str = "web", **params: Any) -> dict[str, Any]:
        return dict(self.ecs.delete_service(cluster=self.cluster, service=name, **params)["service"])

    def stable(self, name: str = "web") -> dict[str, Any]:
        completed(self.ecs, self.cluster, name)
        return self.describe(name)

    def tasks(self, name: str = "web") -> list[str]:
        return list(self.ecs.list_tasks(cluster=self.cluster, serviceName=name)["taskArns"])


@pytest.fixture
def services(ecs: Any, cluster: str, network: dict[str, Any]) -> Services:
    return Services(ecs, cluster, network)


def test_a_service_lives_rolls_out_scales_and_ends(services: Services) -> None:
    created = services.create(desiredCount=2)
    assert created["serviceArn"] == f"{PREFIX}:service/{services.cluster}/web"
    assert (created["status"], created["runningCount"]) == ("ACTIVE", 0)
    first = services.stable()
    assert [d["rolloutState"] for d in first["deployments"]] == ["COMPLETED"]
    assert first["events"][0]["message"] == "(service web) has reached a steady state."
    definition = register(services.ecs, services.cluster, image="fake/web:2")
    updated = services.update(taskDefinition=services.cluster)
    assert [d["status"] for d in updated["deployments"]] == ["PRIMARY", "ACTIVE"]
    second = services.stable()
    assert (second["taskDefinition"], second["runningCount"]) == (definition, 2)
    services.update(desiredCount=0)
    assert services.stable()["runningCount"] == 0
    assert services.delete()["status"] == "DRAINING"
    wait(services.ecs, "services_inactive", cluster=services.cluster, services=["web"])
    with pytest.raises(WaiterError, match="INACTIVE"):
        services.stable()


def test_a_task_that_is_stopped_is_replaced(services: Services) -> None:
    services.create()
    services.stable()
    [before] = services.tasks()
    services.ecs.stop_task(cluster=services.cluster, task=before)
    wait(services.ecs, "tasks_stopped", cluster=services.cluster, tasks=[before])
    services.stable()
    [after] = services.tasks()
    assert after != before


def test_the_same_service_twice_is_one_and_another_one_is_refused(services: Services) -> None:
    first = services.create(clientToken="once")
    assert services.create(clientToken="once")["createdAt"] == first["createdAt"]
    assert services.create()["createdAt"] == first["createdAt"]
    refused = refusal(services.ecs.create_service, **services.request(desiredCount=3))
    assert refused == ("InvalidParameterException", "Creation of service was not idempotent.")


def test_services_are_listed_ten_to_a_page_and_described_ten_at_a_time(services: Services) -> None:
    made = {services.create(f"s{number:02}", desiredCount=0)["serviceArn"] for number in range(11)}
    assert len(services.ecs.list_services(cluster=services.cluster)["serviceArns"]) == 10
    pages = services.ecs.get_paginator("list_services").paginate(cluster=services.cluster)
    assert {arn for page in pages for arn in page["serviceArns"]} == made
    with pytest.raises(services.ecs.exceptions.InvalidParameterException):
        services.ecs.describe_services(cluster=services.cluster, services=sorted(made))
    assert services.ecs.list_services(cluster=services.cluster, launchType="EC2")["serviceArns"] == []
    with pytest.raises(services.ecs.exceptions.NamespaceNotFoundException):
        services.ecs.list_services_by_namespace(namespace="nowhere")


def test_a_service_that_is_not_there_is_missing_or_not_found(services: Services) -> None:
    answer = services.ecs.describe_services(cluster=services.cluster, services=["none"])
    missing = f"{PREFIX}:service/{services.cluster}/none"
    assert answer["failures"] == [{"arn": missing, "reason": "MISSING"}]
    with pytest.raises(services.ecs.exceptions.ServiceNotFoundException):
        services.update("none", desiredCount=1)
    with pytest.raises(services.ecs.exceptions.ServiceNotFoundException):
        services.delete("none")
    with pytest.raises(WaiterError, match="MISSING"):
        services.stable("none")


def test_a_service_that_wants_tasks_is_only_deleted_by_force(services: Services) -> None:
    services.create()
    with pytest.raises(services.ecs.exceptions.InvalidParameterException, match="scaled above 0"):
        services.delete()
    with pytest.raises(services.ecs.exceptions.ClusterContainsServicesException):
        services.ecs.delete_cluster(cluster=services.cluster)
    services.delete(force=True)
    wait(services.ecs, "services_inactive", cluster=services.cluster, services=["web"])
    with pytest.raises(services.ecs.exceptions.ServiceNotActiveException):
        services.update(desiredCount=1)


def test_tags_reach_the_tasks(services: Services) -> None:
    tags = [{"key": "team", "value": "a"}]
    services.create(tags=tags, propagateTags="SERVICE", enableECSManagedTags=True)
    services.stable()
    assert services.describe()["tags"] == []
    assert services.describe(include=["TAGS"])["tags"] == tags
    [task] = services.tasks()
    [seen] = services.ecs.describe_tasks(cluster=services.cluster, tasks=[task], include=["TAGS"])["tasks"]
    assert {tag["key"]: tag["value"] for tag in seen["tags"]} == {
        "team": "a",
        "aws:ecs:clusterName": services.cluster,
        "aws:ecs:serviceName": "web",
    }
    assert services.ecs.list_tags_for_resource(resourceArn=task)["tags"] == seen["tags"]


def test_a_deployment_is_also_a_service_deployment_with_revisions(services: Services) -> None:
    services.create()
    services.stable()
    services.update(forceNewDeployment=True)
    service = services.stable()
    briefs = services.ecs.list_service_deployments(cluster=services.cluster, service="web")["serviceDeployments"]
    assert [brief["status"] for brief in briefs] == ["SUCCESSFUL", "SUCCESSFUL"]
    assert briefs[0]["serviceDeploymentArn"] == service["currentServiceDeployment"]
    arns = [brief["serviceDeploymentArn"] for brief in briefs]
    described = services.ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"]
    target = described[0]["targetServiceRevision"]["arn"]
    assert described[0]["sourceServiceRevisions"][0]["arn"] == described[1]["targetServiceRevision"]["arn"]
    [revision] = services.ecs.describe_service_revisions(serviceRevisionArns=[target])["serviceRevisions"]
    assert revision["taskDefinition"] == service["taskDefinition"]
    first = services.ecs.list_service_deployments(cluster=services.cluster, service="web", maxResults=1)
    rest = services.ecs.list_service_deployments(cluster=services.cluster, service="web", nextToken=first["nextToken"])
    assert [d["serviceDeploymentArn"] for d in first["serviceDeployments"] + rest["serviceDeployments"]] == arns
    with pytest.raises(services.ecs.exceptions.ConflictException):
        services.ecs.stop_service_deployment(serviceDeploymentArn=arns[0])
    with pytest.raises(services.ecs.exceptions.ServiceDeploymentNotFoundException):
        services.ecs.stop_service_deployment(serviceDeploymentArn=arns[0][:-1] + "_")


def test_the_circuit_breaker_rolls_back(services: Services) -> None:
    breaker = {"enable": True, "rollback": True}
    before = services.create(deploymentConfiguration={"deploymentCircuitBreaker": breaker})
    services.stable()
    register(services.ecs, services.cluster, image="fake/absent")
    services.update(taskDefinition=services.cluster)
    after = services.stable()
    assert after["taskDefinition"] == before["taskDefinition"]
    newest = services.ecs.list_service_deployments(cluster=services.cluster, service="web")["serviceDeployments"][0]
    assert newest["status"] == "ROLLBACK_SUCCESSFUL"


def test_a_deployment_that_is_stopped_goes_back(services: Services) -> None:
    before = services.create()
    services.stable()
    register(services.ecs, services.cluster, image="fake/absent")
    deployment = services.update(taskDefinition=services.cluster)["deployments"][0]
    [brief] = services.ecs.list_service_deployments(cluster=services.cluster, service="web", maxResults=1)[
        "serviceDeployments"
    ]
    assert brief["targetServiceRevisionArn"].endswith(deployment["id"].removeprefix("ecs-svc"))
    services.ecs.stop_service_deployment(serviceDeploymentArn=brief["serviceDeploymentArn"], stopType="ROLLBACK")
    assert services.stable()["taskDefinition"] == before["taskDefinition"]


def test_a_protected_task_outlives_a_scale_in(services: Services) -> None:
    services.create(desiredCount=2)
    services.stable()
    kept = sorted(services.tasks())[1]
    protected = services.ecs.update_task_protection(
        cluster=services.cluster, tasks=[kept], protectionEnabled=True, expiresInMinutes=5
    )["protectedTasks"]
    assert [task["taskArn"] for task in protected] == [kept]
    services.update(desiredCount=1)
    services.stable()
    assert services.tasks() == [kept]
    [seen] = services.ecs.get_task_protection(cluster=services.cluster, tasks=[kept])["protectedTasks"]
    assert seen["protectionEnabled"]


def test_capacity_providers_stand_in_for_the_launch_type(services: Services) -> None:
    services.ecs.put_cluster_capacity_providers(
        cluster=services.cluster, capacityProviders=["FARGATE_SPOT"], defaultCapacityProviderStrategy=[]
    )
    request = services.request()
    del request["launchType"]
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
    service = services.ecs.create_service(**request, capacityProviderStrategy=strategy)["service"]
    assert (service["capacityProviderStrategy"], "launchType" in service) == (strategy, False)
    services.stable()
    [task] = services.ecs.describe_tasks(cluster=services.cluster, tasks=services.tasks())["tasks"]
    assert (task["capacityProviderName"], task["launchType"]) == ("FARGATE_SPOT", "FARGATE")


def test_what_a_service_cannot_have_yet_is_refused_by_name(services: Services) -> None:
    balancer = [{"targetGroupArn": "arn:x", "containerName": "app", "containerPort": 80}]
    for member, value in (
        ("loadBalancers", balancer),
        ("availabilityZoneRebalancing", "ENABLED"),
        ("schedulingStrategy", "DAEMON"),
        ("deploymentController", {"type": "CODE_DEPLOY"}),
    ):
        code, message = refusal(services.ecs.create_service, **services.request(**{member: value}))
        assert (code, member in message) == ("InvalidParameterException", True)
