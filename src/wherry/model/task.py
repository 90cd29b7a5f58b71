"""Tasks: one-shot runs of a task definition, and the ladders that their status climbs and never goes back."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wherry.model.base import Entity, KeyValuePair, Tag, Value
from wherry.model.taskdef import EnvironmentFile
from wherry.model.volume_configuration import ManagedVolume


class TaskStatus(StrEnum):
    """`lastStatus`, in the order in which a task passes through."""

    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"

    @property
    def rank(self) -> int:
        """The place on the ladder."""
        return _TASK_RANK[self]


class ContainerStatus(StrEnum):
    """`lastStatus` of a container."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"

    @property
    def rank(self) -> int:
        """The place on the ladder."""
        return _CONTAINER_RANK[self]


_TASK_RANK = {status: rank for rank, status in enumerate(TaskStatus)}
_CONTAINER_RANK = {status: rank for rank, status in enumerate(ContainerStatus)}


class DesiredStatus(StrEnum):
    """What the control plane wants of a task."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class HealthStatus(StrEnum):
    """Health of a container or task."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"


class StopCode(StrEnum):
    """Why a task stopped, in one word."""

    TASK_FAILED_TO_START = "TaskFailedToStart"
    ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
    USER_INITIATED = "UserInitiated"
    SERVICE_SCHEDULER_INITIATED = "ServiceSchedulerInitiated"
    SPOT_INTERRUPTION = "SpotInterruption"
    TERMINATION_NOTICE = "TerminationNotice"
    INFRASTRUCTURE_HEALTH = "InfrastructureHealth"


class ContainerOverride(Value, frozen=True):
    """What RunTask changes of one container; `None` means unchanged."""

    name: str
    command: tuple[str, ...] | None = None
    environment: tuple[KeyValuePair, ...] = ()
    environment_files: tuple[EnvironmentFile, ...] = ()
    cpu: int | None = None
    memory: int | None = None
    memory_reservation: int | None = None


class TaskOverride(Value, frozen=True):
    """What RunTask changes of the task definition."""

    container_overrides: tuple[ContainerOverride, ...] = ()
    cpu: str | None = None
    memory: str | None = None
    task_role_arn: str | None = None
    execution_role_arn: str | None = None
    ephemeral_storage: int | None = None


class AwsvpcConfiguration(Value, frozen=True):
    """Where a task's network interface goes."""

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...] = ()
    assign_public_ip: str = "DISABLED"


class NetworkConfiguration(Value, frozen=True):
    """ECS wraps it once."""

    awsvpc_configuration: AwsvpcConfiguration


class Container(Value, frozen=True):
    """A container of a task as last reported; `cpu` and the memory figures are strings, as ECS has them here."""

    container_arn: str
    name: str
    image: str
    last_status: ContainerStatus = ContainerStatus.PENDING
    essential: bool = True
    image_digest: str | None = None
    runtime_id: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    health_status: HealthStatus = HealthStatus.UNKNOWN
    has_health_check: bool = False
    cpu: str = "0"
    memory: str | None = None
    memory_reservation: str | None = None


class AttachmentStatus(StrEnum):
    """Where the network interface of a task is."""

    PRECREATED = "PRECREATED"
    ATTACHING = "ATTACHING"
    ATTACHED = "ATTACHED"
    DETACHING = "DETACHING"
    DELETED = "DELETED"


class Attachment(Value, frozen=True):
    """The elastic network interface of a task; empty strings until it has been made."""

    id: str
    status: AttachmentStatus = AttachmentStatus.PRECREATED
    subnet_id: str = ""
    network_interface_id: str = ""
    mac_address: str = ""
    private_dns_name: str = ""
    private_ipv4_address: str = ""


