"""Where capacity comes from: launch types, capacity provider strategies, and the defaults of a cluster."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from wherry.model import arn
from wherry.model.base import Value
from wherry.model.cluster import CapacityProviderStrategyItem, Cluster
from wherry.model.errors import ClientException, InvalidParameterException, PlatformUnknownException
from wherry.model.taskdef import TaskDefinition

PROVIDERS = ("FARGATE", "FARGATE_SPOT")
"""The capacity providers that every account has. Nothing of ours is ever reclaimed, so spot tasks stay."""

PLATFORM_VERSION = "1.4.0"
"""The Fargate platform version whose behaviour ours is."""

Strategy = tuple[CapacityProviderStrategyItem, ...]


class Capacity(Value, frozen=True):
    """What a request settled on: a launch type or a strategy, never both."""

    launch_type: str | None
    strategy: Strategy = ()

    @property
    def compatibility(self) -> str:
        """What a task definition must be compatible with: there are no providers but those of Fargate."""
        return "FARGATE" if self.strategy else self.launch_type or "EC2"


def choose(cluster: Cluster, *, launch_type: str | None, strategy: Sequence[Mapping[str, Any]] | None) -> Capacity:
    """Settle `launchType` and `capacityProviderStrategy` of a request: what it names, else the cluster's, else EC2."""
    if launch_type and strategy:
        raise InvalidParameterException(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    if launch_type:
        return Capacity(launch_type=check_launch_type(launch_type))
    if strategy:
        return Capacity(launch_type=None, strategy=check(strategy, associated=cluster.capacity_providers))
    if cluster.default_capacity_provider_strategy:
        return Capacity(launch_type=None, strategy=cluster.default_capacity_provider_strategy)
    return Capacity(launch_type="EC2")


def check_launch_type(launch_type: str) -> str:
    """Return a launch type that tasks can have here; raises ClientException for any other."""
    if launch_type not in ("EC2", "FARGATE"):
        raise ClientException("launch type should be one of [EC2,FARGATE]")
    return launch_type


def check(raw: Sequence[Mapping[str, Any]] | None, *, associated: Collection[str]) -> Strategy:
    """Read a capacity provider strategy, whose providers must be `associated` with the cluster.

    Raises InvalidParameterException where ECS does: 20 items, one base, a weight above zero among several.
    """
    items = tuple(
        CapacityProviderStrategyItem(
            capacity_provider=check_provider(item["capacityProvider"]),
            weight=item.get("weight") or 0,
            base=item.get("base") or 0,
        )
        for item in raw or ()
    )
    if len(items) > 20:
        raise InvalidParameterException("A capacity provider strategy can contain a maximum of 20 capacity providers.")
    if len({item.capacity_provider for item in items}) < len(items):
        raise InvalidParameterException("A capacity provider strategy cannot contain a capacity provider twice.")
    if any(not 0 <= item.weight <= 1000 or not 0 <= item.base <= 100_000 for item in items):
        raise InvalidParameterException(
            "In a strategy the weight is between 0 and 1000 and the base between 0 and 100000."
        )
    if sum(item.base > 0 for item in items) > 1:
        raise InvalidParameterException("Only one capacity provider in a capacity provider strategy can have a base.")
    if len(items) > 1 and not any(item.weight for item in items):
        raise InvalidParameterException("At least one capacity provider in the strategy must have a weight above zero.")
    if not {item.capacity_provider for item in items} <= set(associated):
        raise InvalidParameterException(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with "
            "the cluster. Associate the capacity provider with the cluster and try again."
        )
    return items


def check_provider(ref: str) -> str:
    """Return the name of the capacity provider that a name or ARN refers to."""
    name = arn.last(ref)
    if name not in PROVIDERS:
        raise InvalidParameterException(
            f"The specified capacity provider '{ref}' was not found. Specify a valid name or ARN and try again."
        )
    return name


def check_platform(capacity: Capacity, requested: str | None) -> str | None:
    """Return the Fargate platform version that LATEST or nothing means today; None outside Fargate."""
    if capacity.compatibility != "FARGATE":
        if requested:
            raise InvalidParameterException("The platform version must be null when specifying an EC2 launch type.")
        return None
    if requested not in (None, "", "LATEST", PLATFORM_VERSION):
        raise PlatformUnknownException(f"The specified platform does not exist. Use LATEST or {PLATFORM_VERSION}.")
    return PLATFORM_VERSION


def check_compatible(capacity: Capacity, definition: TaskDefinition) -> None:
    """Check that the task definition was made for where it is to run."""
    if capacity.compatibility not in definition.compatibilities:
        raise InvalidParameterException(f"Task definition does not support launch_type {capacity.compatibility}.")


def view(strategy: Strategy) -> list[dict[str, Any]]:
    """Show a strategy as ECS does."""
    return [{"capacityProvider": s.capacity_provider, "weight": s.weight, "base": s.base} for s in strategy]
