"""Capacity providers, container instances and attributes: what there is of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.aws import Aws
from tests.builders import SCOPE, an_instance

from wherry.store import Store

pytestmark = pytest.mark.anyio

FARGATE, SPOT = (SCOPE.arn(f"capacity-provider/{name}") for name in ("FARGATE", "FARGATE_SPOT"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(memory_store: Store) -> Aws:
    return await Aws(memory_store).seed()


def names(answer: dict[str, Any]) -> list[str]:
    return [provider["name"] for provider in answer["capacityProviders"]]


async def test_every_account_has_the_two_capacity_providers_of_fargate(aws: Aws) -> None:
    answer = await aws("DescribeCapacityProviders")
    assert [(p["capacityProviderArn"], p["status"], p["type"]) for p in answer["capacityProviders"]] == [
        (FARGATE, "ACTIVE", "FARGATE"),
        (SPOT, "ACTIVE", "FARGATE_SPOT"),
    ]
    assert answer["failures"] == []


async def test_capacity_providers_are_found_by_name_and_arn_and_others_are_missing(aws: Aws) -> None:
    answer = await aws("DescribeCapacityProviders", capacityProviders=["FARGATE", SPOT, "mine"], include=["TAGS"])
    assert names(answer) == ["FARGATE", "FARGATE_SPOT"]
    assert answer["failures"] == [{"arn": SCOPE.arn("capacity-provider/mine"), "reason": "MISSING"}]


async def test_of_a_cluster_only_the_associated_ones_are_shown(aws: Aws) -> None:
    await aws("CreateCluster", clusterName="spotty", capacityProviders=["FARGATE_SPOT"])
    assert names(await aws("DescribeCapacityProviders", cluster="spotty")) == ["FARGATE_SPOT"]
    code, _ = await aws.refusal("DescribeCapacityProviders", cluster="nowhere")
    assert code == "ClusterNotFoundException"


async def test_capacity_providers_come_in_pages(aws: Aws) -> None:
    first = await aws("DescribeCapacityProviders", maxResults=1)
    second = await aws("DescribeCapacityProviders", maxResults=1, nextToken=first["nextToken"])
    assert (names(first), names(second), second["nextToken"]) == (["FARGATE"], ["FARGATE_SPOT"], None)


async def test_the_hosts_of_the_fargate_pool_are_no_container_instances(aws: Aws) -> None:
    host = an_instance()
    await aws.store.write(lambda tx: tx.put(host))
    assert (await aws("ListContainerInstances"))["containerInstanceArns"] == []
    answer = await aws("DescribeContainerInstances", containerInstances=["0" * 32, host.container_instance_arn])
    missing = [SCOPE.container_instance("default", "0" * 32), host.container_instance_arn]
    assert answer["containerInstances"] == []
    assert answer["failures"] == [{"arn": arn, "reason": "MISSING"} for arn in missing]
    assert (await aws("ListAttributes", targetType="container-instance"))["attributes"] == []


@pytest.mark.parametrize(
    ("operation", "params", "error"),
    [
        ("ListContainerInstances", {"cluster": "nowhere"}, "ClusterNotFoundException"),
        ("ListContainerInstances", {"status": "ASLEEP"}, "InvalidParameterException"),
        ("ListContainerInstances", {"maxResults": 101}, "InvalidParameterException"),
        ("DescribeContainerInstances", {"containerInstances": []}, "ClientException"),
        ("DescribeContainerInstances", {"containerInstances": ["x"] * 101}, "InvalidParameterException"),
        ("ListAttributes", {"targetType": "task"}, "InvalidParameterException"),
        ("ListAttributes", {"targetType": "container-instance", "attributeValue": "x"}, "InvalidParameterException"),
    ],
)
async def test_what_is_asked_for_nothing_is_checked_all_the_same(
    aws: Aws, operation: str, params: dict[str, Any], error: str
) -> None:
    code, message = await aws.refusal(operation, **params)
    assert code == error, message
