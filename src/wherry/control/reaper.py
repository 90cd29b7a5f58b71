"""Removes what nobody can ask for any more, a few rows at a time, so that a large sweep never holds a writer up.

Task protection needs no sweep: whether it holds is computed from the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from wherry.control.loop import Controller
from wherry.model import rollout
from wherry.model.account import IdempotencyToken
from wherry.model.arn import Scope
from wherry.model.base import Entity
from wherry.model.cluster import Cluster, ClusterStatus
from wherry.model.ids import Entropy
from wherry.model.instance import ContainerInstance, InstanceStatus
from wherry.model.secretsmanager.secret import Secret, SecretVersion
from wherry.model.service import (
    Deployment,
    DeploymentStatus,
    RolloutState,
    Service,
    ServiceEvent,
    ServiceRevision,
    ServiceStatus,
)
from wherry.model.task import Task, TaskStatus
from wherry.model.taskdef import TaskDefinition, TaskDefinitionStatus
from wherry.settings import Settings, Timing
from wherry.store import Range, Store, Tx, placing

E = TypeVar("E", bound=Entity)

BATCH = 100
"""Rows removed in one transaction."""

Sweeper = Callable[[Tx, float, Timing], int]
"""Removes at most about `BATCH` rows that are due at a time, and tells how many it removed."""


def controller(
    store: Store,
    settings: Settings,
    scope: Scope,  # noqa: ARG001 - every controller is made from the same five
    *,
    clock: Callable[[], float],
    entropy: Entropy,
) -> Controller:
    """Make the controller that sweeps; its keys are the kinds of things that it removes."""

    async def step(kind: str) -> float | None:
        removed = await store.write(SWEEPERS[kind], clock(), settings.timing)
        return 0.0 if removed >= BATCH else None

    async def sweep() -> Iterable[str]:
        return SWEEPERS

    period = settings.timing.sweep
    return Controller("reaper", store, "reaper", step, sweep, entropy=entropy, workers=1, period=period)


def stopped_tasks(tx: Tx, now: float, timing: Timing) -> int:
    """Remove tasks that stopped a while ago."""
    due = Range(end=now - timing.stopped_task_retention)
    return _remove(tx, tx.find(Task, last_status=TaskStatus.STOPPED, stopped_at=due, limit=BATCH))


def idempotency_tokens(tx: Tx, now: float, _: Timing) -> int:
    """Remove client tokens that need not be remembered any longer."""
    return _remove(tx, tx.find(IdempotencyToken, expires_at=Range(end=now), order="expires_at", limit=BATCH))


def inactive_clusters(tx: Tx, now: float, timing: Timing) -> int:
    """Remove clusters that were deleted a while ago."""
    found = tx.find(Cluster, status=ClusterStatus.INACTIVE)
    due = [c for c in found if c.deleted_at is None or c.deleted_at < now - timing.inactive_retention]
    return _remove(tx, due[:BATCH])


def inactive_services(tx: Tx, now: float, timing: Timing) -> int:
    """Remove services that were deleted a while ago, after everything that belongs to them."""
    due = Range(end=now - timing.inactive_retention)
    removed = 0
    for service in tx.find(Service, status=ServiceStatus.INACTIVE, deleted_at=due, limit=BATCH):
        for kind in (ServiceEvent, Deployment, ServiceRevision):
            removed += _remove(tx, tx.find(kind, service_arn=service.service_arn, limit=BATCH))
            if removed >= BATCH:
                return removed
        removed += _remove(tx, [service])
    return removed


def inactive_instances(tx: Tx, now: float, timing: Timing) -> int:
    """Remove hosts that were given up a while ago; an agent that comes back even later registers anew all the same."""
    found = tx.find(ContainerInstance, status=InstanceStatus.INACTIVE)
    due = [i for i in found if (i.agent_disconnected_at or i.registered_at) < now - timing.inactive_retention]
    return _remove(tx, due[:BATCH])


def finished_deployments(tx: Tx, now: float, timing: Timing) -> int:
    """Remove deployments that ended a while ago, each with its revision if nothing else was made from that."""
    cutoff = now - timing.deployment_retention
    found = tx.find(
        Deployment, status=DeploymentStatus.INACTIVE, created_at=Range(end=cutoff), order="created_at", limit=BATCH
    )
    due = [d for d in found if max(d.updated_at, d.finished_at or 0, d.stopped_at or 0) < cutoff]
    removed = _remove(tx, due)
    for revision_arn in {deployment.service_revision_arn for deployment in due}:
        revision = tx.get(ServiceRevision, revision_arn)
        if revision is not None and not _has_use(tx, revision):
            removed += _remove(tx, [revision])
    return removed


def deleted_definitions(tx: Tx, now: float, _: Timing) -> int:  # noqa: ARG001 - due when unused, whatever the time
    """Remove task definitions that were deleted, once nothing runs from them and no rollout can go back to them."""
    found = tx.find(TaskDefinition, status=TaskDefinitionStatus.DELETE_IN_PROGRESS)
    unused = (definition for definition in found if not _is_used(tx, definition.task_definition_arn))
    return _remove(tx, [definition for definition, _ in zip(unused, range(BATCH), strict=False)])


def deleted_secrets(tx: Tx, now: float, _: Timing) -> int:
    """Remove secrets whose recovery window is over, after their versions."""
    removed = 0
    for secret in tx.find(Secret, deletion_date=Range(end=now), limit=BATCH):
        removed += _remove(tx, [*tx.find(SecretVersion, secret_arn=secret.arn), secret])
        if removed >= BATCH:
            break
    return removed


SWEEPERS: Mapping[str, Sweeper] = {
    "tasks": stopped_tasks,
    "idempotency tokens": idempotency_tokens,
    "services": inactive_services,
    "clusters": inactive_clusters,
    "container instances": inactive_instances,
    "deployments": finished_deployments,
    "task definitions": deleted_definitions,
    "secrets": deleted_secrets,
}


def _is_used(tx: Tx, definition_arn: str) -> bool:
    in_use = (DeploymentStatus.PRIMARY, DeploymentStatus.ACTIVE)
    return bool(
        tx.count(Task, task_definition_arn=definition_arn, last_status=placing.ALIVE)
        or tx.count(Deployment, task_definition=definition_arn, status=in_use)
        or any(_is_rollback_target(tx, past) for past in tx.find(Deployment, task_definition=definition_arn))
    )


def _is_rollback_target(tx: Tx, past: Deployment) -> bool:
    """Tell whether the rollout that is under way in the same service would roll back to `past`."""
    if past.rollout_state is not RolloutState.COMPLETED:
        return False
    history = tx.find(Deployment, service_arn=past.service_arn)
    under_way = (
        d for d in history if d.status is DeploymentStatus.PRIMARY and d.rollout_state is RolloutState.IN_PROGRESS
    )
    return any(rollout.last_completed(history, before=deployment) == past for deployment in under_way)


def _has_use(tx: Tx, revision: ServiceRevision) -> bool:
    service_arn, revision_arn = revision.service_arn, revision.service_revision_arn
    others = tx.find(Deployment, service_arn=service_arn)
    return any(deployment.service_revision_arn == revision_arn for deployment in others) or bool(
        tx.count(Task, service_arn=service_arn, service_revision_arn=revision_arn, last_status=placing.ALIVE)
    )


def _remove(tx: Tx, entities: Iterable[E]) -> int:
    removed = 0
    for entity in entities:
        tx.delete(entity)
        removed += 1
    return removed
