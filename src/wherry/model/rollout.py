"""How revisions and deployments of a service are made, and how one deployment takes over from another.

Whoever changes a service writes what these functions return in the same transaction: the API for CreateService and
UpdateService, the service scheduler for rollbacks. A service deployment is the record whose `rollback_of` is None; a
rollback is a second record with the same `service_deployment_arn`, whose outcome is written on the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from wherry.model import arn
from wherry.model.arn import Scope
from wherry.model.base import Value
from wherry.model.ids import Entropy, base62, digits19
from wherry.model.service import (
    Deployment,
    DeploymentStatus,
    RolloutState,
    Service,
    ServiceDeploymentStatus,
    ServiceRevision,
)

IN_FLIGHT = frozenset(
    {
        ServiceDeploymentStatus.PENDING,
        ServiceDeploymentStatus.IN_PROGRESS,
        ServiceDeploymentStatus.STOP_REQUESTED,
        ServiceDeploymentStatus.ROLLBACK_REQUESTED,
        ServiceDeploymentStatus.ROLLBACK_IN_PROGRESS,
    }
)
"""The states that StopServiceDeployment can stop, and that a newer deployment puts an end to."""

SUPERSEDED = "Service deployment stopped because a newer service deployment replaced it."


class Rollback(Value, frozen=True):
    """What a rollback writes: the service as it was, the new PRIMARY, and every other deployment that changed."""

    service: Service
    deployment: Deployment
    changed: tuple[Deployment, ...]
    target: Deployment


def new_revision(service: Service, *, scope: Scope, entropy: Entropy, now: float) -> ServiceRevision:
    """Take the snapshot of `service` that the tasks of its next deployment are made from."""
    cluster_name = arn.cluster_name_of(service.service_arn)
    return ServiceRevision(
        service_revision_arn=scope.service_revision(cluster_name, service.service_name, digits19(entropy)),
        service_arn=service.service_arn,
        cluster_arn=service.cluster_arn,
        task_definition=service.task_definition,
        launch_type=service.launch_type,
        capacity_provider_strategy=service.capacity_provider_strategy,
        platform_version=service.platform_version,
        platform_family=service.platform_family,
        network_configuration=service.network_configuration,
        volume_configurations=service.volume_configurations,
        created_at=now,
    )


def new_deployment(
    service: Service,
    revision: ServiceRevision,
    *,
    previous: Sequence[Deployment],
    scope: Scope,
    entropy: Entropy,
    now: float,
    rollback_of: Deployment | None = None,
) -> Deployment:
    """Make the deployment that brings `revision` out as the PRIMARY one; `supersede` the previous ones beside it.

    `previous` are all the service's deployments; those not INACTIVE name the source revisions. `rollback_of` is the
    deployment that failed or was stopped: the new one then belongs to its service deployment.

    A deployment has the digits of the revision that was made for it: the Terraform provider finds the service
    deployment of `deployments[0].id` by them.
    """
    deployment_id = f"ecs-svc/{arn.last(revision.service_revision_arn) if rollback_of is None else digits19(entropy)}"
    if rollback_of is None:
        cluster_name = arn.cluster_name_of(service.service_arn)
        service_deployment = scope.service_deployment(cluster_name, service.service_name, base62(entropy))
    else:
        service_deployment = rollback_of.service_deployment_arn
    sources = (d.service_revision_arn for d in previous if d.status is not DeploymentStatus.INACTIVE)
    return Deployment(
        deployment_id=deployment_id,
        service_deployment_arn=service_deployment,
        service_arn=service.service_arn,
        cluster_arn=service.cluster_arn,
        service_revision_arn=revision.service_revision_arn,
        task_definition=revision.task_definition,
        rollout_state_reason=f"ECS deployment {deployment_id} in progress.",
        lifecycle_stage="SCALE_UP",
        deployment_configuration=service.deployment_configuration,
        source_revision_arns=tuple(dict.fromkeys(sources)),
        rollback_of=rollback_of.deployment_id if rollback_of else None,
        created_at=now,
        started_at=now,
        updated_at=now,
    )


def supersede(deployments: Iterable[Deployment], now: float) -> list[Deployment]:
    """Return the deployments that a newer one changes, changed: PRIMARY becomes ACTIVE, and what was in flight is over.

    A deployment that is overtaken keeps its rollout state, as ECS has it; its service deployment is STOPPED.
    """
    changed = []
    for old in deployments:
        new = old
        if new.status is DeploymentStatus.PRIMARY:
            new = structs.replace(new, status=DeploymentStatus.ACTIVE)
        if new.service_deployment_status in IN_FLIGHT:
            new = structs.replace(
                new,
                service_deployment_status=ServiceDeploymentStatus.STOPPED,
                status_reason=SUPERSEDED,
                finished_at=now,
            )
        if new is not old:
            changed.append(structs.replace(new, updated_at=now))
    return changed


def owners(deployments: Iterable[Deployment]) -> dict[str, str]:
    """Tell which deployment the tasks of a revision belong to: revision ARN -> id of its newest visible deployment.

    Not `started_by`: a rollback brings a revision out again, and takes over the tasks of it that still run.
    """
    visible = [d for d in deployments if d.status is not DeploymentStatus.INACTIVE]
    return {d.service_revision_arn: d.deployment_id for d in sorted(visible, key=lambda d: d.created_at)}


def last_completed(deployments: Iterable[Deployment], *, before: Deployment) -> Deployment | None:
    """Find what `before` can be rolled back to: the newest deployment that is COMPLETED, other than itself."""
    completed = (
        d for d in deployments if d.rollout_state is RolloutState.COMPLETED and d.deployment_id != before.deployment_id
    )
    return max(completed, key=lambda d: (d.created_at, d.finished_at or 0), default=None)


def fail(deployment: Deployment, *, reason: str, status_reason: str | None, now: float) -> Deployment:
    """Return `deployment` FAILED, so that it starts nothing more, and its service deployment STOPPED."""
    return structs.replace(
        deployment,
        rollout_state=RolloutState.FAILED,
        rollout_state_reason=reason,
        service_deployment_status=ServiceDeploymentStatus.STOPPED,
        status_reason=status_reason,
        updated_at=now,
        finished_at=now,
        stopped_at=now,
    )


def roll_back(
    service: Service,
    failed: Deployment,
    *,
    deployments: Sequence[Deployment],
    revisions: Mapping[str, ServiceRevision],
    reason: str,
    scope: Scope,
    entropy: Entropy,
    now: float,
) -> Rollback | None:
    """Bring the most recent COMPLETED deployment's revision out again in place of the PRIMARY one, which is `failed`.

    `failed` must already be FAILED (see `fail`); `deployments` are all of the service, `revisions` by ARN. `reason` is
    what `rollback.reason` of the service deployment shows. Returns None if there is nothing to go back to.
    """
    target = last_completed(deployments, before=failed)
    revision = revisions.get(target.service_revision_arn) if target else None
    if target is None or revision is None:
        return None
    reverted = structs.replace(
        service,
        task_definition=revision.task_definition,
        launch_type=revision.launch_type,
        capacity_provider_strategy=revision.capacity_provider_strategy,
        platform_version=revision.platform_version,
        platform_family=revision.platform_family,
        network_configuration=revision.network_configuration,
        volume_configurations=revision.volume_configurations,
    )
    others = [d for d in deployments if d.deployment_id != failed.deployment_id]
    deployment = structs.replace(
        new_deployment(
            reverted, revision, previous=deployments, scope=scope, entropy=entropy, now=now, rollback_of=failed
        ),
        rollout_state_reason=f"ECS deployment circuit breaker: rolling back to deploymentId {target.deployment_id}.",
        service_deployment_status=ServiceDeploymentStatus.ROLLBACK_IN_PROGRESS,
        rollback_reason=reason,
    )
    root = structs.replace(
        failed,
        status=DeploymentStatus.ACTIVE,
        service_deployment_status=ServiceDeploymentStatus.ROLLBACK_IN_PROGRESS,
        status_reason=reason,
        rollback_reason=reason,
        rollback_started_at=now,
        rollback_revision_arn=revision.service_revision_arn,
        finished_at=None,
        stopped_at=None,
        updated_at=now,
    )
    return Rollback(service=reverted, deployment=deployment, changed=(root, *supersede(others, now)), target=target)
