"""Where capacity comes from: rules of strategies and of what a request leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_cluster, a_task_definition

from wherry.api.ecs import strategy
from wherry.api.ecs.strategy import Capacity
from wherry.model.cluster import CapacityProviderStrategyItem
from wherry.model.errors import (
    ApiError,
    ClientException,
    InvalidParameterException,
    PlatformUnknownException,
)

BOTH = ("FARGATE", "FARGATE_SPOT")
SPOT = CapacityProviderStrategyItem(capacity_provider="FARGATE_SPOT", weight=1)


def item(provider: str = "FARGATE", **numbers: int) -> dict[str, Any]:
    return {"capacityProvider": provider, **numbers}


@pytest.mark.parametrize(
    "raw",
    [
        [item(weight=1001)],
        [item(weight=-1)],
        [item(base=100_001)],
        [item(base=1, weight=1), item("FARGATE_SPOT", base=1)],
        [item(), item("FARGATE_SPOT")],
        [item(weight=1), item(weight=1)],
        [item("asg", weight=1)],
    ],
)
def test_ecs_does_not_take_such_a_strategy(raw: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidParameterException):
        strategy.check(raw, associated=BOTH)


@given(st.integers(0, 1000), st.integers(1, 1000), st.integers(0, 100_000))
def test_weights_and_one_base_within_bounds_are_taken_as_they_are(first: int, second: int, base: int) -> None:
    raw = [item(weight=first, base=base), item("FARGATE_SPOT", weight=second)]
    assert strategy.view(strategy.check(raw, associated=BOTH)) == [
        item(weight=first, base=base),
        item("FARGATE_SPOT", weight=second, base=0),
    ]


def test_a_provider_can_be_named_by_its_arn_and_must_be_associated() -> None:
    arn = "arn:aws:ecs:us-east-1:000000000000:capacity-provider/FARGATE"
    assert strategy.check([item(arn)], associated=BOTH)[0].capacity_provider == "FARGATE"
    with pytest.raises(InvalidParameterException, match="not associated with the cluster"):
        strategy.check([item(arn)], associated=())


def test_what_a_request_names_wins_then_the_clusters_default_then_ec2() -> None:
    cluster = a_cluster(capacity_providers=BOTH, default_capacity_provider_strategy=(SPOT,))
    assert strategy.choose(cluster, launch_type="FARGATE", strategy=None) == Capacity(launch_type="FARGATE")
    named = strategy.choose(cluster, launch_type=None, strategy=[item(weight=1)])
    assert [i.capacity_provider for i in named.strategy] == ["FARGATE"]
    assert strategy.choose(cluster, launch_type=None, strategy=[]) == Capacity(launch_type=None, strategy=(SPOT,))
    assert strategy.choose(a_cluster(), launch_type=None, strategy=None) == Capacity(launch_type="EC2")


def test_a_launch_type_and_a_strategy_exclude_each_other() -> None:
    with pytest.raises(InvalidParameterException, match="Specifying both a launch type and capacity provider strategy"):
        strategy.choose(a_cluster(capacity_providers=BOTH), launch_type="FARGATE", strategy=[item()])


@pytest.mark.parametrize("launch_type", ["EXTERNAL", "MANAGED_INSTANCES", "fargate"])
def test_other_launch_types_are_refused(launch_type: str) -> None:
    with pytest.raises(ClientException, match=r"launch type should be one of \[EC2,FARGATE\]"):
        strategy.choose(a_cluster(), launch_type=launch_type, strategy=None)


@pytest.mark.parametrize("asked", [None, "", "LATEST", "1.4.0"])
def test_latest_is_the_newest_platform(asked: str | None) -> None:
    assert strategy.check_platform(Capacity(launch_type="FARGATE"), asked) == "1.4.0"
    assert strategy.check_platform(Capacity(launch_type=None, strategy=(SPOT,)), asked) == "1.4.0"


@pytest.mark.parametrize(
    ("launch_type", "asked", "error"),
    [("FARGATE", "1.3.0", PlatformUnknownException), ("EC2", "LATEST", InvalidParameterException)],
)
def test_a_platform_that_is_not_there_is_refused(launch_type: str, asked: str, error: type[ApiError]) -> None:
    with pytest.raises(error):
        strategy.check_platform(Capacity(launch_type=launch_type), asked)


def test_a_strategy_needs_a_definition_for_fargate() -> None:
    definition = a_task_definition(compatibilities=("EC2",))
    strategy.check_compatible(Capacity(launch_type="EC2"), definition)
    with pytest.raises(InvalidParameterException, match="Task definition does not support launch_type FARGATE"):
        strategy.check_compatible(Capacity(launch_type=None, strategy=(SPOT,)), definition)
