"""Container instances: the hosts that agents registered."""

from __future__ import annotations

from enum import StrEnum

from wherry.model.base import Entity, Tag, Value


class InstanceStatus(StrEnum):
    """Whether an instance takes tasks."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    INACTIVE = "INACTIVE"


class Attribute(Value, frozen=True):
    """A name with an optional value, as agents advertise capabilities."""

    name: str
    value: str | None = None


EXECUTE_COMMAND = "wherry.execute-command"
"""The attribute of an instance whose agent executes commands for ECS Exec; a stock agent needs AWS for that."""


class ContainerInstance(Entity, frozen=True):
    """A host. Key: `container_instance_arn`.

    `cpu` in CPU units, `memory` in MiB: what was registered for tasks; what remains is a query over tasks.
    `fargate` instances belong to the pool and are never shown as container instances. `agent_disconnected_at` is since
    when no agent has been connected, None while one is; `manifest_sequence` numbers the connections, and so tells the
    latest from those that it has taken over from.
    """

    container_instance_arn: str
    cluster_arn: str
    fargate: bool = True
    status: InstanceStatus = InstanceStatus.ACTIVE
    cpu: int = 0
    memory: int = 0
    architecture: str = "x86_64"
    availability_zones: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""
    agent_connected: bool = False
    agent_connected_at: float | None = None
    agent_disconnected_at: float | None = None
    registered_at: float = 0
    manifest_sequence: int = 0
    tags: tuple[Tag, ...] = ()

    def lost_at(self, lost_after: float) -> float | None:
        """Tell when the instance counts as lost if no agent comes back; None if one is there, or it is lost already."""
        if self.agent_connected or self.status is InstanceStatus.INACTIVE:
            return None
        since = self.registered_at if self.agent_disconnected_at is None else self.agent_disconnected_at
        return since + lost_after
