"""The messages between control plane and agent: the public wire model of ACS and TCS (reference: §15 of the protocol).

Every frame is a JSON text `{"type": <name of the shape>, "message": {...}}`. Members that a side does not know are
ignored; what our own data plane needs beyond the stock messages are members that the stock agent ignores. A member
without a default is always on the wire: the stock agent dereferences it without asking.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from wherry.model.base import Value
from wherry.model.payload_volume import PayloadMountPoint, PayloadVolume, PayloadVolumeFrom

Natural = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Long = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""What AWS calls an integer (of these, none is negative) and a long: a frame with more than that is malformed."""
Key = Annotated[str, Meta(pattern=r"^[^\x00]*\Z")]
"""What is looked up by: PostgreSQL takes no NUL."""


class DockerConfig(Value, frozen=True):
    """Docker's own container options: `config` and `host_config` are JSON texts in the shape of the Engine API."""

    version: str
    config: str
    host_config: str


class PayloadDependency(Value, frozen=True):
    """An entry of `dependsOn`."""

    container_name: str
    condition: str


class PayloadPort(Value, frozen=True):
    """An entry of `portMappings`."""

    container_port: Natural
    host_port: Natural
    protocol: str
    container_port_range: str = ""


class PayloadSecret(Value, frozen=True):
    """A value that the agent fetches by the execution role: into the environment, or into the log driver's options.

    `provider` is ssm or asm, `target` CONTAINER or LOG_DRIVER.
    """

    name: str
    value_from: str
    provider: str
    region: str = ""
    type: str = "ENVIRONMENT_VARIABLE"
    target: str = "CONTAINER"


class PayloadFirelens(Value, frozen=True):
    """Makes the container the task's log router: `type` is fluentd or fluentbit."""

    type: str
    options: dict[str, str] = {}


class PayloadEnvironmentFile(Value, frozen=True):
    """A file of variables: `value` is the ARN of an object in S3."""

    value: str
    type: str = "s3"


class EcrAuthData(Value, frozen=True):
    """The image is in the registry of an account, to which a token of GetAuthorizationToken gives access."""

    region: str
    registry_id: str
    use_execution_role: bool = False


class AsmAuthData(Value, frozen=True):
    """The secret with the user and password of a private registry, by its ARN or its name."""

    credentials_parameter: str
    region: str


class RegistryAuthentication(Value, frozen=True):
    """How the agent gets at an image: `type` is ecr or asm."""

    type: str
    ecr_auth_data: EcrAuthData | None = None
    asm_auth_data: AsmAuthData | None = None


class PayloadRestartPolicy(Value, frozen=True):
    """A container's `restartPolicy`; `restart_attempt_period` in seconds."""

    enabled: bool
    ignored_exit_codes: tuple[Natural, ...] = ()
    restart_attempt_period: Natural = 300


class PayloadContainer(Value, frozen=True):
    """A container of a task. `cpu` in CPU units, `memory` in MiB (0: no limit), timeouts in seconds.

    `health_check_type` "docker" says that `docker_config` carries a health check that counts.
    """

    name: str
    image: str
    essential: bool
    cpu: Natural
    memory: Natural
    overrides: str
    docker_config: DockerConfig
    container_arn: str = ""
    command: tuple[str, ...] | None = None
    entry_point: tuple[str, ...] | None = None
    environment: dict[str, str] = {}
    secrets: tuple[PayloadSecret, ...] = ()
    firelens_configuration: PayloadFirelens | None = None
    registry_authentication: RegistryAuthentication | None = None
    port_mappings: tuple[PayloadPort, ...] = ()
    environment_files: tuple[PayloadEnvironmentFile, ...] = ()
    restart_policy: PayloadRestartPolicy | None = None
    mount_points: tuple[PayloadMountPoint, ...] = ()
    volumes_from: tuple[PayloadVolumeFrom, ...] = ()
    depends_on: tuple[PayloadDependency, ...] = ()
    start_timeout: Natural | None = None
    stop_timeout: Natural | None = None
    health_check_type: str | None = None


class Ipv4Assignment(Value, frozen=True):
    """An address of an interface."""

    primary: bool
    private_address: str


