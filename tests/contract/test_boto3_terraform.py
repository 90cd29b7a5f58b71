"""The calls of the Terraform AWS provider's ECS resources, in its order and with the members that it sends.

Taken from `internal/service/ecs` of the provider: how it creates, reads, waits, updates and destroys.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from tests.contract.conftest import settle, wait

CONTAINER = {
    "name": "app",
    "image": "fake/web:1",
    "essential": True,
    "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}

INCLUDE = ["TAGS", "CONFIGURATIONS", "SETTINGS"]
TAGS = [{"key": "Name", "value": "web"}]
PROVIDERS = {
    "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
    "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 100, "base": 1}],
}


def service_input(cluster: str, definition: str, network: dict[str, Any]) -> dict[str, Any]:
    """Build `CreateServiceInput` of a resource that sets little, as version 5 of the provider fills it in."""
    return {
        "clientToken": "terraform-20260801120000000000000001",
        "cluster": cluster,
        "serviceName": "web",
        "taskDefinition": definition,
        "desiredCount": 2,
        "launchType": "FARGATE",
        "schedulingStrategy": "REPLICA",
        "availabilityZoneRebalancing": "DISABLED",
        "deploymentController": {"type": "ECS"},
        "deploymentConfiguration": {
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
        "enableECSManagedTags": False,
        "enableExecuteCommand": False,
        "networkConfiguration": {
            "awsvpcConfiguration": network["awsvpcConfiguration"] | {"assignPublicIp": "ENABLED", "securityGroups": []}
        },
        "tags": TAGS,
    }


def wait_for_steady_state(ecs: Any, cluster: str, service_arn: str, since: datetime) -> None:
    """Wait as the argument of that name does: by the service deployment that has the primary deployment's digits."""
    [service] = ecs.describe_services(cluster=cluster, services=[service_arn])["services"]
    assert service["deploymentController"]["type"] == "ECS"
    [primary] = [d for d in service["deployments"] if d["status"] == "PRIMARY"]
    assert primary["createdAt"] > since
    briefs = ecs.list_service_deployments(
        cluster=cluster, service=service_arn.rpartition("/")[2], createdAt={"after": since}
    )["serviceDeployments"]
    digits = primary["id"].split("/")[1]
    [arn] = [b["serviceDeploymentArn"] for b in briefs if digits in b["targetServiceRevisionArn"]]
    path = "serviceDeployments[].status"
    settle(ecs, "DescribeServiceDeployments", path, "SUCCESSFUL", serviceDeploymentArns=[arn])


def test_apply_change_and_destroy(ecs: Any, sts: Any, network: dict[str, Any]) -> None:
    assert sts.get_caller_identity()["Account"]
    cluster = ecs.create_cluster(clusterName="terraform", tags=TAGS)["cluster"]["clusterArn"]
    [seen] = ecs.describe_clusters(clusters=[cluster], include=INCLUDE)["clusters"]
    assert (seen["status"], seen["tags"]) == ("ACTIVE", TAGS)
    assert seen["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    ecs.put_cluster_capacity_providers(cluster="terraform", **PROVIDERS)
    [seen] = ecs.describe_clusters(clusters=["terraform"], include=INCLUDE)["clusters"]
    assert {member: seen[member] for member in PROVIDERS} == PROVIDERS

    definition = register_definition(ecs)
    since = datetime.fromtimestamp(int(time.time()) - 1, UTC)
    arn = ecs.create_service(**service_input(cluster, definition, network))["service"]["serviceArn"]
    wait_for_steady_state(ecs, cluster, arn, since)
    [seen] = ecs.describe_services(cluster=cluster, services=[arn], include=["TAGS"])["services"]
    expected = service_input(cluster, definition, network)
    for member in ("launchType", "schedulingStrategy", "availabilityZoneRebalancing", "desiredCount", "tags"):
        assert seen[member] == expected[member]
    assert (seen["enableExecuteCommand"], seen["enableECSManagedTags"]) == (False, False)
    assert (seen["platformVersion"], seen["propagateTags"]) == ("1.4.0", "NONE")

    since = datetime.now(UTC)
    ecs.update_service(cluster=cluster, service=arn, forceNewDeployment=False, taskDefinition=register_definition(ecs))
    wait_for_steady_state(ecs, cluster, arn, since)
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "Name", "value": "other"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["Name"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == []
    no_breaker = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
    ecs.update_service(cluster=cluster, service=arn, forceNewDeployment=False, deploymentConfiguration=no_breaker)

    destroy(ecs, cluster, arn, definition)


def register_definition(ecs: Any) -> str:
    """Register and read, as `aws_ecs_task_definition` does."""
    registered = ecs.register_task_definition(
        family="terraform",
        containerDefinitions=[CONTAINER],
        cpu="256",
        memory="512",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        runtimePlatform={"operatingSystemFamily": "LINUX"},
        enableFaultInjection=False,
        tags=TAGS,
    )["taskDefinition"]
    seen = ecs.describe_task_definition(taskDefinition=registered["taskDefinitionArn"], include=["TAGS"])
    assert (seen["taskDefinition"], seen["tags"]) == (registered, TAGS)
    assert CONTAINER.items() <= seen["taskDefinition"]["containerDefinitions"][0].items()
    return str(registered["taskDefinitionArn"])


def destroy(ecs: Any, cluster: str, service: str, definition: str) -> None:
    """Destroy in the order of the dependencies."""
    ecs.update_service(cluster=cluster, service=service, desiredCount=0)
    ecs.delete_service(cluster=cluster, service=service, force=False)
    wait(ecs, "services_inactive", cluster=cluster, services=[service])
    ecs.deregister_task_definition(taskDefinition=definition)
    ecs.put_cluster_capacity_providers(cluster="terraform", capacityProviders=[], defaultCapacityProviderStrategy=[])
    ecs.delete_cluster(cluster=cluster)
    [seen] = ecs.describe_clusters(clusters=[cluster], include=INCLUDE)["clusters"]
    assert seen["status"] == "INACTIVE"
