"""Clusters."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from wherry.model.base import Entity, Tag, Value


class ClusterStatus(StrEnum):
    """Where a cluster is in its life; ours are made and gone at once."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class ClusterSetting(Value, frozen=True):
    """A setting of a cluster: `containerInsights`."""

    name: str
    value: str


class CapacityProviderStrategyItem(Value, frozen=True):
    """How much of the tasks goes to one capacity provider."""

    capacity_provider: str
    weight: int = 0
    base: int = 0


class Cluster(Entity, frozen=True):
    """A cluster. Key: `cluster_arn`. Counts are queries over tasks and services, never stored."""

    cluster_arn: str
    cluster_name: str
    status: ClusterStatus = ClusterStatus.ACTIVE
    settings: tuple[ClusterSetting, ...] = ()
    configuration: dict[str, Any] | None = None
    capacity_providers: tuple[str, ...] = ()
    default_capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] = ()
    tags: tuple[Tag, ...] = ()
    created_at: float = 0
    deleted_at: float | None = None