class Task(Entity, frozen=True):
    """A task. Key: `task_arn`. `cpu` in CPU units and `memory` in MiB are what placement reserves.

    `ephemeral_storage` is the most disk that it may use, in GiB; `volume` is the one that was configured at launch.
    `desired_status` is written by the control plane, `last_status` advances by the agent's reports (and, before an
    instance is chosen and after its interface is given back, by the control plane). Neither goes back.
    `started_by` is the deployment id for a service's tasks. `counted` is set once a service has taken note of the
    stopped task. `cluster_arn` is the user's cluster; `container_instance_arn` may be a pool instance, never shown.
    `credentials_id` is the secret under which the task asks for the credentials of its role; never shown either.
    """

    task_arn: str
    cluster_arn: str
    task_definition_arn: str
    family: str
    group: str
    service_arn: str | None = None
    service_revision_arn: str | None = None
    started_by: str | None = None
    container_instance_arn: str | None = None
    last_status: TaskStatus = TaskStatus.PROVISIONING
    desired_status: DesiredStatus = DesiredStatus.RUNNING
    launch_type: str = "FARGATE"
    capacity_provider_name: str | None = None
    platform_version: str | None = None
    platform_family: str | None = None
    availability_zone: str | None = None
    cpu: int = 0
    memory: int = 0
    ephemeral_storage: int | None = None
    containers: tuple[Container, ...] = ()
    attachment: Attachment | None = None
    volume: ManagedVolume | None = None
    network_configuration: NetworkConfiguration | None = None
    overrides: TaskOverride = TaskOverride()
    health_status: HealthStatus = HealthStatus.UNKNOWN
    stop_code: StopCode | None = None
    stopped_reason: str | None = None
    created_at: float = 0
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    connectivity_at: float | None = None
    healthy_since: float | None = None
    protection_enabled: bool = False
    protection_expires_at: float | None = None
    placement_reason: str | None = None
    counted: bool = False
    enable_execute_command: bool = False
    credentials_id: str = ""
    tags: tuple[Tag, ...] = ()

    @property
    def task_id(self) -> str:
        """The 32 hexadecimal digits that end the ARN."""
        return self.task_arn.rsplit("/", 1)[-1]

    @property
    def is_stopped(self) -> bool:
        """Whether the task is over."""
        return self.last_status is TaskStatus.STOPPED

    def protected(self, now: float) -> bool:
        """Tell whether scale-in protection holds at `now`."""
        return self.protection_enabled and (self.protection_expires_at is None or now < self.protection_expires_at)


def advance(task: Task, status: TaskStatus, *, now: float) -> Task:
    """Move `last_status` up to `status` and set the timestamps that this implies; a lower status changes nothing."""
    if status.rank <= task.last_status.rank:
        return task
    changes: dict[str, float] = {}
    if status.rank >= TaskStatus.RUNNING.rank and task.started_at is None and status is TaskStatus.RUNNING:
        changes["started_at"] = now
    if status.rank >= TaskStatus.STOPPING.rank and task.stopping_at is None:
        changes["stopping_at"] = now
    if status is TaskStatus.STOPPED:
        changes["stopped_at"] = now
    return msgspec.structs.replace(task, last_status=status, **changes)


def want_stopped(task: Task, *, code: StopCode, reason: str, now: float) -> Task:
    """Set `desired_status` STOPPED; the first stop code and reason win.

    A task that no instance has yet is over at once: there is nobody to stop it.
    """
    if task.desired_status is DesiredStatus.STOPPED:
        return task
    stopping = msgspec.structs.replace(
        task,
        desired_status=DesiredStatus.STOPPED,
        stop_code=task.stop_code or code,
        stopped_reason=task.stopped_reason or reason,
        stopping_at=task.stopping_at or now,
    )
    if task.container_instance_arn is not None:
        return stopping
    stopped = tuple(msgspec.structs.replace(c, last_status=ContainerStatus.STOPPED) for c in task.containers)
    return advance(msgspec.structs.replace(stopping, containers=stopped), TaskStatus.STOPPED, now=now)


def task_health(containers: tuple[Container, ...]) -> HealthStatus:
    """Sum up: UNHEALTHY if any essential container is, UNKNOWN if any with a check is, HEALTHY if all are."""
    checked = [c.health_status for c in containers if c.essential and c.has_health_check]
    if HealthStatus.UNHEALTHY in checked:
        return HealthStatus.UNHEALTHY
    if not checked or HealthStatus.UNKNOWN in checked:
        return HealthStatus.UNKNOWN
    return HealthStatus.HEALTHY
