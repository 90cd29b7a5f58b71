"""What one task asks of a host: the agent's own, validated reading of an ACS payload.

Units: `cpu_shares` are Docker's relative shares, memory is in bytes unless a name says MiB, times are seconds.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every value here."""


class Condition(StrEnum):
    """When a `dependsOn` entry is satisfied (reference: ContainerCondition)."""

    START = "START"
    COMPLETE = "COMPLETE"
    SUCCESS = "SUCCESS"
    HEALTHY = "HEALTHY"
    CREATED = "CREATED"
    """Not a word of `dependsOn`: what `volumesFrom` asks of the container whose mounts are to be shared."""


class Dependency(Struct, frozen=True):
    """`container` must have reached `condition` before the owner of this entry goes on."""

    container: str
    condition: Condition


class HealthCheck(Struct, frozen=True):
    """A container health check; `command` begins with CMD or CMD-SHELL; times in seconds."""

    command: tuple[str, ...]
    interval: float = 30
    timeout: float = 5
    retries: int = 3
    start_period: float = 0


class Ulimit(Struct, frozen=True):
    """A resource limit by its setrlimit name without RLIMIT_, lower case."""

    name: str
    soft: int
    hard: int


class Tmpfs(Struct, frozen=True):
    """A tmpfs mount; `size_mib` in MiB."""

    container_path: str
    size_mib: int
    options: tuple[str, ...] = ()


class PortMapping(Struct, frozen=True):
    """A port that the container listens on, or a range of them, "8000-8010", with `container_port` 0."""

    container_port: int
    host_port: int
    protocol: str = "tcp"
    container_port_range: str = ""


class SecretTarget(StrEnum):
    """Where the value of a secret goes."""

    CONTAINER = "CONTAINER"
    LOG_DRIVER = "LOG_DRIVER"


class Secret(Struct, frozen=True):
    """A value to be fetched under `value_from`: for the environment variable or the log option `name`."""

    name: str
    value_from: str
    target: SecretTarget = SecretTarget.CONTAINER


class RestartPolicy(Struct, frozen=True):
    """A container that ends with another code than these is started again, if it ran for `attempt_period` seconds."""

    ignored_exit_codes: tuple[int, ...] = ()
    attempt_period: float = 300


class Device(Struct, frozen=True):
    """A device of the host at a path of the container; `permissions` as in cgroups: "rwm"."""

    host_path: str
    container_path: str
    permissions: str = "rwm"


class HostPath(Struct, frozen=True, tag=True):
    """A path of the host."""

    path: str


class TaskVolume(Struct, frozen=True, tag=True):
    """A volume of the engine that is made for the task and goes with it."""

    driver: str = "local"
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class SharedVolume(Struct, frozen=True, tag=True):
    """A volume of the engine that is known by its name and stays; `autoprovision`: made if it is not there."""

    autoprovision: bool = False
    driver: str = "local"
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class NetworkFileSystem(Struct, frozen=True, tag=True):
    """A directory of a file system that this host's settings know by `id`, that of an access point if there is one."""

    id: str
    root: str = "/"
    encrypted: bool = False


class ManagedVolume(Struct, frozen=True, tag=True):
    """A disk of the host that is made for the task; `keep`: its data is kept when the task is over.

    `id` ("vol-0123456789abcdef0") is unique among all hosts; `file_system` is xfs, ext4 or ext3.
    """

    id: str
    size_gib: int
    file_system: str = "xfs"
    keep: bool = False


VolumeSource = HostPath | TaskVolume | SharedVolume | NetworkFileSystem | ManagedVolume


class Volume(Struct, frozen=True):
    """A volume of the task, by the name by which its containers mount it."""

    name: str
    source: VolumeSource


class Mount(Struct, frozen=True):
    """A volume of the task at a path of a container."""

    volume: str
    path: str
    read_only: bool = False


class VolumesFrom(Struct, frozen=True):
    """All mounts of another container of the task."""

    container: str
    read_only: bool = False


class EcrAuth(Struct, frozen=True, tag="ecr"):
    """The image is in the registry of the control plane, under the name that ECR gives it."""

    registry_id: str
    use_execution_role: bool = False


class AsmAuth(Struct, frozen=True, tag="asm"):
    """The image's registry takes the user and password that are in a secret, named by its ARN or name."""

    credentials_parameter: str


