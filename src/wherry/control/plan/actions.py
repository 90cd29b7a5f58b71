"""What the service scheduler sees, and what it can decide to do."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from wherry.model.service import Deployment, Service, ServiceRevision
from wherry.model.task import StopCode, Task
from wherry.model.taskdef import TaskDefinition


class ServiceSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One service at one moment.

    `deployments` are the PRIMARY and ACTIVE ones, and all of the service while the PRIMARY is in progress: a rollback
    may need one. `tasks` are those not yet `counted`: whatever is not STOPPED, and what has stopped since the last
    plan. `revisions` and `definitions` (by ARN) are those of the deployments.
    """

    service: Service
    deployments: tuple[Deployment, ...]
    tasks: tuple[Task, ...]
    revisions: Mapping[str, ServiceRevision]
    definitions: Mapping[str, TaskDefinition]


class _Action(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of the actions."""


class StartTasks(_Action, frozen=True):
    """Start `count` tasks of a deployment, `unhealthy` of which replace tasks that failed their health checks."""

    deployment_id: str
    count: int
    unhealthy: int = 0


class StopTask(_Action, frozen=True):
    """Want a task stopped."""

    task_arn: str
    code: StopCode
    reason: str


class CountStopped(_Action, frozen=True):
    """Take note of stopped tasks, once: their failures are in the `KeepBooks` of the same plan."""

    task_arns: tuple[str, ...]


class KeepBooks(_Action, frozen=True):
    """Replace a deployment's counters by those of `deployment`."""

    deployment: Deployment


class BeginBake(_Action, frozen=True):
    """Everything is healthy: let `bakeTimeInMinutes` begin."""

    deployment_id: str


class CompleteDeployment(_Action, frozen=True):
    """The deployment has reached its goal."""

    deployment_id: str


class FailDeployment(_Action, frozen=True):
    """The deployment starts nothing more; `reason` is its rolloutStateReason, `status_reason` its statusReason."""

    deployment_id: str
    reason: str
    status_reason: str


class RollBack(_Action, frozen=True):
    """Bring the most recent COMPLETED deployment's revision back in place of a deployment that just failed."""

    deployment_id: str
    reason: str


class AbandonRollback(_Action, frozen=True):
    """A rollback was wanted and cannot be: the service deployment ends ROLLBACK_FAILED."""

    deployment_id: str


class RetireDeployment(_Action, frozen=True):
    """An ACTIVE deployment has no task left: it is shown no more."""

    deployment_id: str


class FinishDraining(_Action, frozen=True):
    """Every task of a deleted service is stopping: it is INACTIVE."""


class Pin(_Action, frozen=True):
    """Later tasks of the revision run the images that its first ones resolved: container name -> digest."""

    service_revision_arn: str
    container_images: dict[str, str]


class Event(_Action, frozen=True):
    """Say something about the service. A `standing` message is remembered, and said again only after a long time."""

    message: str
    standing: bool = False


class Forget(_Action, frozen=True):
    """The cause of a standing message is gone: the next one is news."""

    message: str


OfDeployment = (
    KeepBooks | BeginBake | CompleteDeployment | FailDeployment | RollBack | AbandonRollback | RetireDeployment
)
Action = StartTasks | StopTask | CountStopped | OfDeployment | FinishDraining | Pin | Event | Forget


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now, in this order, and when time alone will make another look worthwhile (epoch seconds)."""

    actions: tuple[Action, ...] = ()
    wake_at: float | None = None
