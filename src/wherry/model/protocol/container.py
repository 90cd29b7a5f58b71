"""Containers in the payload of ACS: the public shapes that the stock agent reads as well."""

from __future__ import annotations

from wherry.model.base import Value
from wherry.model.protocol.members import Natural
from wherry.model.protocol.volume import PayloadMountPoint, PayloadVolumeFrom


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
