"""What agents say of tasks, folded into what is stored: each report may come twice, late, or never.

Every function takes a task and returns the task as it is then, the same object if nothing is new. Statuses only climb;
facts that are told once (exit code, reason, digest) are kept as first told.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from wherry.model.base import Value
from wherry.model.task import (
    AttachmentStatus,
    Container,
    ContainerStatus,
    DesiredStatus,
    HealthStatus,
    StopCode,
    Task,
    TaskStatus,
    advance,
    task_health,
    want_stopped,
)

T = TypeVar("T")
S = TypeVar("S", bound=Value)

ESSENTIAL_EXITED = "Essential container in task exited"
FAILED_TO_START = "Task failed to start"

_ATTACHMENT_RANK = {status: rank for rank, status in enumerate(AttachmentStatus)}


class AgentStatus(StrEnum):
    """What agents call the states of tasks and containers (reference: agent api/task/status)."""

    NONE = "NONE"
    PENDING = "PENDING"
    MANIFEST_PULLED = "MANIFEST_PULLED"
    PULLED = "PULLED"
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    RESOURCES_PROVISIONED = "RESOURCES_PROVISIONED"
    STOPPED = "STOPPED"


class ContainerReport(Value, frozen=True):
    """One container of a report; None is "nothing said"."""

    name: str
    status: AgentStatus | None = None
    exit_code: int | None = None
    reason: str | None = None
    runtime_id: str | None = None
    image_digest: str | None = None


class TaskReport(Value, frozen=True):
    """A SubmitTaskStateChange; times in epoch seconds."""

    status: AgentStatus | None = None
    reason: str | None = None
    containers: tuple[ContainerReport, ...] = ()
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None


Health = tuple[str, HealthStatus, float]
"""A container's name, its health, and since when (epoch seconds)."""


def apply_task_report(task: Task, report: TaskReport, *, now: float, detaches: bool = True) -> Task:
    """Fold a report into the task.

    `detaches` tells that the agent will report the interface DETACHED once it has taken it down, as Wherry's does; a
    stock agent never does, so that its task's interface is gone with the task.
    """
    if task.is_stopped:
        return task
    told = {container.name: container for container in report.containers}
    containers = tuple(_fold(c, told[c.name]) if c.name in told else c for c in task.containers)
    task = _changed(
        task,
        containers=containers,
        pull_started_at=_first(task.pull_started_at, report.pull_started_at),
        pull_stopped_at=_first(task.pull_stopped_at, report.pull_stopped_at),
        execution_stopped_at=_first(task.execution_stopped_at, report.execution_stopped_at),
    )
    match report.status:
        case AgentStatus.RUNNING:
            return _changed(advance(task, TaskStatus.RUNNING, now=now), connectivity_at=task.connectivity_at or now)
        case AgentStatus.STOPPED:
            return _stopped(task, report.reason, now=now, detaches=detaches)
        case _:
            return task


def apply_attachment(task: Task, status: AttachmentStatus, *, now: float) -> Task:
    """Take note that the agent has attached (ATTACHED) or taken down (DELETED) the interface.

    A task that waits in DEPROVISIONING for its interface to go is STOPPED by the latter.
    """
    attachment = task.attachment
    if attachment is None or _ATTACHMENT_RANK[status] <= _ATTACHMENT_RANK[attachment.status]:
        return task
    task = _changed(task, attachment=_changed(attachment, status=status))
    if status is AttachmentStatus.ATTACHED:
        return _changed(task, connectivity_at=task.connectivity_at or now)
    if status is AttachmentStatus.DELETED and task.last_status is TaskStatus.DEPROVISIONING:
        return _over(task, now=now)
    return task


def apply_health(task: Task, known: Iterable[Health], *, now: float) -> Task:
    """Take note of the health of containers that have a check, and sum it up for the task.

    `healthy_since` is when the last of them became HEALTHY, None while the task is not.
    """
    if task.is_stopped:
        return task
    told = {name: (status, since) for name, status, since in known}
    containers = tuple(
        _changed(c, health_status=told[c.name][0]) if c.has_health_check and c.name in told else c
        for c in task.containers
    )
    summed = task_health(containers)
    since: float | None = None
    if summed is HealthStatus.HEALTHY:
        latest = max((min(at, now) for name, (_, at) in told.items() if _counts(task, name)), default=now)
        since = latest if task.healthy_since is None else task.healthy_since
    return _changed(task, containers=containers, health_status=summed, healthy_since=since)


