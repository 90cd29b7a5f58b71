"""Clusters, on a real store of either kind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws import Aws
from tests.builders import SCOPE, a_service, a_task, an_instance

from wherry.model.cluster import CapacityProviderStrategyItem
from wherry.model.service import ServiceStatus
from wherry.model.task import TaskStatus
from wherry.store import Store, Tx

pytestmark = pytest.mark.anyio


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


def names(arns: list[str]) -> list[str]:
    return [arn.rpartition("/")[2] for arn in arns]


async def test_the_default_cluster_is_there_from_the_start(aws: Aws) -> None:
    answer = await aws("DescribeClusters")
    assert [c["clusterName"] for c in answer["clusters"]] == ["default"]
    assert answer["failures"] == []


async def test_a_new_cluster_shows_what_was_asked_for(aws: Aws) -> None:
    answer = await aws(
        "CreateCluster",
        clusterName="web",
        tags=[{"key": "team", "value": "a"}],
        settings=[{"name": "containerInsights", "value": "disabled"}],
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
    )
    cluster = answer["cluster"]
    assert cluster["clusterArn"] == SCOPE.cluster("web")
    assert cluster["status"] == "ACTIVE"
    assert cluster["tags"] == [{"key": "team", "value": "a"}]
    assert cluster["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert cluster["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert cluster["defaultCapacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]


async def test_creating_an_active_cluster_again_returns_it_unchanged(aws: Aws) -> None:
    first = await aws("CreateCluster", clusterName="web", tags=[{"key": "a", "value": "1"}])
    again = await aws("CreateCluster", clusterName="web", tags=[{"key": "b", "value": "2"}])
    assert again == first


async def test_a_deleted_cluster_stays_visible_and_its_name_is_free(aws: Aws) -> None:
    await aws("CreateCluster", clusterName="web", tags=[{"key": "a", "value": "1"}])
    assert (await aws("DeleteCluster", cluster="web"))["cluster"]["status"] == "INACTIVE"
    assert (await aws("DeleteCluster", cluster="web"))["cluster"]["status"] == "INACTIVE"
    assert names((await aws("ListClusters"))["clusterArns"]) == ["default"]
    described = await aws("DescribeClusters", clusters=["web"])
    assert described["clusters"][0]["status"] == "INACTIVE"
    assert await aws.refusal("UpdateClusterSettings", cluster="web", settings=[]) == (
        "ClusterNotFoundException",
        "The referenced cluster was inactive.",
    )
    again = await aws("CreateCluster", clusterName="web")
    assert (again["cluster"]["status"], again["cluster"]["tags"]) == ("ACTIVE", [])


async def test_a_cluster_is_found_by_name_and_by_arn_and_by_nothing_else(aws: Aws) -> None:
    await aws("CreateCluster", clusterName="web")
    answer = await aws("DescribeClusters", clusters=["web", SCOPE.cluster("web"), "nope", SCOPE.cluster(".fargate")])
    assert [c["clusterName"] for c in answer["clusters"]] == ["web"]
    assert answer["failures"] == [
        {"arn": SCOPE.cluster("nope"), "reason": "MISSING"},
        {"arn": SCOPE.cluster(".fargate"), "reason": "MISSING"},
    ]
    code, _ = await aws.refusal("DeleteCluster", cluster=SCOPE.cluster("web").replace("us-east-1", "eu-west-1"))
    assert code == "ClusterNotFoundException"


async def test_members_that_describe_does_not_include_are_empty(aws: Aws) -> None:
    await aws("CreateCluster", clusterName="web", tags=[{"key": "a", "value": "1"}])
    bare = (await aws("DescribeClusters", clusters=["web"]))["clusters"][0]
    assert (bare["tags"], bare["settings"], bare["statistics"]) == ([], [], [])
    full = await aws("DescribeClusters", clusters=["web"], include=["TAGS", "SETTINGS", "STATISTICS"])
    cluster = full["clusters"][0]
    assert cluster["tags"] == [{"key": "a", "value": "1"}]
    assert cluster["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert {"name": "runningFargateTasksCount", "value": "0"} in cluster["statistics"]


async def test_counts_are_those_of_the_rows(aws: Aws) -> None:
    await put(
        aws,
        a_task(number=1, last_status=TaskStatus.RUNNING),
        a_task(number=2, last_status=TaskStatus.PENDING),
        a_task(number=3, last_status=TaskStatus.PROVISIONING, launch_type="EC2"),
        a_task(number=4, last_status=TaskStatus.STOPPED),
        a_task(number=5, cluster="other", last_status=TaskStatus.RUNNING),
        a_service(name="a"),
        a_service(name="b", launch_type="EC2"),
        a_service(name="c", launch_type=None),
        a_service(name="d", status=ServiceStatus.DRAINING),
        a_service(name="e", status=ServiceStatus.INACTIVE),
        an_instance(),
    )
    cluster = (await aws("DescribeClusters", include=["STATISTICS"]))["clusters"][0]
    assert (cluster["runningTasksCount"], cluster["pendingTasksCount"]) == (1, 2)
    assert (cluster["activeServicesCount"], cluster["registeredContainerInstancesCount"]) == (3, 0)
    statistics = {item["name"]: item["value"] for item in cluster["statistics"]}
    assert statistics["pendingEC2TasksCount"] == "1"
    assert statistics["pendingFargateTasksCount"] == "1"
    assert (statistics["activeEC2ServiceCount"], statistics["activeFargateServiceCount"]) == ("1", "2")
    assert statistics["drainingFargateServiceCount"] == "1"


async def test_a_cluster_with_something_in_it_cannot_be_deleted(aws: Aws) -> None:
    async def refusal() -> tuple[str, str]:
        return await aws.refusal("DeleteCluster", cluster="default")

    await put(aws, a_task(last_status=TaskStatus.STOPPING))
    assert await refusal() == (
        "ClusterContainsTasksException",
        "The Cluster cannot be deleted while Tasks are active.",
    )
    await put(aws, a_service(status=ServiceStatus.DRAINING))
    assert await refusal() == (
        "ClusterContainsServicesException",
        "The Cluster cannot be deleted while Services are active.",
    )
    await put(aws, an_instance(cluster_arn=SCOPE.cluster("default"), fargate=False))
    assert await refusal() == (
        "ClusterContainsContainerInstancesException",
        "The Cluster cannot be deleted while Container Instances are active or draining.",
    )


async def test_lists_go_page_by_page(aws: Aws) -> None:
    for name in "cab":
        await aws("CreateCluster", clusterName=name)
    first = await aws("ListClusters", maxResults=3)
    second = await aws("ListClusters", maxResults=3, nextToken=first["nextToken"])
    assert names(first["clusterArns"] + second["clusterArns"]) == ["a", "b", "c", "default"]
    assert second["nextToken"] is None
    assert (await aws.refusal("ListClusters", nextToken="?"))[0] == "InvalidParameterException"
    assert (await aws.refusal("ListClusters", maxResults=101))[0] == "InvalidParameterException"


async def test_capacity_providers_are_replaced_unless_a_service_needs_them(aws: Aws) -> None:
    await aws("CreateCluster", clusterName="web", capacityProviders=["FARGATE", "FARGATE_SPOT"])
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    answer = await aws(
        "PutClusterCapacityProviders",
        cluster="web",
        capacityProviders=["FARGATE_SPOT"],
        defaultCapacityProviderStrategy=spot,
    )
    assert answer["cluster"]["capacityProviders"] == ["FARGATE_SPOT"]
    strategy = (CapacityProviderStrategyItem(capacity_provider="FARGATE_SPOT", weight=1),)
    await put(aws, a_service(name="shop", cluster="web", launch_type=None, capacity_provider_strategy=strategy))
    code, message = await aws.refusal(
        "PutClusterCapacityProviders", cluster="web", capacityProviders=[], defaultCapacityProviderStrategy=[]
    )
    assert code == "ResourceInUseException"
    assert "shop" in message


STRATEGIES: list[list[dict[str, Any]]] = [
    [{"capacityProvider": "my-asg", "weight": 1}],
    [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
    [{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "FARGATE", "weight": 1}],
]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_strategy_needs_distinct_associated_providers(aws: Aws, strategy: list[dict[str, Any]]) -> None:
    code, _ = await aws.refusal(
        "CreateCluster", clusterName="web", capacityProviders=["FARGATE"], defaultCapacityProviderStrategy=strategy
    )
    assert code == "InvalidParameterException"


@pytest.mark.parametrize(
    "params",
    [
        {"clusterName": "no spaces"},
        {"clusterName": "x" * 256},
        {"clusterName": ".fargate"},
        {"capacityProviders": ["my-asg"]},
        {"settings": [{"name": "containerInsights", "value": "enabled"}]},
        {"settings": [{"name": "containerInsights", "value": "loud"}]},
        {"configuration": {"executeCommandConfiguration": {"logging": "OVERRIDE"}}},
        {"configuration": {"executeCommandConfiguration": {"kmsKeyId": "k"}}},
        {"configuration": {"managedStorageConfiguration": {"kmsKeyId": "k"}}},
        {"serviceConnectDefaults": {"namespace": "apps"}},
        {"tags": [{"key": "AWS:x", "value": "1"}]},
        {"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
    ],
)
async def test_what_is_not_honoured_is_refused_and_nothing_is_made(aws: Aws, params: dict[str, Any]) -> None:
    code, message = await aws.refusal("CreateCluster", **{"clusterName": "web"} | params)
    assert code == "InvalidParameterException"
    assert message.endswith((".", "]", "x"))
    assert names((await aws("ListClusters"))["clusterArns"]) == ["default"]


async def test_what_asks_for_nothing_is_no_reason_to_refuse(aws: Aws) -> None:
    answer = await aws("UpdateCluster", cluster="default", configuration={}, serviceConnectDefaults={"namespace": ""})
    assert answer["cluster"]["settings"] == [{"name": "containerInsights", "value": "disabled"}]
