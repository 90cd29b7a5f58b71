"""Task definitions: what a task is made of. Only members that Wherry honours have a field here.

Which members of the model those are, and what is said about the others, is `wherry.model.taskdef_fields`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wherry.model.base import Entity, KeyValuePair, Tag, Value
from wherry.model.volume import MountPoint, Volume, VolumeFrom


class TaskDefinitionStatus(StrEnum):
    """Where a revision is in its life."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"


class PortMapping(Value, frozen=True):
    """A port of a container. `host_port` is stored as ECS echoes it: equal to the container's in awsvpc mode."""

    container_port: int | None = None
    host_port: int | None = None
    protocol: str = "tcp"
    name: str | None = None
    app_protocol: str | None = None
    container_port_range: str | None = None


class ContainerDependency(Value, frozen=True):
    """Another container of the task and what must be true of it first."""

    container_name: str
    condition: str


class HealthCheck(Value, frozen=True):
    """How the container's health is asked; times in seconds."""

    command: tuple[str, ...]
    interval: int = 30
    timeout: int = 5
    retries: int = 3
    start_period: int | None = None


class Ulimit(Value, frozen=True):
    """A resource limit."""

    name: str
    soft_limit: int
    hard_limit: int


class KernelCapabilities(Value, frozen=True):
    """Linux capabilities added to and dropped from the default."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class Tmpfs(Value, frozen=True):
    """A tmpfs mount; `size` in MiB."""

    container_path: str
    size: int
    mount_options: tuple[str, ...] = ()


class Device(Value, frozen=True):
    """A device of the host; `permissions` of read, write and mknod, all of them where none is named."""

    host_path: str
    container_path: str | None = None
    permissions: tuple[str, ...] = ()


class LinuxParameters(Value, frozen=True):
    """Linux specials of a container; `shared_memory_size` and `max_swap` in MiB."""

    capabilities: KernelCapabilities | None = None
    devices: tuple[Device, ...] = ()
    init_process_enabled: bool | None = None
    shared_memory_size: int | None = None
    tmpfs: tuple[Tmpfs, ...] = ()
    max_swap: int | None = None
    swappiness: int | None = None


class SystemControl(Value, frozen=True):
    """A sysctl."""

    namespace: str
    value: str


class Secret(Value, frozen=True):
    """A variable whose value lies in SSM Parameter Store or Secrets Manager, under the name or ARN `value_from`."""

    name: str
    value_from: str


class RepositoryCredentials(Value, frozen=True):
    """The secret with the user and password of the image's registry, by its ARN or its name."""

    credentials_parameter: str


class LogConfiguration(Value, frozen=True):
    """Where a container's output goes: a log driver of the container engine, and its options."""

    log_driver: str
    options: dict[str, str] = {}
    secret_options: tuple[Secret, ...] = ()


class FirelensConfiguration(Value, frozen=True):
    """Makes a container the task's log router: `type` is fluentd or fluentbit."""

    type: str
    options: dict[str, str] = {}


class EnvironmentFile(Value, frozen=True):
    """A file of variables in S3: `value` is the ARN of the object."""

    value: str
    type: str = "s3"


class HostEntry(Value, frozen=True):
    """A line of /etc/hosts."""

    hostname: str
    ip_address: str


class RestartPolicy(Value, frozen=True):
    """Whether a container that ends is started again in place; `restart_attempt_period` in seconds."""

    enabled: bool
    ignored_exit_codes: tuple[int, ...] = ()
    restart_attempt_period: int = 300


class EphemeralStorage(Value, frozen=True):
    """Disk that a task may use, in GiB."""

    size_in_gib: int = msgspec.field(name="sizeInGiB")


class ContainerDefinition(Value, frozen=True):
    """One container. `memory` and `memory_reservation` in MiB, `cpu` in CPU units (1024 a core)."""

    name: str
    image: str
    repository_credentials: RepositoryCredentials | None = None
    cpu: int = 0
    memory: int | None = None
    memory_reservation: int | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    essential: bool = True
    restart_policy: RestartPolicy | None = None
    disable_networking: bool | None = None
    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[KeyValuePair, ...] = ()
    environment_files: tuple[EnvironmentFile, ...] = ()
    secrets: tuple[Secret, ...] = ()
    mount_points: tuple[MountPoint, ...] = ()
    volumes_from: tuple[VolumeFrom, ...] = ()
    depends_on: tuple[ContainerDependency, ...] = ()
    start_timeout: int | None = None
    stop_timeout: int | None = None
    version_consistency: str | None = None
    hostname: str | None = None
    user: str | None = None
    working_directory: str | None = None
    privileged: bool | None = None
    readonly_root_filesystem: bool | None = None
    dns_servers: tuple[str, ...] = ()
    dns_search_domains: tuple[str, ...] = ()
    extra_hosts: tuple[HostEntry, ...] = ()
    docker_security_options: tuple[str, ...] = ()
    interactive: bool | None = None
    pseudo_terminal: bool | None = None
    docker_labels: dict[str, str] = {}
    ulimits: tuple[Ulimit, ...] = ()
    log_configuration: LogConfiguration | None = None
    firelens_configuration: FirelensConfiguration | None = None
    health_check: HealthCheck | None = None
    system_controls: tuple[SystemControl, ...] = ()
    linux_parameters: LinuxParameters | None = None


class RuntimePlatform(Value, frozen=True):
    """What the containers were built for."""

    cpu_architecture: str | None = None
    operating_system_family: str | None = None


class TaskDefinition(Entity, frozen=True):
    """A revision of a family. Key: `task_definition_arn`. `cpu` (units) and `memory` (MiB) are integer strings."""

    task_definition_arn: str
    family: str
    revision: int
    container_definitions: tuple[ContainerDefinition, ...]
    status: TaskDefinitionStatus = TaskDefinitionStatus.ACTIVE
    task_role_arn: str | None = None
    execution_role_arn: str | None = None
    network_mode: str | None = None
    pid_mode: str | None = None
    ipc_mode: str | None = None
    requires_compatibilities: tuple[str, ...] = ()
    compatibilities: tuple[str, ...] = ()
    requires_attributes: tuple[str, ...] = ()
    cpu: str | None = None
    memory: str | None = None
    volumes: tuple[Volume, ...] = ()
    ephemeral_storage: EphemeralStorage | None = None
    runtime_platform: RuntimePlatform | None = None
    enable_fault_injection: bool | None = None
    registered_at: float = 0
    deregistered_at: float | None = None
    delete_requested_at: float | None = None
    registered_by: str = ""
    tags: tuple[Tag, ...] = ()

    def container(self, name: str) -> ContainerDefinition | None:
        """Find a container by its name."""
        return next((c for c in self.container_definitions if c.name == name), None)


class Family(Entity, frozen=True):
    """The revision counter of a family: it outlives every revision. Key: `family`."""

    family: str
    last_revision: int = 0