class LogConfiguration(Struct, frozen=True):
    """A log driver of the engine; `options` as ECS writes them, until the agent adds what only it knows."""

    driver: str
    options: dict[str, str] = {}


class Firelens(Struct, frozen=True):
    """Makes a container the task's log router: `type` is fluentd or fluentbit."""

    type: str
    options: dict[str, str] = {}


class Eni(Struct, frozen=True):
    """The elastic network interface of a task: one address out of a subnet.

    `gateway_cidr` is the subnet's gateway with its prefix length, as ACS carries it: "172.31.0.1/20".
    """

    id: str
    attachment_arn: str
    mac_address: str
    ipv4_address: str
    gateway_cidr: str
    dns_servers: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    private_dns_name: str = ""


class ContainerSpec(Struct, frozen=True):
    """One container of a task. `None` means: as the image says, or no limit."""

    name: str
    image: str
    registry_auth: EcrAuth | AsmAuth | None = None
    essential: bool = True
    restart_policy: RestartPolicy | None = None
    arn: str = ""
    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: dict[str, str] = {}
    environment_files: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    working_directory: str | None = None
    user: str | None = None
    hostname: str | None = None
    cpu_shares: int = 2
    memory: int | None = None
    memory_reservation: int | None = None
    memory_swap: int | None = None
    memory_swappiness: int | None = None
    depends_on: tuple[Dependency, ...] = ()
    health_check: HealthCheck | None = None
    start_timeout: float | None = None
    stop_timeout: float = 30
    network_disabled: bool = False
    devices: tuple[Device, ...] = ()
    mounts: tuple[Mount, ...] = ()
    volumes_from: tuple[VolumesFrom, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    labels: dict[str, str] = {}
    ulimits: tuple[Ulimit, ...] = ()
    read_only_root: bool = False
    privileged: bool = False
    init_process: bool = False
    interactive: bool = False
    pseudo_terminal: bool = False
    shm_size: int | None = None
    tmpfs: tuple[Tmpfs, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    sysctls: dict[str, str] = {}
    dns_servers: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    extra_hosts: dict[str, str] = {}
    security_options: tuple[str, ...] = ()
    logs: LogConfiguration | None = None
    firelens: Firelens | None = None
    host_binds: tuple[str, ...] = ()


class TaskSpec(Struct, frozen=True):
    """One task of this host. `cpu` is in vCPU (0.25), `memory_mib` in MiB, `storage_gib` in GiB; `None`: no limit.

    The credentials' ids say under which path the endpoint has those of its roles; they themselves are elsewhere.
    """

    arn: str
    cluster: str
    family: str
    version: str
    containers: tuple[ContainerSpec, ...]
    network_mode: str = "awsvpc"
    pid_mode: str | None = None
    ipc_mode: str | None = None
    eni: Eni | None = None
    volumes: tuple[Volume, ...] = ()
    cpu: float | None = None
    memory_mib: int | None = None
    storage_gib: int | None = None
    launch_type: str = "FARGATE"
    service_name: str | None = None
    group: str | None = None
    availability_zone: str = ""
    vpc_id: str = ""
    fault_injection: bool = False
    task_credentials_id: str | None = None
    execution_credentials_id: str | None = None

    @property
    def shares_namespaces(self) -> bool:
        """Whether the task's containers are to share a namespace that some process of the task must hold."""
        return self.pid_mode == "task" or self.ipc_mode == "task"

    @property
    def has_own_volumes(self) -> bool:
        """Whether the engine has, or will have, volumes that are the task's alone."""
        own = TaskVolume | NetworkFileSystem | ManagedVolume
        return any(isinstance(volume.source, own) for volume in self.volumes)

    @property
    def managed_volumes(self) -> list[ManagedVolume]:
        """The disks that are to be made for the task."""
        return [volume.source for volume in self.volumes if isinstance(volume.source, ManagedVolume)]

    @property
    def task_id(self) -> str:
        """The 32 hexadecimal digits that end the ARN."""
        return self.arn.rsplit("/", 1)[-1]

    def volume(self, name: str) -> Volume:
        """Find a volume by its name; KeyError if the task has none of it."""
        for volume in self.volumes:
            if volume.name == name:
                return volume
        raise KeyError(name)

    def container(self, name: str) -> ContainerSpec:
        """Find a container by its name; KeyError if the task has none of it."""
        for container in self.containers:
            if container.name == name:
                return container
        raise KeyError(name)
