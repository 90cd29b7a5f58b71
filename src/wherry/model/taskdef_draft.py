"""What a good RegisterTaskDefinition request becomes: the revision as it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from wherry.model import fargate_rules, secret_reference
from wherry.model.arn import Scope
from wherry.model.base import Tag
from wherry.model.secret_reference import SecretReference
from wherry.model.sizes import cpu_units, memory_mib
from wherry.model.taskdef import (
    ContainerDefinition,
    EphemeralStorage,
    FirelensConfiguration,
    LogConfiguration,
    PortMapping,
    RuntimePlatform,
    Secret,
    TaskDefinition,
)
from wherry.model.taskdef_rules import network_mode
from wherry.model.volume import Volume, normal

Member = Mapping[str, Any]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A revision that has no number yet."""

    family: str
    container_definitions: tuple[ContainerDefinition, ...]
    task_role_arn: str | None
    execution_role_arn: str | None
    network_mode: str | None
    pid_mode: str | None
    ipc_mode: str | None
    requires_compatibilities: tuple[str, ...]
    compatibilities: tuple[str, ...]
    requires_attributes: tuple[str, ...]
    cpu: str | None
    memory: str | None
    volumes: tuple[Volume, ...]
    ephemeral_storage: EphemeralStorage | None
    runtime_platform: RuntimePlatform | None
    enable_fault_injection: bool | None
    tags: tuple[Tag, ...]

    def revision(self, number: int, *, scope: Scope, now: float, registered_by: str) -> TaskDefinition:
        """Make the revision of that `number`."""
        return TaskDefinition(
            task_definition_arn=scope.task_definition(self.family, number),
            revision=number,
            registered_at=now,
            registered_by=registered_by,
            **msgspec.structs.asdict(self),
        )


def draft(params: Member, tags: tuple[Tag, ...] = ()) -> Draft:
    """Normalise parameters that have passed `taskdef_rules.check`."""
    platform, storage = params.get("runtimePlatform"), params.get("ephemeralStorage")
    containers = tuple(_container(c, network_mode(params)) for c in params["containerDefinitions"])
    return Draft(
        family=params["family"],
        container_definitions=containers,
        task_role_arn=params.get("taskRoleArn") or None,
        execution_role_arn=params.get("executionRoleArn") or None,
        network_mode=params.get("networkMode"),
        pid_mode=params.get("pidMode") or None,
        ipc_mode=params.get("ipcMode") or None,
        requires_compatibilities=tuple(dict.fromkeys(params.get("requiresCompatibilities") or ())),
        compatibilities=tuple(_compatibilities(params)),
        requires_attributes=tuple(dict.fromkeys(_attributes(params, containers))),
        cpu=_digits(cpu_units(params.get("cpu") or "")),
        memory=_digits(memory_mib(params.get("memory") or "")),
        ephemeral_storage=None if not storage else msgspec.convert(storage, EphemeralStorage),
        volumes=tuple(normal(msgspec.convert(volume, Volume)) for volume in params.get("volumes") or ()),
        runtime_platform=None if not platform else msgspec.convert(platform, RuntimePlatform),
        enable_fault_injection=params.get("enableFaultInjection"),
        tags=tags,
    )


def _digits(number: int | None) -> str | None:
    return None if number is None else str(number)


def _container(raw: Member, mode: str) -> ContainerDefinition:
    container = msgspec.convert(raw, ContainerDefinition)
    if not container.port_mappings:
        return container
    ports = tuple(_port(port, mode) for port in container.port_mappings)
    return msgspec.structs.replace(container, port_mappings=ports)


def _port(port: PortMapping, mode: str) -> PortMapping:
    """Fill in the host port: the container's own where they share an address, else 0, which asks for any."""
    if port.container_port_range is not None:
        return port
    if port.host_port is None or mode in ("awsvpc", "host"):
        return msgspec.structs.replace(port, host_port=port.container_port if mode in ("awsvpc", "host") else 0)
    return port


