"""Services, their deployments and revisions, as the API writes and shows them; the scheduler is not here."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import SCOPE
from tests.world import World

from wherry.model import rollout
from wherry.model.service import (
    Service,
    ServiceEvent,
    ServiceStatus,
)
from wherry.store import Store

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(memory_store: Store) -> World:
    return await World(memory_store).begin()


@pytest.fixture
async def anywhere(store: Store) -> World:
    return await World(store).begin()


async def test_a_new_service_shows_the_defaults_of_ecs(anywhere: World) -> None:
    service = await anywhere.create()
    assert service["serviceArn"] == SCOPE.service("default", "web")
    assert (service["status"], service["desiredCount"], service["runningCount"]) == ("ACTIVE", 2, 0)
    assert service["taskDefinition"] == SCOPE.task_definition("web", 1)
    assert (service["launchType"], service["platformVersion"], service["platformFamily"]) == (
        "FARGATE",
        "1.4.0",
        "Linux",
    )
    configuration = service["deploymentConfiguration"]
    assert (configuration["minimumHealthyPercent"], configuration["maximumPercent"]) == (100, 200)
    assert configuration["deploymentCircuitBreaker"]["enable"] is False
    assert (service["schedulingStrategy"], service["propagateTags"]) == ("REPLICA", "NONE")
    assert service["deploymentController"] == {"type": "ECS"}
    assert service["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"
    assert service["createdBy"] == anywhere.principal
    [deployment] = service["deployments"]
    assert (deployment["status"], deployment["rolloutState"]) == ("PRIMARY", "IN_PROGRESS")
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} in progress."
    assert await anywhere.describe() == service


async def test_the_same_request_again_returns_the_same_service(aws: World) -> None:
    first = await aws.create()
    aws.now += 10
    assert await aws.create() == first
    assert await aws.refusal("CreateService", **aws.request(desiredCount=3)) == (
        "InvalidParameterException",
        "Creation of service was not idempotent.",
    )


async def test_a_client_token_stands_for_its_first_request_even_after_an_update(aws: World) -> None:
    await aws.create(clientToken="once")
    await aws.update(desiredCount=5)
    assert (await aws.create(clientToken="once"))["desiredCount"] == 5
    code, _ = await aws.refusal("CreateService", **aws.request(clientToken="once", desiredCount=5))
    assert code == "InvalidParameterException"


async def test_a_name_is_free_again_once_the_service_is_inactive_and_its_past_is_gone(anywhere: World) -> None:
    old = await anywhere.create()
    await anywhere.put(
        ServiceEvent(
            id="e", service_arn=old["serviceArn"], created_at=anywhere.now, sequence=1, message="(service web) x."
        )
    )
    await anywhere("DeleteService", service="web", force=True)
    assert await anywhere.refusal("CreateService", **anywhere.request()) == (
        "InvalidParameterException",
        "Unable to Start a service that is still Draining.",
    )
    await anywhere.change(Service, old["serviceArn"], status=ServiceStatus.INACTIVE)
    assert (await anywhere.describe())["deployments"] == []
    anywhere.now += 1
    new = await anywhere.create()
    assert (new["status"], new["createdAt"], new["events"]) == ("ACTIVE", anywhere.now, [])
    assert len(new["deployments"]) == 1
    assert len((await anywhere("ListServiceDeployments", service="web"))["serviceDeployments"]) == 1


async def test_update_without_anything_that_tasks_are_made_from_starts_no_deployment(aws: World) -> None:
    before = await aws.create()
    after = await aws.update(
        desiredCount=7,
        healthCheckGracePeriodSeconds=60,
        propagateTags="SERVICE",
        enableECSManagedTags=True,
        taskDefinition="web:1",
        platformVersion="LATEST",
        networkConfiguration=aws.network,
        deploymentConfiguration={
            "maximumPercent": 150,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
    )
    assert [d["id"] for d in after["deployments"]] == [d["id"] for d in before["deployments"]]
    assert (after["desiredCount"], after["healthCheckGracePeriodSeconds"]) == (7, 60)
    assert (after["propagateTags"], after["enableECSManagedTags"]) == ("SERVICE", True)
    configuration = after["deploymentConfiguration"]
    assert (configuration["minimumHealthyPercent"], configuration["maximumPercent"]) == (100, 150)
    assert configuration["deploymentCircuitBreaker"] == {
        "enable": True,
        "rollback": True,
        "resetOnHealthyTask": True,
        "thresholdConfiguration": None,
    }
    untouched = await aws.update()
    assert untouched == after


@pytest.mark.parametrize("change", ["taskDefinition", "networkConfiguration", "forceNewDeployment"])
async def test_update_of_what_tasks_are_made_from_starts_a_deployment(aws: World, change: str) -> None:
    before = await aws.create()
    await aws.register()
    changes: dict[str, Any] = {
        "taskDefinition": "web",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": [aws.subnets[0]]}},
        "forceNewDeployment": True,
    }
    after = await aws.update(**{change: changes[change]})
    assert [d["status"] for d in after["deployments"]] == ["PRIMARY", "ACTIVE"]
    assert after["deployments"][1]["id"] == before["deployments"][0]["id"]
    assert after["currentServiceDeployment"] != before["currentServiceDeployment"]
    assert len(after["currentServiceRevisions"]) == 2
    old = await aws("DescribeServiceDeployments", serviceDeploymentArns=[before["currentServiceDeployment"]])
    assert old["serviceDeployments"][0]["status"] == "STOPPED"
    assert old["serviceDeployments"][0]["statusReason"] == rollout.SUPERSEDED
    new = await aws("DescribeServiceDeployments", serviceDeploymentArns=[after["currentServiceDeployment"]])
    sources = [r["arn"] for r in new["serviceDeployments"][0]["sourceServiceRevisions"]]
    assert sources == [before["currentServiceRevisions"][0]["arn"]]


async def test_update_needs_an_active_service(aws: World) -> None:
    assert (await aws.refusal("UpdateService", service="web"))[0] == "ServiceNotFoundException"
    await aws.create()
    await aws("DeleteService", service="web", force=True)
    assert await aws.refusal("UpdateService", service="web", desiredCount=1) == (
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    )
    code, _ = await aws.refusal("UpdateService", cluster="nope", service="web")
    assert code == "ClusterNotFoundException"


async def test_a_service_scaled_above_zero_is_deleted_only_by_force(aws: World) -> None:
    await aws.create()
    assert await aws.refusal("DeleteService", service="web") == (
        "InvalidParameterException",
        "The service cannot be stopped while it is scaled above 0.",
    )
    gone = (await aws("DeleteService", service="web", force=True))["service"]
    assert (gone["status"], gone["desiredCount"]) == ("DRAINING", 0)
    assert (await aws("DeleteService", service="web"))["service"]["status"] == "DRAINING"
    assert (await aws("ListServices"))["serviceArns"] == []
    await aws.change(Service, gone["serviceArn"], status=ServiceStatus.INACTIVE)
    assert (await aws.refusal("DeleteService", service="web"))[0] == "ServiceNotFoundException"


async def test_describe_finds_by_name_and_arn_in_the_cluster_and_says_what_is_missing(aws: World) -> None:
    await aws("CreateCluster", clusterName="other")
    service = await aws.create(tags=[{"key": "team", "value": "a"}])
    elsewhere = await aws.create("api", cluster="other")
    answer = await aws("DescribeServices", services=["web", service["serviceArn"], elsewhere["serviceArn"], "nope"])
    assert [s["serviceName"] for s in answer["services"]] == ["web"]
    assert answer["services"][0]["tags"] == []
    assert answer["failures"] == [
        {"arn": elsewhere["serviceArn"], "reason": "MISSING"},
        {"arn": SCOPE.service("default", "nope"), "reason": "MISSING"},
    ]
    tagged = await aws("DescribeServices", services=["web"], include=["TAGS"])
    assert tagged["services"][0]["tags"] == [{"key": "team", "value": "a"}]
    assert (await aws.refusal("DescribeServices", services=["s"] * 11))[0] == "InvalidParameterException"


async def test_lists_have_ten_to_a_page_and_can_be_filtered(anywhere: World) -> None:
    for number in range(11):
        await anywhere.create(f"s{number:02}")
    await anywhere.register("host", networkMode="bridge", requiresCompatibilities=["EC2"])
    await anywhere.create("zz", taskDefinition="host", launchType="EC2", networkConfiguration=...)
    first = await anywhere("ListServices")
    assert len(first["serviceArns"]) == 10
    rest = await anywhere("ListServices", nextToken=first["nextToken"])
    assert [arn.rpartition("/")[2] for arn in rest["serviceArns"]] == ["s10", "zz"]
    assert (await anywhere("ListServices", launchType="EC2"))["serviceArns"] == [SCOPE.service("default", "zz")]
    assert (await anywhere("ListServices", schedulingStrategy="DAEMON"))["serviceArns"] == []
    assert (await anywhere("ListServices", resourceManagementType="ECS"))["serviceArns"] == []
    code, _ = await anywhere.refusal("ListServices", launchType="MOON")
    assert code == "InvalidParameterException"


async def test_no_namespace_is_known(aws: World) -> None:
    assert (await aws.refusal("ListServicesByNamespace", namespace="apps"))[0] == "NamespaceNotFoundException"


async def test_without_a_launch_type_the_clusters_strategy_holds_and_then_ec2(aws: World) -> None:
    waiting = await aws.create("waits", launchType=...)
    assert (waiting["launchType"], waiting["platformVersion"]) == ("EC2", None)
    await aws(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["FARGATE"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE", "weight": 1}],
    )
    service = await aws.create(launchType=...)
    assert service["launchType"] is None
    assert service["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}]
    assert service["deployments"][0]["capacityProviderStrategy"] == service["capacityProviderStrategy"]
    assert service["platformVersion"] == "1.4.0"
    back = await aws.update(capacityProviderStrategy=[])
    assert (back["launchType"], back["capacityProviderStrategy"]) == ("FARGATE", None)
    assert len(back["deployments"]) == 1


async def test_a_definition_runs_only_where_it_was_made_for(aws: World) -> None:
    await aws.register("host", networkMode="bridge", requiresCompatibilities=["EC2"])
    request = aws.request(taskDefinition="host", networkConfiguration=...)
    assert await aws.refusal("CreateService", **request) == (
        "InvalidParameterException",
        "Task definition does not support launch_type FARGATE.",
    )


async def test_events_are_the_newest_hundred_newest_first(aws: World) -> None:
    service = await aws.create()
    await aws.put(
        *(
            ServiceEvent(
                id=f"e{n:03}",
                service_arn=service["serviceArn"],
                created_at=aws.now + n // 2,
                sequence=n,
                message=f"{n}",
            )
            for n in range(105)
        )
    )
    assert [e["message"] for e in (await aws.describe())["events"]] == [str(n) for n in range(104, 4, -1)]


BREAKER = {"enable": True, "rollback": False}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"serviceName": "no spaces"}, "InvalidParameterException"),
    ({"taskDefinition": ...}, "ClientException"),
    ({"taskDefinition": "nope"}, "ClientException"),
    ({"desiredCount": ...}, "InvalidParameterException"),
    ({"desiredCount": -1}, "InvalidParameterException"),
    ({"desiredCount": 5001}, "InvalidParameterException"),
    ({"clientToken": "x" * 37}, "InvalidParameterException"),
    ({"launchType": "EXTERNAL"}, "ClientException"),
    ({"cluster": "nope"}, "ClusterNotFoundException"),
    ({"platformVersion": "0.9"}, "PlatformUnknownException"),
    ({"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}, "InvalidParameterException"),
    ({"networkConfiguration": ...}, "InvalidParameterException"),
    ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}}, "InvalidParameterException"),
    ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-x"]}}}, "InvalidParameterException"),
    ({"propagateTags": "ALL"}, "InvalidParameterException"),
    ({"schedulingStrategy": "DAEMON"}, "InvalidParameterException"),
    ({"deploymentController": {"type": "EXTERNAL"}}, "InvalidParameterException"),
    ({"availabilityZoneRebalancing": "ENABLED"}, "InvalidParameterException"),
    ({"healthCheckGracePeriodSeconds": -1}, "InvalidParameterException"),
    ({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}}, "InvalidParameterException"),
    ({"deploymentConfiguration": {"maximumPercent": 100}}, "InvalidParameterException"),
    ({"deploymentConfiguration": {"maximumPercent": 99}}, "InvalidParameterException"),
    ({"deploymentConfiguration": {"minimumHealthyPercent": 101}}, "InvalidParameterException"),
    (
        {
            "deploymentConfiguration": {
                "deploymentCircuitBreaker": BREAKER | {"thresholdConfiguration": {"type": "COUNT", "value": 0}}
            }
        },
        "InvalidParameterException",
    ),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
async def test_what_is_wrong_or_not_honoured_is_refused_and_nothing_is_made(
    aws: World, changes: dict[str, Any], code: str
) -> None:
    assert (await aws.refusal("CreateService", **aws.request(**changes)))[0] == code
    assert (await aws("ListServices"))["serviceArns"] == []


async def test_a_missing_subnet_is_named_as_ecs_names_it(aws: World) -> None:
    network = {"awsvpcConfiguration": {"subnets": ["subnet-x"]}}
    _, message = await aws.refusal("CreateService", **aws.request(networkConfiguration=network))
    assert message == (
        "Error retrieving subnet information for [subnet-x]: The subnet ID 'subnet-x' does not exist "
        "(ErrorCode: InvalidSubnetID.NotFound)"
    )


async def test_members_that_ask_for_nothing_are_no_reason_to_refuse(aws: World) -> None:
    await aws.create(
        loadBalancers=[],
        serviceRegistries=[],
        placementConstraints=[],
        placementStrategy=[],
        schedulingStrategy="REPLICA",
        deploymentController={"type": "ECS"},
        availabilityZoneRebalancing="DISABLED",
        enableExecuteCommand=False,
        serviceConnectConfiguration={"enabled": False},
        deploymentConfiguration={
            "strategy": "ROLLING",
            "alarms": {"alarmNames": [], "enable": False, "rollback": False},
        },
    )
