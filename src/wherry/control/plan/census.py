"""Who is who among a service's tasks: which deployment each counts for, and how it is.

A task *lives* while it is wanted and not past RUNNING: those are RUNNING + PENDING in the arithmetic of ECS.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

import msgspec

from wherry.control.plan.actions import ServiceSnapshot
from wherry.model import rollout
from wherry.model.service import Deployment, DeploymentStatus, RolloutState, Service
from wherry.model.task import DesiredStatus, HealthStatus, Task, TaskStatus
from wherry.settings import Timing


class Health(Enum):
    """What a living task is worth: only HEALTHY ones count for the floor."""

    STARTING = auto()
    HEALTHY = auto()
    UNHEALTHY = auto()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The desired count, the floor of healthy tasks and the ceiling of living ones."""

    desired: int
    lower: int
    upper: int


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """What time it is and how long things take: `grace` is healthCheckGracePeriodSeconds."""

    now: float
    timing: Timing
    grace: float = 0


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks that count for one deployment. `lingering` are stopping but still RUNNING (or before) on their host.

    `revived` says that a rollback has taken its revision, and its tasks, over.
    """

    deployment: Deployment
    revived: bool = False
    starting: list[Task] = []
    healthy: list[Task] = []
    unhealthy: list[Task] = []
    lingering: list[Task] = []

    @property
    def fit(self) -> int:
        """How many are healthy or may become so."""
        return len(self.starting) + len(self.healthy)

    @property
    def living(self) -> int:
        """How many live."""
        return self.fit + len(self.unhealthy)

    def alive(self) -> list[Task]:
        """List those that live."""
        return [*self.starting, *self.healthy, *self.unhealthy]

    @property
    def gone(self) -> bool:
        """Whether no task of it runs any more."""
        return not self.living and not self.lingering

    @property
    def proven(self) -> bool:
        """Whether its revision once served: then its tasks are replaced while they are needed."""
        return self.deployment.rollout_state is RolloutState.COMPLETED and not self.revived


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """A service's tasks by deployment; `old` oldest first. `stopped` are over and not yet counted."""

    primary: Group
    old: tuple[Group, ...]
    stopped: tuple[Task, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every group, the PRIMARY's last."""
        return (*self.old, self.primary)

    @property
    def living(self) -> int:
        """How many tasks live."""
        return sum(group.living for group in self.groups)


def limits(service: Service) -> Limits:
    """Return floor and ceiling: minimumHealthyPercent rounds up, maximumPercent down (ECS API reference)."""
    config, desired = service.deployment_configuration, service.desired_count
    return Limits(
        desired=desired,
        lower=-(-desired * config.minimum_healthy_percent // 100),
        upper=desired * config.maximum_percent // 100,
    )


def lives(task: Task) -> bool:
    """Tell whether a task is RUNNING or on its way there, and wanted."""
    return task.desired_status is DesiredStatus.RUNNING and task.last_status.rank <= TaskStatus.RUNNING.rank


def healthy_at(task: Task, timing: Timing) -> float | None:
    """Tell when a task became healthy, or will with time alone; None while that hangs on its health checks.

    Without health checks a task is healthy once it has been RUNNING for 40 seconds (ECS API reference).
    """
    if task.started_at is None:
        return None
    if not _has_checks(task):
        return task.started_at + timing.healthy_after
    if task.health_status is not HealthStatus.HEALTHY:
        return None
    return task.started_at if task.healthy_since is None else task.healthy_since


def health(task: Task, clock: Clock) -> Health:
    """Judge a living task; within the grace period a failing check is not held against it, and UNKNOWN never is."""
    if task.last_status is not TaskStatus.RUNNING:
        return Health.STARTING
    since = healthy_at(task, clock.timing)
    if since is not None:
        return Health.HEALTHY if since <= clock.now else Health.STARTING
    failing = task.health_status is HealthStatus.UNHEALTHY and _has_checks(task)
    return Health.UNHEALTHY if failing and clock.now >= _grace_ends(task, clock) else Health.STARTING


def next_change(tasks: Iterable[Task], clock: Clock) -> float | None:
    """Tell when time alone will next change what a living task is worth."""
    times = []
    for task in tasks:
        if not lives(task) or task.last_status is not TaskStatus.RUNNING:
            continue
        since = healthy_at(task, clock.timing)
        if since is not None:
            times.append(since)
        elif task.health_status is HealthStatus.UNHEALTHY and _has_checks(task):
            times.append(_grace_ends(task, clock))
    return min((time for time in times if time > clock.now), default=None)


def take(snapshot: ServiceSnapshot, clock: Clock) -> Census | None:
    """Sort the tasks; None for a service without a PRIMARY deployment."""
    visible = [d for d in snapshot.deployments if d.status is not DeploymentStatus.INACTIVE]
    owners = rollout.owners(visible)
    groups = {
        d.deployment_id: Group(deployment=d, revived=owners[d.service_revision_arn] != d.deployment_id)
        for d in sorted(visible, key=lambda d: d.created_at)
    }
    primary = next((g for g in groups.values() if g.deployment.status is DeploymentStatus.PRIMARY), None)
    if primary is None:
        return None
    stopped = []
    for task in snapshot.tasks:
        if task.is_stopped:
            stopped.append(task)
            continue
        # A task whose deployment is shown no more can only be on its way out; it goes with the PRIMARY's.
        owner = owners.get(task.service_revision_arn or "", primary.deployment.deployment_id)
        _add(groups[owner], task, clock)
    old = tuple(group for group in groups.values() if group is not primary)
    return Census(primary=primary, old=old, stopped=tuple(stopped))


def _add(group: Group, task: Task, clock: Clock) -> None:
    if not lives(task):
        if task.last_status.rank <= TaskStatus.RUNNING.rank:
            group.lingering.append(task)
        return
    match health(task, clock):
        case Health.STARTING:
            group.starting.append(task)
        case Health.HEALTHY:
            group.healthy.append(task)
        case Health.UNHEALTHY:
            group.unhealthy.append(task)


def _has_checks(task: Task) -> bool:
    return any(container.essential and container.has_health_check for container in task.containers)


def _grace_ends(task: Task, clock: Clock) -> float:
    return (task.started_at or 0) + clock.grace
