"""What tests share: a Wherry a module for real clients, in which each uses names of its own, and an empty namespace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.waiter import WaiterModel, create_waiter_with_client
from tests.contract.whole import REGION, whole_wherry

from wherry.agent.sandbox import namespaces

ONCE = Config(retries={"total_max_attempts": 1})

PATIENCE = {"Delay": 0.05, "MaxAttempts": 400}
"""How waiters poll here."""


@pytest.fixture
def namespace() -> Iterator[Path]:
    """Make an empty network namespace; it is gone afterwards."""
    name = f"wherry-test-{os.getpid()}"
    yield namespaces.create(name)
    namespaces.remove(name)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a whole Wherry; yields its URL.

    Not for the session: its thread uses `random`, which Hypothesis forbids while it generates examples elsewhere.
    """
    with whole_wherry(tmp_path_factory.mktemp("wherry")) as url:
        yield url


@pytest.fixture(scope="module")
def ecs(endpoint: str) -> Iterator[Any]:
    """Yield a client of ECS."""
    yield from _client("ecs", endpoint)


@pytest.fixture(scope="module")
def ec2(endpoint: str) -> Iterator[Any]:
    """Yield a client of EC2."""
    yield from _client("ec2", endpoint)


@pytest.fixture(scope="module")
def sts(endpoint: str) -> Iterator[Any]:
    """Yield a client of STS."""
    yield from _client("sts", endpoint)


@pytest.fixture(scope="module")
def network(ec2: Any) -> dict[str, Any]:
    """Name all subnets, as `networkConfiguration`."""
    return {"awsvpcConfiguration": {"subnets": [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]}}


@pytest.fixture
def cluster(ecs: Any, request: pytest.FixtureRequest) -> str:
    """Make a cluster for one test; names it."""
    name = request.node.originalname.removeprefix("test_")
    ecs.create_cluster(clusterName=name)
    return str(name)


def register(ecs: Any, family: str, *, image: str = "fake/web:1", **changes: Any) -> str:
    """Register a Fargate task definition of one container; returns its ARN."""
    params = {
        "family": family,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{"name": "app", "image": image}],
    }
    return str(ecs.register_task_definition(**params | changes)["taskDefinition"]["taskDefinitionArn"])


def wait(ecs: Any, waiter: str, **params: Any) -> None:
    """Let a waiter of boto3 wait."""
    ecs.get_waiter(waiter).wait(WaiterConfig=PATIENCE, **params)


def settle(ecs: Any, operation: str, path: str, expected: str, **params: Any) -> None:
    """Wait until all that `path` finds in the answers of an operation is as expected."""
    acceptor = {"matcher": "pathAll", "argument": path, "expected": expected, "state": "success"}
    waiter = {
        "operation": operation,
        "delay": PATIENCE["Delay"],
        "maxAttempts": PATIENCE["MaxAttempts"],
        "acceptors": [acceptor],
    }
    model = WaiterModel({"version": 2, "waiters": {operation: waiter}})
    create_waiter_with_client(operation, model, ecs).wait(**params)


def completed(ecs: Any, cluster: str, service: str) -> None:
    """Wait until a service is stable and its deployment is COMPLETED, which may be a moment later."""
    wait(ecs, "services_stable", cluster=cluster, services=[service])
    path = "services[].deployments[].rolloutState"
    settle(ecs, "DescribeServices", path, "COMPLETED", cluster=cluster, services=[service])


def refusal(call: Any, **params: Any) -> tuple[str, str]:
    """Return the code and the message of the error that a call must end with."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def _client(service: str, endpoint: str) -> Iterator[Any]:
    session = boto3.Session("any", "any", region_name=REGION)
    with closing(session.client(service, endpoint_url=endpoint, config=ONCE)) as client:
        yield client