def lose(task: Task, *, reason: str, now: float) -> Task:
    """End a task whose host is gone: nobody will report it, and its interface is gone with the host."""
    if task.is_stopped:
        return task
    task = want_stopped(task, code=StopCode.INFRASTRUCTURE_HEALTH, reason=reason, now=now)
    return never_mind(task, now=now)


def never_mind(task: Task, *, now: float) -> Task:
    """End a task that is wanted STOPPED and of which no agent has anything left, nor ever will have."""
    stopped = tuple(_changed(c, last_status=ContainerStatus.STOPPED) for c in task.containers)
    attachment = task.attachment
    gone = None if attachment is None else _changed(attachment, status=AttachmentStatus.DELETED)
    return _over(_changed(task, containers=stopped, attachment=gone), now=now)


def digests(task: Task) -> dict[str, str]:
    """Return the digests that the containers' images were resolved to: container name -> digest."""
    return {c.name: c.image_digest for c in task.containers if c.image_digest is not None}


def _fold(container: Container, report: ContainerReport) -> Container:
    status = _container_status(report.status)
    return _changed(
        container,
        last_status=status if status.rank > container.last_status.rank else container.last_status,
        exit_code=_first(container.exit_code, report.exit_code),
        reason=container.reason or report.reason or None,
        runtime_id=container.runtime_id or report.runtime_id or None,
        image_digest=container.image_digest or report.image_digest or None,
    )


def _container_status(status: AgentStatus | None) -> ContainerStatus:
    match status:
        case AgentStatus.RUNNING | AgentStatus.RESOURCES_PROVISIONED:
            return ContainerStatus.RUNNING
        case AgentStatus.STOPPED:
            return ContainerStatus.STOPPED
        case _:
            return ContainerStatus.PENDING


def _stopped(task: Task, reason: str | None, *, now: float, detaches: bool) -> Task:
    if task.desired_status is DesiredStatus.RUNNING:
        code, why = _cause(task, reason)
        task = want_stopped(task, code=code, reason=why, now=now)
    stopped = tuple(_changed(c, last_status=ContainerStatus.STOPPED) for c in task.containers)
    task = _changed(task, containers=stopped, execution_stopped_at=_first(task.execution_stopped_at, now))
    attachment = task.attachment
    if attachment is None or attachment.status is AttachmentStatus.DELETED:
        return _over(task, now=now)
    if not detaches:
        return _over(_changed(task, attachment=_changed(attachment, status=AttachmentStatus.DELETED)), now=now)
    task = _changed(task, attachment=_changed(attachment, status=AttachmentStatus.DETACHING))
    return advance(task, TaskStatus.DEPROVISIONING, now=now)


def _cause(task: Task, reason: str | None) -> tuple[StopCode, str]:
    """Say why a task stopped that nobody asked to stop (reference 5.3).

    A task that ran, or of which an essential container ran and ended while nothing failed to start, stopped because of
    that container, whatever its exit code. Any other never started.
    """
    essential = [c for c in task.containers if c.essential]
    never_ran = next((c for c in essential if c.exit_code is None and c.reason), None)
    any_ran = any(c.exit_code is not None for c in essential)
    if task.started_at is not None or (any_ran and never_ran is None):
        return StopCode.ESSENTIAL_CONTAINER_EXITED, reason or ESSENTIAL_EXITED
    return StopCode.TASK_FAILED_TO_START, reason or (never_ran.reason if never_ran else None) or FAILED_TO_START


def _over(task: Task, *, now: float) -> Task:
    """End the task; ECS drops the tags of a stopped one."""
    return _changed(advance(task, TaskStatus.STOPPED, now=now), tags=())


def _counts(task: Task, name: str) -> bool:
    return any(c.name == name and c.essential and c.has_health_check for c in task.containers)


def _first(known: T | None, told: T | None) -> T | None:
    return told if known is None else known


def _changed(struct: S, **changes: Any) -> S:
    """Replace members, but return the same object if that changes nothing: no write, no bell."""
    fresh = {name: value for name, value in changes.items() if getattr(struct, name) != value}
    return msgspec.structs.replace(struct, **fresh) if fresh else struct