class PayloadEni(Value, frozen=True):
    """The elastic network interface of a task; `subnet_gateway_ipv4_address` carries the prefix: "172.31.0.1/20"."""

    attachment_arn: str
    ec2_id: str
    mac_address: str
    ipv4_addresses: tuple[Ipv4Assignment, ...]
    subnet_gateway_ipv4_address: str
    private_dns_name: str = ""
    domain_name: tuple[str, ...] = ()
    domain_name_servers: tuple[str, ...] = ()


class RoleCredentials(Value, frozen=True):
    """Temporary credentials of a role of a task; `expiration` as AWS writes it, "2026-11-26T12:00:00Z".

    `role_type` is TaskApplication (the task role) or TaskExecution. A task's credentials of one type keep their
    `credentials_id` when they are refreshed. No text shows what is secret in them.
    """

    credentials_id: str
    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: str
    role_arn: str
    role_type: str = ""

    def __repr__(self) -> str:
        return f"RoleCredentials({self.role_type} {self.role_arn})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("role_type", self.role_type), ("role_arn", self.role_arn)]


class PayloadTask(Value, frozen=True):
    """A task for an instance. `cpu` in vCPU, `memory` in MiB; absent when the task has no limit of its own.

    Wherry's own, which stock agents pass over: `started` tells that the task has been RUNNING, and so must not be
    begun; `availability_zone` and `vpc_id` are for the task's metadata.
    """

    arn: str
    desired_status: str
    overrides: str
    family: str = ""
    version: str = ""
    task_cluster_arn: str = ""
    containers: tuple[PayloadContainer, ...] = ()
    elastic_network_interfaces: tuple[PayloadEni, ...] = ()
    volumes: tuple[PayloadVolume, ...] = ()
    ephemeral_storage_gib: Natural | None = None
    pid_mode: str | None = None
    ipc_mode: str | None = None
    cpu: float | None = None
    memory: Natural | None = None
    network_mode: str | None = None
    launch_type: str | None = None
    service_name: str | None = None
    group: str | None = None
    role_credentials: RoleCredentials | None = None
    execution_role_credentials: RoleCredentials | None = None
    enable_fault_injection: bool = False
    started: bool = False
    availability_zone: str = ""
    vpc_id: str = ""


class PayloadMessage(Value, frozen=True):
    """Tasks to run and to stop."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    tasks: tuple[PayloadTask, ...]
    generated_at: int = 0
    seq_num: int = 1


class AckRequest(Value, frozen=True):
    """The agent has written down what the message asked."""

    message_id: str
    cluster: str = ""
    container_instance: str = ""


class NackRequest(Value, frozen=True):
    """The agent cannot carry out the message."""

    message_id: str
    reason: str
    cluster: str = ""
    container_instance: str = ""


class IAMRoleCredentialsMessage(Value, frozen=True):
    """Fresh credentials for a task that the agent has, before the old ones expire."""

    message_id: str
    task_arn: str
    role_type: str
    role_credentials: RoleCredentials


class IAMRoleCredentialsAckRequest(Value, frozen=True):
    """The agent has taken these credentials, whether they came with a task or by themselves."""

    message_id: str
    credentials_id: str
    expiration: str


class HeartbeatMessage(Value, frozen=True):
    """The control plane lives."""

    message_id: str
    healthy: bool


class HeartbeatAckRequest(Value, frozen=True):
    """So does the agent."""

    message_id: str


class ManifestTask(Value, frozen=True):
    """A task that belongs on the instance."""

    task_arn: str
    desired_status: str
    task_cluster_arn: str = ""


class TaskManifestMessage(Value, frozen=True):
    """All tasks of the instance; void unless `timeline` is higher than any seen before."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    tasks: tuple[ManifestTask, ...]
    timeline: Long
    generated_at: int = 0


class StopCandidate(Value, frozen=True):
    """A task that the agent has and the manifest lacks."""

    task_arn: Key
    task_cluster_arn: str = ""


class TaskStopVerificationMessage(Value, frozen=True):
    """The agent asks before it stops what the manifest lacks."""

    message_id: str
    stop_candidates: tuple[StopCandidate, ...]


class TaskStopVerificationAck(Value, frozen=True):
    """Of the candidates, these may be stopped."""

    message_id: str
    stop_tasks: tuple[StopCandidate, ...]
    generated_at: int = 0


