"""Carries a service's plan out in a transaction; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

import msgspec
from msgspec import structs

from wherry.control import events
from wherry.control.plan import actions as do
from wherry.control.plan import texts
from wherry.control.plan.actions import Action, ServiceSnapshot
from wherry.model import arn, capacity, rollout
from wherry.model.arn import Scope
from wherry.model.base import Tag
from wherry.model.birth import new_task
from wherry.model.ids import Entropy
from wherry.model.service import (
    Deployment,
    DeploymentStatus,
    RolloutState,
    Service,
    ServiceDeploymentStatus,
    ServiceRevision,
    ServiceStatus,
)
from wherry.model.task import Task, TaskOverride, want_stopped
from wherry.model.taskdef import TaskDefinition
from wherry.store import Tx


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction needs besides the database; `repeat` is how many seconds a standing event is held back."""

    scope: Scope
    entropy: Entropy
    now: float
    repeat: float


class Applier:
    """The entities of one service in one transaction, each as last written."""

    def __init__(self, tx: Tx, snapshot: ServiceSnapshot, world: World) -> None:
        self._tx, self._world = tx, world
        self._service: Service = snapshot.service
        self._deployments: dict[str, Deployment] = {d.deployment_id: d for d in snapshot.deployments}
        self._tasks: dict[str, Task] = {task.task_arn: task for task in snapshot.tasks}
        self._revisions: dict[str, ServiceRevision] = dict(snapshot.revisions)
        self._definitions: Mapping[str, TaskDefinition] = snapshot.definitions

    def apply(self, action: Action) -> None:
        """Carry one action out; raises `Conflict` if an entity is not as it was in the snapshot."""
        match action:
            case do.StartTasks() | do.StopTask() | do.CountStopped():
                self._on_tasks(action)
            case do.Pin(service_revision_arn=revision_arn, container_images=images):
                pinned = structs.replace(self._revisions[revision_arn], container_images=images)
                self._revisions[revision_arn] = self._tx.put(pinned)
            case do.Event(message=message, standing=standing):
                self._say(message, repeat=self._world.repeat if standing else None)
            case do.Forget(message=message):
                self._service = self._tx.put(events.forget(self._service, message))
            case do.FinishDraining():
                self._finish_draining()
            case _:
                self._on_deployment(action)

    def _on_tasks(self, action: do.StartTasks | do.StopTask | do.CountStopped) -> None:
        match action:
            case do.StartTasks():
                self._start(action)
            case do.StopTask(task_arn=task_arn, code=code, reason=reason):
                task = self._tasks[task_arn]
                self._put_task(want_stopped(task, code=code, reason=reason, now=self._world.now))
            case do.CountStopped(task_arns=task_arns):
                for task_arn in task_arns:
                    self._put_task(structs.replace(self._tasks[task_arn], counted=True))
            case other:
                assert_never(other)

    def _on_deployment(self, action: do.OfDeployment) -> None:
        match action:
            case do.KeepBooks(deployment=deployment):
                self._put(deployment)
            case do.BeginBake(deployment_id=deployment_id):
                self._change(deployment_id, bake_started_at=self._world.now, lifecycle_stage="BAKE_TIME")
            case do.CompleteDeployment(deployment_id=deployment_id):
                self._complete(self._deployments[deployment_id])
            case do.FailDeployment(deployment_id=deployment_id, reason=reason, status_reason=status_reason):
                self._fail(self._deployments[deployment_id], reason, status_reason)
            case do.RollBack(deployment_id=deployment_id, reason=reason):
                self._roll_back(self._deployments[deployment_id], reason)
            case do.AbandonRollback(deployment_id=deployment_id):
                self._abandon_rollback(self._deployments[deployment_id])
            case do.RetireDeployment(deployment_id=deployment_id):
                self._change(deployment_id, status=DeploymentStatus.INACTIVE, desired_count=0)
            case other:
                assert_never(other)

    def _start(self, action: do.StartTasks) -> None:
        deployment = self._deployments[action.deployment_id]
        born = [self._tx.put(task) for task in self._newborn(deployment, action.count)]
        self._tasks |= {task.task_arn: task for task in born}
        for message in texts.started(self._service, [task.task_id for task in born], action.unhealthy):
            self._say(message)

    def _newborn(self, deployment: Deployment, count: int) -> Iterator[Task]:
        service, world = self._service, self._world
        revision = self._revisions[deployment.service_revision_arn]
        definition = self._definitions[revision.task_definition]
        existing = [task.capacity_provider_name for task in self._tasks.values() if not task.is_stopped]
        strategy = revision.capacity_provider_strategy
        providers = capacity.share_out(strategy, count, existing=existing) if strategy else [None] * count
        for provider in providers:
            yield new_task(
                definition,
                scope=world.scope,
                cluster_arn=service.cluster_arn,
                now=world.now,
                entropy=world.entropy,
                group=f"service:{service.service_name}",
                launch_type=revision.launch_type or "FARGATE",
                platform_version=revision.platform_version,
                network_configuration=revision.network_configuration,
                volume_configurations=revision.volume_configurations,
                overrides=TaskOverride(),
                tags=_tags(service, definition),
                started_by=deployment.deployment_id,
                service_arn=service.service_arn,
                service_revision_arn=revision.service_revision_arn,
                capacity_provider_name=provider,
                enable_execute_command=service.enable_execute_command,
                image_digests=revision.container_images,
            )

    def _complete(self, deployment: Deployment) -> None:
        rollback = deployment.rollback_of is not None
        good = ServiceDeploymentStatus.ROLLBACK_SUCCESSFUL if rollback else ServiceDeploymentStatus.SUCCESSFUL
        for record in self._records(deployment):
            self._end(record, good)
        self._change(
            deployment.deployment_id,
            rollout_state=RolloutState.COMPLETED,
            rollout_state_reason=f"ECS deployment {deployment.deployment_id} completed.",
            lifecycle_stage="CLEAN_UP",
        )

    def _fail(self, deployment: Deployment, reason: str, status_reason: str) -> None:
        failed = rollout.fail(deployment, reason=reason, status_reason=status_reason, now=self._world.now)
        self._put(failed)
        for record in self._records(failed):
            if record.deployment_id != failed.deployment_id:
                self._end(record, ServiceDeploymentStatus.STOPPED, stopped_at=self._world.now)

    def _roll_back(self, failed: Deployment, reason: str) -> None:
        target = rollout.last_completed(self._deployments.values(), before=failed)
        revision = self._tx.get(ServiceRevision, target.service_revision_arn) if target else None
        back = rollout.roll_back(
            self._service,
            failed,
            deployments=tuple(self._deployments.values()),
            revisions={} if revision is None else {revision.service_revision_arn: revision},
            reason=reason,
            scope=self._world.scope,
            entropy=self._world.entropy,
            now=self._world.now,
        )
        if back is None:
            self._abandon_rollback(failed)
            return
        self._service = self._tx.put(back.service)
        for deployment in (*back.changed, back.deployment):
            self._put(deployment)

    def _abandon_rollback(self, failed: Deployment) -> None:
        for record in self._records(failed):
            self._end(record, ServiceDeploymentStatus.ROLLBACK_FAILED, stopped_at=self._world.now)

    def _finish_draining(self) -> None:
        now = self._world.now
        for deployment in rollout.supersede(self._deployments.values(), now):
            self._put(deployment)
        for deployment in self._deployments.values():
            if deployment.status is not DeploymentStatus.INACTIVE:
                self._change(deployment.deployment_id, status=DeploymentStatus.INACTIVE)
        self._service = self._tx.put(structs.replace(self._service, status=ServiceStatus.INACTIVE, deleted_at=now))

    def _records(self, deployment: Deployment) -> list[Deployment]:
        """List the records of a service deployment: itself and, of a rollback, the one that is undone."""
        arns = (deployment.deployment_id, deployment.rollback_of)
        return [known for known in self._deployments.values() if known.deployment_id in arns]

    def _end(self, record: Deployment, status: ServiceDeploymentStatus, *, stopped_at: float | None = None) -> None:
        reason = record.rollback_reason or record.status_reason
        self._change(
            record.deployment_id,
            service_deployment_status=status,
            status_reason=reason,
            finished_at=self._world.now,
            stopped_at=stopped_at,
        )

    def _change(self, deployment_id: str, **changes: object) -> None:
        self._put(structs.replace(self._deployments[deployment_id], updated_at=self._world.now, **changes))

    def _put(self, deployment: Deployment) -> None:
        # Several actions of a plan may touch one deployment, which the planner saw only in its first state.
        known = self._deployments.get(deployment.deployment_id)
        current = structs.replace(deployment, version=known.version) if known else deployment
        self._deployments[deployment.deployment_id] = self._tx.put(current)

    def _put_task(self, task: Task) -> None:
        self._tasks[task.task_arn] = self._tx.put(task)

    def _say(self, message: str, *, repeat: float | None = None) -> None:
        world = self._world
        self._service = events.record(
            self._tx, self._service, message, now=world.now, entropy=world.entropy, repeat=repeat
        )


def _tags(service: Service, definition: TaskDefinition) -> tuple[Tag, ...]:
    """Tag a task: propagated tags, and whose it is where the service asks for ECS managed tags."""
    match service.propagate_tags:
        case "TASK_DEFINITION":
            tags = definition.tags
        case "SERVICE":
            tags = service.tags
        case _:
            tags = ()
    if not service.enable_ecs_managed_tags:
        return tags
    cluster_name = arn.last(service.cluster_arn)
    managed = (("aws:ecs:clusterName", cluster_name), ("aws:ecs:serviceName", service.service_name))
    return (*tags, *(Tag(key=key, value=value) for key, value in managed))
