"""From the containers of a payload to what this host understands. Pure."""

from __future__ import annotations

import re

import msgspec

from wherry.agent.assignments import docker_options
from wherry.agent.assignments.docker_options import Config, HostConfig
from wherry.agent.assignments.malformed import MalformedTaskError
from wherry.agent.firelens import config as firelens
from wherry.agent.spec import (
    AsmAuth,
    Condition,
    ContainerSpec,
    Dependency,
    EcrAuth,
    Firelens,
    PortMapping,
    RestartPolicy,
    Secret,
    SecretTarget,
)
from wherry.model import secret_reference
from wherry.model.protocol.container import (
    PayloadContainer,
    PayloadDependency,
    PayloadEnvironmentFile,
    PayloadFirelens,
    PayloadPort,
    PayloadRestartPolicy,
    PayloadSecret,
    RegistryAuthentication,
)

_MIB = 1024 * 1024
_OBJECT_ARN = re.compile(r"arn:aws[a-z-]*:s3:::[^/\x00]+/[^\x00]+")


class _Overrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A container's overrides, which the stock agent applies itself; the rest is merged by the control plane."""

    command: tuple[str, ...] | None = None


def understood(container: PayloadContainer, *, stop_timeout: float) -> ContainerSpec:
    """Understand a container; raises `MalformedTaskError`."""
    where = f"container {container.name}"
    config = docker_options.decoded(container.docker_config.config, Config, f"{where}: dockerConfig.config")
    host = docker_options.decoded(container.docker_config.host_config, HostConfig, f"{where}: dockerConfig.hostConfig")
    overrides = docker_options.decoded(container.overrides or "{}", _Overrides, f"{where}: overrides")
    return ContainerSpec(
        name=container.name,
        image=container.image,
        registry_auth=_registry_auth(container.registry_authentication, where),
        essential=container.essential,
        arn=container.container_arn,
        entry_point=container.entry_point,
        command=overrides.command if overrides.command is not None else container.command,
        environment=container.environment,
        environment_files=tuple(_environment_file(file, where) for file in container.environment_files),
        secrets=tuple(_secret(secret, where) for secret in container.secrets),
        firelens=_firelens(container.firelens_configuration, where),
        working_directory=config.working_dir,
        user=config.user,
        hostname=config.hostname,
        cpu_shares=max(2, container.cpu),
        memory=container.memory * _MIB or None,
        memory_reservation=host.memory_reservation,
        memory_swap=host.memory_swap,
        memory_swappiness=host.memory_swappiness,
        depends_on=tuple(_dependency(entry, where) for entry in container.depends_on),
        health_check=docker_options.health_check(config) if container.health_check_type == "docker" else None,
        start_timeout=container.start_timeout,
        stop_timeout=container.stop_timeout if container.stop_timeout is not None else stop_timeout,
        ports=tuple(_port(port) for port in container.port_mappings),
        labels=config.labels or {},
        ulimits=docker_options.ulimits(host),
        read_only_root=bool(host.readonly_rootfs),
        privileged=bool(host.privileged),
        init_process=bool(host.init),
        interactive=bool(config.open_stdin),
        pseudo_terminal=bool(config.tty),
        shm_size=host.shm_size,
        tmpfs=docker_options.tmpfs(host, where),
        cap_add=host.cap_add or (),
        cap_drop=host.cap_drop or (),
        network_disabled=bool(config.network_disabled),
        devices=docker_options.devices(host),
        restart_policy=_restart_policy(container.restart_policy),
        sysctls=host.sysctls or {},
        dns_servers=host.dns or (),
        dns_search=host.dns_search or (),
        extra_hosts=docker_options.extra_hosts(host, where),
        security_options=host.security_opt or (),
        logs=docker_options.logs(host),
    )


def routed(containers: tuple[ContainerSpec, ...]) -> tuple[ContainerSpec, ...]:
    """Have the log router start before the containers that log to it, and so stop after them."""
    router = next((container.name for container in containers if container.firelens is not None), None)
    first = Dependency(container=router or "", condition=Condition.START)

    def waits(container: ContainerSpec) -> bool:
        return (
            router not in (None, container.name)
            and container.logs is not None
            and container.logs.driver == firelens.DRIVER
            and all(one.container != router for one in container.depends_on)
        )

    return tuple(
        msgspec.structs.replace(container, depends_on=(*container.depends_on, first)) if waits(container) else container
        for container in containers
    )


def _environment_file(file: PayloadEnvironmentFile, where: str) -> str:
    if file.type != "s3" or _OBJECT_ARN.fullmatch(file.value) is None:
        raise MalformedTaskError(f"{where}: environment file {file.value!r} is not the ARN of an object in S3")
    return file.value


def _restart_policy(policy: PayloadRestartPolicy | None) -> RestartPolicy | None:
    if policy is None or not policy.enabled:
        return None
    return RestartPolicy(
        ignored_exit_codes=policy.ignored_exit_codes, attempt_period=float(policy.restart_attempt_period)
    )


def _port(port: PayloadPort) -> PortMapping:
    return PortMapping(
        container_port=port.container_port,
        host_port=port.host_port,
        protocol=port.protocol,
        container_port_range=port.container_port_range,
    )


def _dependency(entry: PayloadDependency, where: str) -> Dependency:
    if entry.condition not in Condition.__members__ or entry.condition == Condition.CREATED:
        raise MalformedTaskError(f"{where}: dependsOn condition {entry.condition!r} is not known")
    return Dependency(container=entry.container_name, condition=Condition(entry.condition))


def _firelens(router: PayloadFirelens | None, where: str) -> Firelens | None:
    if router is None:
        return None
    if router.type not in ("fluentd", "fluentbit"):
        raise MalformedTaskError(f"{where}: firelensConfiguration {router.type!r} is not known")
    return Firelens(type=router.type, options=router.options)


def _secret(secret: PayloadSecret, where: str) -> Secret:
    if secret.type != "ENVIRONMENT_VARIABLE" or secret.target not in SecretTarget.__members__:
        raise MalformedTaskError(f"{where}: secret {secret.name}: {secret.type} for {secret.target} is not known")
    try:
        secret_reference.parse(secret.value_from)
    except ValueError as error:
        raise MalformedTaskError(f"{where}: secret {secret.name}: {error}") from error
    return Secret(name=secret.name, value_from=secret.value_from, target=SecretTarget(secret.target))


def _registry_auth(auth: RegistryAuthentication | None, where: str) -> EcrAuth | AsmAuth | None:
    if auth is None:
        return None
    if auth.type == "ecr" and (ecr := auth.ecr_auth_data) is not None:
        return EcrAuth(registry_id=ecr.registry_id, use_execution_role=ecr.use_execution_role)
    if auth.type == "asm" and (asm := auth.asm_auth_data) is not None:
        return AsmAuth(credentials_parameter=asm.credentials_parameter)
    raise MalformedTaskError(f"{where}: registryAuthentication of type {auth.type!r} is not known")
