"""Services as ECS shows them: one set of rows, read in one transaction, and what `deployments[]` make of it.

Counts are queries over tasks by the revision that they are made from, so that no projection can disagree with another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import structs

from wherry.api.ecs import networking, strategy, tags, volume_configurations
from wherry.model import rollout
from wherry.model.base import Value
from wherry.model.service import (
    CircuitBreaker,
    Deployment,
    DeploymentConfiguration,
    DeploymentStatus,
    Service,
    ServiceEvent,
    ServiceRevision,
    ServiceStatus,
)
from wherry.model.task import Task, TaskStatus
from wherry.store import Tx

EVENTS = 100
"""ECS shows the newest hundred."""

PENDING = (TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING)
Tally = Mapping[tuple[str | None, TaskStatus], int]
"""How many tasks there are of a revision in a status."""


class Counts(Value, frozen=True):
    """Tasks: how many are wanted, RUNNING, and on the way there."""

    desired: int = 0
    running: int = 0
    pending: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            desired=self.desired + other.desired,
            running=self.running + other.running,
            pending=self.pending + other.pending,
        )


class Picture(Value, frozen=True):
    """A service and all that is shown of it; `deployments` are the PRIMARY and ACTIVE ones, newest first."""

    service: Service
    total: Counts
    deployments: tuple[Deployment, ...]
    counts: Mapping[str, Counts]
    revisions: Mapping[str, ServiceRevision]
    events: tuple[ServiceEvent, ...]


def picture(tx: Tx, service: Service) -> Picture:
    """Read what is shown of a service."""
    deployments = shown_deployments(tx, service)
    tasks = _tally(tx, service)
    revisions = {d.service_revision_arn: tx.get(ServiceRevision, d.service_revision_arn) for d in deployments}
    return Picture(
        service=service,
        total=structs.replace(_counts(tasks), desired=service.desired_count),
        deployments=tuple(deployments),
        counts=_count_tasks(service, deployments, tasks),
        revisions={arn: revision for arn, revision in revisions.items() if revision is not None},
        events=tuple(
            tx.find(
                ServiceEvent,
                order=("created_at", "sequence"),
                descending=True,
                limit=EVENTS,
                service_arn=service.service_arn,
            )
        ),
    )


def shown_deployments(tx: Tx, service: Service) -> list[Deployment]:
    """Read the PRIMARY and ACTIVE deployments, newest first; a deleted service has none."""
    if service.status is ServiceStatus.INACTIVE:
        return []
    statuses = (DeploymentStatus.PRIMARY, DeploymentStatus.ACTIVE)
    found = tx.find(Deployment, service_arn=service.service_arn, status=statuses)
    return sorted(found, key=lambda d: (d.status is DeploymentStatus.PRIMARY, d.created_at), reverse=True)


def count_tasks(tx: Tx, service: Service, deployments: Sequence[Deployment]) -> dict[str, Counts]:
    """Count the tasks of each of `deployments`, which are all that are shown: deployment id -> counts.

    Tasks belong to the newest deployment of their revision, as the scheduler sees it (`rollout.owners`). An overtaken
    deployment wants what it still has until the scheduler has said less.
    """
    return _count_tasks(service, deployments, _tally(tx, service))


def _count_tasks(service: Service, deployments: Sequence[Deployment], tasks: Tally) -> dict[str, Counts]:
    owners = rollout.owners(deployments)
    counts = {}
    for deployment in deployments:
        owns = owners[deployment.service_revision_arn] == deployment.deployment_id
        found = _counts(tasks, of=deployment.service_revision_arn) if owns else Counts()
        if deployment.status is DeploymentStatus.PRIMARY:
            desired = service.desired_count
        elif deployment.desired_count is not None:
            desired = deployment.desired_count
        else:
            desired = found.running + found.pending
        counts[deployment.deployment_id] = structs.replace(found, desired=desired)
    return counts


def count_revision(tx: Tx, service: Service, revision_arn: str) -> Counts:
    """Count the tasks that are made from a revision; how many are wanted is not asked here."""
    return _counts(_tally(tx, service), of=revision_arn)


def _tally(tx: Tx, service: Service) -> Tally:
    """Count the tasks of a service that are not over, by revision and status."""
    tally = tx.tally(
        Task,
        ("service_revision_arn", "last_status"),
        service_arn=service.service_arn,
        last_status=(TaskStatus.RUNNING, *PENDING),
    )
    return {(revision, TaskStatus(status)): number for (revision, status), number in tally.items()}


def _counts(tasks: Tally, *, of: str | None = None) -> Counts:
    """Sum up the tasks of one revision, or of all."""
    running = pending = 0
    for (revision, status), number in tasks.items():
        if of is None or revision == of:
            running += number if status is TaskStatus.RUNNING else 0
            pending += number if status in PENDING else 0
    return Counts(running=running, pending=pending)


def view(seen: Picture, *, with_tags: bool = True) -> dict[str, Any]:
    """Show a service (the model's shape `Service`)."""
    service = seen.service
    return {
        "serviceArn": service.service_arn,
        "serviceName": service.service_name,
        "clusterArn": service.cluster_arn,
        "loadBalancers": [],
        "serviceRegistries": [],
        "status": service.status,
        "desiredCount": seen.total.desired,
        "runningCount": seen.total.running,
        "pendingCount": seen.total.pending,
        **view_capacity(service),
        "taskDefinition": service.task_definition,
        "deploymentConfiguration": view_configuration(service.deployment_configuration),
        "deployments": [_view_deployment(seen, deployment) for deployment in seen.deployments],
        "events": [{"id": e.id, "createdAt": e.created_at, "message": e.message} for e in seen.events],
        "createdAt": service.created_at,
        **_current(seen),
        "placementConstraints": list(service.placement_constraints),
        "placementStrategy": list(service.placement_strategy),
        "networkConfiguration": networking.view(service.network_configuration),
        "healthCheckGracePeriodSeconds": service.health_check_grace_period_seconds,
        "schedulingStrategy": service.scheduling_strategy,
        "deploymentController": {"type": service.deployment_controller},
        "tags": tags.view(service.tags) if with_tags else [],
        "createdBy": service.created_by,
        "enableECSManagedTags": service.enable_ecs_managed_tags,
        "propagateTags": service.propagate_tags,
        "enableExecuteCommand": service.enable_execute_command,
        "availabilityZoneRebalancing": service.availability_zone_rebalancing,
        "resourceManagementType": "CUSTOMER",
    }


def view_configuration(configuration: DeploymentConfiguration) -> dict[str, Any]:
    """Show how deployments go."""
    breaker = configuration.deployment_circuit_breaker or CircuitBreaker()
    threshold = breaker.threshold_configuration
    return {
        "deploymentCircuitBreaker": {
            "enable": breaker.enable,
            "rollback": breaker.rollback,
            "resetOnHealthyTask": breaker.reset_on_healthy_task,
            "thresholdConfiguration": threshold and {"type": threshold.type, "value": threshold.value},
        },
        "maximumPercent": configuration.maximum_percent,
        "minimumHealthyPercent": configuration.minimum_healthy_percent,
        "strategy": configuration.strategy,
        "bakeTimeInMinutes": configuration.bake_time_in_minutes,
    }


def view_revision_counts(revision_arn: str, counts: Counts) -> dict[str, Any]:
    """Show how many tasks of a revision there are."""
    return {
        "arn": revision_arn,
        "requestedTaskCount": counts.desired,
        "runningTaskCount": counts.running,
        "pendingTaskCount": counts.pending,
    }


def by_revision(deployments: Iterable[Deployment], counts: Mapping[str, Counts]) -> dict[str, Counts]:
    """Add up the tasks by revision: a rollback brings out a revision that another deployment may still run."""
    sums: dict[str, Counts] = {}
    for deployment in deployments:
        known, own = sums.get(deployment.service_revision_arn), counts[deployment.deployment_id]
        sums[deployment.service_revision_arn] = own if known is None else known + own
    return sums


def _current(seen: Picture) -> dict[str, Any]:
    if not seen.deployments:
        return {"currentServiceRevisions": []}
    sums = by_revision(seen.deployments, seen.counts)
    return {
        "currentServiceDeployment": seen.deployments[0].service_deployment_arn,
        "currentServiceRevisions": [view_revision_counts(arn, counts) for arn, counts in sums.items()],
    }


def _view_deployment(seen: Picture, deployment: Deployment) -> dict[str, Any]:
    counts = seen.counts[deployment.deployment_id]
    # A revision outlives its deployment; without one the service itself says the same for the PRIMARY deployment.
    made_from = seen.revisions.get(deployment.service_revision_arn, seen.service)
    return {
        "id": deployment.deployment_id,
        "status": deployment.status,
        "taskDefinition": deployment.task_definition,
        "desiredCount": counts.desired,
        "pendingCount": counts.pending,
        "runningCount": counts.running,
        "failedTasks": deployment.failed_tasks,
        "createdAt": deployment.created_at,
        "updatedAt": deployment.updated_at,
        **view_capacity(made_from),
        "networkConfiguration": networking.view(made_from.network_configuration),
        "volumeConfigurations": volume_configurations.view(made_from.volume_configurations),
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_state_reason,
    }


def view_capacity(made_from: Service | ServiceRevision) -> dict[str, Any]:
    """Show where tasks go: a strategy or a launch type, never both (an empty strategy is left out)."""
    chosen = made_from.capacity_provider_strategy
    return {
        "launchType": made_from.launch_type,
        "capacityProviderStrategy": strategy.view(chosen) if chosen else None,
        "platformVersion": made_from.platform_version,
        "platformFamily": made_from.platform_family,
    }
