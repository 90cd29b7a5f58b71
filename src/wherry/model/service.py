"""Services, their immutable revisions, and their deployments.

A deployment is one record. `deployments[]` of DescribeServices, the service deployments and
`currentServiceRevisions` are projections of it, so that they can never disagree.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from wherry.model.base import Entity, Tag, Value
from wherry.model.cluster import CapacityProviderStrategyItem
from wherry.model.task import NetworkConfiguration
from wherry.model.volume_configuration import VolumeConfiguration


class ServiceStatus(StrEnum):
    """Where a service is in its life."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    INACTIVE = "INACTIVE"


class DeploymentStatus(StrEnum):
    """The role of a deployment in its service; INACTIVE ones are not shown among `deployments`."""

    PRIMARY = "PRIMARY"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class RolloutState(StrEnum):
    """How a deployment is going."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class ServiceDeploymentStatus(StrEnum):
    """The same in the words of ListServiceDeployments."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCESSFUL = "SUCCESSFUL"
    STOP_REQUESTED = "STOP_REQUESTED"
    STOPPED = "STOPPED"
    ROLLBACK_REQUESTED = "ROLLBACK_REQUESTED"
    ROLLBACK_IN_PROGRESS = "ROLLBACK_IN_PROGRESS"
    ROLLBACK_SUCCESSFUL = "ROLLBACK_SUCCESSFUL"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"


class ThresholdConfiguration(Value, frozen=True):
    """When the circuit breaker opens: `type` BOUNDED_PERCENT, UNBOUNDED_PERCENT or COUNT."""

    type: str = "BOUNDED_PERCENT"
    value: int = 50


class CircuitBreaker(Value, frozen=True):
    """The deployment circuit breaker."""

    enable: bool = False
    rollback: bool = False
    threshold_configuration: ThresholdConfiguration | None = None
    reset_on_healthy_task: bool = True

    def threshold(self, desired: int) -> int:
        """Return how many failures open it: half of `desired` within 3 and 200, unless configured otherwise."""
        config = self.threshold_configuration or ThresholdConfiguration()
        share = -(-desired * config.value // 100)
        match config.type:
            case "COUNT":
                return max(1, config.value)
            case "UNBOUNDED_PERCENT":
                return max(1, share)
            case _:
                return min(max(share, 3), 200)


class DeploymentConfiguration(Value, frozen=True):
    """How fast and how safe tasks are exchanged; percentages of the desired count."""

    deployment_circuit_breaker: CircuitBreaker | None = None
    maximum_percent: int = 200
    minimum_healthy_percent: int = 100
    strategy: str = "ROLLING"
    bake_time_in_minutes: int = 0


class Service(Entity, frozen=True):
    """A service. Key: `service_arn`. Running and pending counts are queries over tasks, never stored.

    `last_events` remembers when a message was last written, so that repeated ones can be suppressed: message -> epoch
    seconds; `events_written` numbers the events.
    """

    service_arn: str
    service_name: str
    cluster_arn: str
    status: ServiceStatus = ServiceStatus.ACTIVE
    desired_count: int = 0
    task_definition: str = ""
    launch_type: str | None = "FARGATE"
    capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] = ()
    platform_version: str | None = None
    platform_family: str | None = None
    deployment_configuration: DeploymentConfiguration = DeploymentConfiguration()
    network_configuration: NetworkConfiguration | None = None
    volume_configurations: tuple[VolumeConfiguration, ...] = ()
    health_check_grace_period_seconds: int | None = None
    scheduling_strategy: str = "REPLICA"
    deployment_controller: str = "ECS"
    enable_ecs_managed_tags: bool = False
    propagate_tags: str = "NONE"
    enable_execute_command: bool = False
    availability_zone_rebalancing: str = "DISABLED"
    placement_constraints: tuple[dict[str, Any], ...] = ()
    placement_strategy: tuple[dict[str, Any], ...] = ()
    created_at: float = 0
    created_by: str = ""
    deleted_at: float | None = None
    client_token: str | None = None
    fingerprint: str = ""
    last_events: dict[str, float] = {}
    events_written: int = 0
    tags: tuple[Tag, ...] = ()


class ServiceRevision(Entity, frozen=True):
    """What the tasks of a deployment are made from; never changed. Key: `service_revision_arn`.

    `container_images` pins each container's image to the digest that the revision's first task resolved:
    container name -> digest.
    """

    service_revision_arn: str
    service_arn: str
    cluster_arn: str
    task_definition: str
    launch_type: str | None = "FARGATE"
    capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] = ()
    platform_version: str | None = None
    platform_family: str | None = None
    network_configuration: NetworkConfiguration | None = None
    volume_configurations: tuple[VolumeConfiguration, ...] = ()
    container_images: dict[str, str] = {}
    created_at: float = 0


class Deployment(Entity, frozen=True):
    """One rollout of a revision. Key: `deployment_id` ("ecs-svc/" and 19 digits), which tasks carry as `started_by`.

    `rollback_of` names the failed or stopped deployment that this one undoes: both are then one service deployment,
    `service_deployment_arn` is the same. `failed_tasks` is what the circuit breaker counts, `failed_at` when it last
    did, `any_running` that it is in its second stage. `start_failures` counts rounds of starts in a row that never
    reached RUNNING, the last at `start_failed_at`; `crashed_at` is when a task last ended before it was healthy.
    `desired_count` is what an ACTIVE deployment may still have; None while it is PRIMARY, when the service's holds, and
    until the scheduler has seen that it no longer is.
    `source_revision_arns` are the revisions that ran when it began. `rollback_…` tell, on the deployment that is
    undone, why, since when and to which revision. `bake_started_at` is when every task was healthy and
    `bakeTimeInMinutes` began.
    """

    deployment_id: str
    service_deployment_arn: str
    service_arn: str
    cluster_arn: str
    service_revision_arn: str
    task_definition: str
    status: DeploymentStatus = DeploymentStatus.PRIMARY
    rollout_state: RolloutState = RolloutState.IN_PROGRESS
    rollout_state_reason: str = ""
    service_deployment_status: ServiceDeploymentStatus = ServiceDeploymentStatus.IN_PROGRESS
    status_reason: str | None = None
    lifecycle_stage: str | None = None
    deployment_configuration: DeploymentConfiguration = DeploymentConfiguration()
    source_revision_arns: tuple[str, ...] = ()
    desired_count: int | None = None
    failed_tasks: int = 0
    failed_at: float | None = None
    start_failures: int = 0
    start_failed_at: float | None = None
    crashed_at: float | None = None
    any_running: bool = False
    rollback_of: str | None = None
    rollback_reason: str | None = None
    rollback_started_at: float | None = None
    rollback_revision_arn: str | None = None
    bake_started_at: float | None = None
    created_at: float = 0
    started_at: float | None = None
    updated_at: float = 0
    finished_at: float | None = None
    stopped_at: float | None = None


class ServiceEvent(Entity, frozen=True):
    """A sentence about a service. Key: `id`. `sequence` orders events of the same moment."""

    id: str
    service_arn: str
    created_at: float
    sequence: int
    message: str