class ExecuteCommandMessage(Value, frozen=True):
    """A command to execute in a container. Wherry's own: stock agents pass over it.

    The agent opens the data channel of the session with the token. `interactive` asks for a terminal.
    """

    message_id: str
    session_id: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,96}\Z")]
    token_value: str
    task_arn: str
    container_name: str
    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    interactive: bool = True

    def __repr__(self) -> str:
        """Without the token and the command, in which people put secrets."""
        return f"ExecuteCommandMessage({self.session_id}, {self.task_arn}, {self.container_name})"


class CloseMessage(Value, frozen=True):
    """The control plane is about to close the connection."""

    message: str = ""


class ContainerHealth(Value, frozen=True):
    """Health of one container; `status_since` in epoch seconds."""

    container_name: str
    health_status: str
    status_since: float | None = None


class TaskHealth(Value, frozen=True):
    """Health of the containers of one task that have a health check."""

    task_arn: Key
    containers: tuple[ContainerHealth, ...]
    cluster_arn: str = ""
    task_definition_family: str = ""
    task_definition_version: str = ""


class TelemetryMetadata(Value, frozen=True):
    """Who publishes."""

    cluster: str = ""
    container_instance: str = ""
    message_id: str = ""
    idle: bool = False
    fin: bool = True


class PublishHealthRequest(Value, frozen=True):
    """Container health: this is the only way by which it reaches the control plane."""

    metadata: TelemetryMetadata
    tasks: tuple[TaskHealth, ...]
    timestamp: float = 0


class StatsSet(Value, frozen=True):
    """A summary of samples."""

    min: float
    max: float
    sample_count: int
    sum: float


class NetworkStatsSet(Value, frozen=True):
    """Bytes in the interval."""

    rx_bytes: StatsSet | None = None
    tx_bytes: StatsSet | None = None


class StorageStatsSet(Value, frozen=True):
    """Bytes in the interval."""

    read_size_bytes: StatsSet | None = None
    write_size_bytes: StatsSet | None = None


class ContainerMetric(Value, frozen=True):
    """One container: CPU in percent of a core, memory in MiB."""

    container_name: str
    cpu_stats_set: StatsSet | None = None
    memory_stats_set: StatsSet | None = None
    network_stats_set: NetworkStatsSet | None = None
    storage_stats_set: StorageStatsSet | None = None


class TaskMetric(Value, frozen=True):
    """The containers of one task."""

    task_arn: str
    container_metrics: tuple[ContainerMetric, ...]
    cluster_arn: str = ""
    task_definition_family: str = ""
    task_definition_version: str = ""


class PublishMetricsRequest(Value, frozen=True):
    """Statistics of up to ten tasks."""

    metadata: TelemetryMetadata
    task_metrics: tuple[TaskMetric, ...] = ()
    timestamp: float = 0


class AckPublishHealth(Value, frozen=True):
    """Health has been taken note of."""

    message: str = ""


class AckPublishMetric(Value, frozen=True):
    """Statistics have been taken note of."""

    message: str = ""


Message = (
    PayloadMessage
    | AckRequest
    | NackRequest
    | IAMRoleCredentialsMessage
    | IAMRoleCredentialsAckRequest
    | HeartbeatMessage
    | HeartbeatAckRequest
    | TaskManifestMessage
    | TaskStopVerificationMessage
    | TaskStopVerificationAck
    | ExecuteCommandMessage
    | CloseMessage
    | PublishHealthRequest
    | PublishMetricsRequest
    | AckPublishHealth
    | AckPublishMetric
)

_SHAPES: dict[str, type[Any]] = {shape.__name__: shape for shape in Message.__args__}


class ProtocolError(ValueError):
    """A frame that is not of the protocol; the text says why."""


def encode(message: Message) -> dict[str, Any]:
    """Wrap a message into its frame."""
    return {"type": type(message).__name__, "message": msgspec.to_builtins(message)}


def decode(frame: object) -> Message | None:
    """Read a frame; None for a type that this side does not know, which is then to be ignored."""
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise ProtocolError("a frame is an object with a type and a message")
    shape = _SHAPES.get(frame["type"])
    if shape is None:
        return None
    try:
        decoded: Message = msgspec.convert(frame.get("message"), shape)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"{frame['type']}: {error}") from None
    return decoded