def _compatibilities(params: Member) -> Iterator[str]:
    awsvpc = network_mode(params) == "awsvpc"
    if not awsvpc:
        yield "EXTERNAL"
    yield "EC2"
    # What requires Fargate has been checked for it.
    required = "FARGATE" in (params.get("requiresCompatibilities") or ())
    if required or (awsvpc and next(fargate_rules.problems(params), None) is None):
        yield "FARGATE"


_AGENT = "com.amazonaws.ecs.capability."


def _attributes(params: Member, containers: tuple[ContainerDefinition, ...]) -> Iterator[str]:
    """Name the attributes that an instance must have, by the features used (AWS does not publish its mapping)."""
    for container in containers:
        yield from _image_attributes(container, execution_role=params.get("executionRoleArn"))
        yield from _container_attributes(container)
    if params.get("taskRoleArn"):
        yield _AGENT + "task-iam-role"
    if params.get("enableFaultInjection"):
        yield "ecs.capability.fault-injection"
    for container in containers:
        if (logs := container.log_configuration) is not None:
            yield from _log_attributes(logs, execution_role=params.get("executionRoleArn"))
    for container in containers:
        if (router := container.firelens_configuration) is not None:
            yield from _firelens_attributes(router)
    yield from _volume_attributes(params.get("volumes") or ())
    if network_mode(params) == "awsvpc":
        yield _AGENT + "docker-remote-api.1.18"
        yield "ecs.capability.task-eni"
    elif params.get("cpu") or params.get("memory"):
        yield "ecs.capability.task-cpu-mem-limit"


def _volume_attributes(volumes: Iterable[Member]) -> Iterator[str]:
    for volume in volumes:
        if (docker := volume.get("dockerVolumeConfiguration")) is not None:
            yield f"{_AGENT}docker-volume-driver.{docker.get('driver') or 'local'}"
        if (efs := volume.get("efsVolumeConfiguration")) is not None:
            yield "ecs.capability.efsAuth" if efs.get("authorizationConfig") else "ecs.capability.efs"


def _log_attributes(logs: LogConfiguration, *, execution_role: str | None) -> Iterator[str]:
    yield f"{_AGENT}logging-driver.{logs.log_driver}"
    if logs.log_driver == "awslogs" and execution_role:
        yield "ecs.capability.execution-role-awslogs"
    for secret in logs.secret_options:
        yield f"ecs.capability.secrets.{_provider(secret)}.bootstrap.log-driver"


def _firelens_attributes(router: FirelensConfiguration) -> Iterator[str]:
    yield f"ecs.capability.firelens.{router.type}"
    if (file_type := router.options.get("config-file-type")) is not None:
        yield f"ecs.capability.firelens.options.config.{file_type}"


def _image_attributes(container: ContainerDefinition, *, execution_role: str | None) -> Iterator[str]:
    if container.image.partition("/")[0].partition(".")[2].startswith("dkr.ecr."):
        yield _AGENT + "ecr-auth"
        if execution_role:
            yield "ecs.capability.execution-role-ecr-pull"
    if container.repository_credentials is not None:
        yield "ecs.capability.private-registry-authentication.secretsmanager"


def _container_attributes(container: ContainerDefinition) -> Iterator[str]:
    if container.privileged:
        yield _AGENT + "privileged-container"
    if container.memory_reservation is not None:
        yield _AGENT + "docker-remote-api.1.21"
    for secret in container.secrets:
        yield f"ecs.capability.secrets.{_provider(secret)}.environment-variables"
    if container.docker_labels or container.ulimits:
        yield _AGENT + "docker-remote-api.1.18"
    if container.health_check is not None:
        yield "ecs.capability.container-health-check"
    if container.depends_on or container.start_timeout is not None or container.stop_timeout is not None:
        yield "ecs.capability.container-ordering"
    for option in container.docker_security_options:
        kind = option.partition(":")[0]
        if kind in ("apparmor", "label"):
            yield _AGENT + ("apparmor" if kind == "apparmor" else "selinux")


def _provider(secret: Secret) -> str:
    return "asm" if isinstance(secret_reference.parse(secret.value_from), SecretReference) else "ssm"
