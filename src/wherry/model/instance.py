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


class ContainerInstance(Entity, frozen=True):
    """A host. Key: `container_instance_arn`.

    `cpu` in CPU units, `memory` in MiB: what was registered for tasks; what remains is a query over tasks.
    `fargate` instances belong to the pool and are never shown as container instances.
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
    registered_at: float = 0
    manifest_sequence: int = 0
    tags: tuple[Tag, ...] = ()
