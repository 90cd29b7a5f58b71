"""From the payload of ACS to what this host understands: strict, and never a crash. Pure.

Docker's own options come as JSON texts in the shape of the Engine API. An option that is not honoured here is refused
by name; a null says nothing. A task that cannot be understood is taken on all the same, as one that has failed: so its
failure is reported, and its interface given back, like any other's.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from wherry.agent import demands, volumes
from wherry.agent.dependencies import unresolvable
from wherry.agent.firelens import config
from wherry.agent.memory import Assignment, Fault
from wherry.agent.spec import (
    AsmAuth,
    Condition,
    ContainerSpec,
    Dependency,
    Device,
    EcrAuth,
    Eni,
    Firelens,
    HealthCheck,
    LogConfiguration,
    PortMapping,
    RestartPolicy,
    Secret,
    SecretTarget,
    TaskSpec,
    Tmpfs,
    Ulimit,
)
from wherry.model import secret_reference
from wherry.model.host_rules import NOTHING, HostRules
from wherry.model.protocol.container import (
    PayloadContainer,
    PayloadEnvironmentFile,
    PayloadFirelens,
    PayloadRestartPolicy,
    PayloadSecret,
    RegistryAuthentication,
)
from wherry.model.protocol.members import Long
from wherry.model.protocol.task import PayloadEni, PayloadTask, RoleCredentials
from wherry.model.task import DesiredStatus

_MIB = 1024 * 1024
_NANOSECONDS = 1_000_000_000
_SIZE = re.compile(r"size=([0-9]{1,10})m")
_TASK_ARN = re.compile(r"arn:[a-z-]+:ecs:[a-z0-9-]*:[0-9]*:task/(?:[A-Za-z0-9_-]+/)?[A-Za-z0-9-]+")
_OBJECT_ARN = re.compile(r"arn:aws[a-z-]*:s3:::[^/\x00]+/[^\x00]+")
_CONTAINER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)
_MOST_CPU, _MOST_MEMORY_MIB = 100_000, 2**40

T = TypeVar("T")


class MalformedTaskError(ValueError):
    """A part of a payload that cannot be understood; the text names it."""


class _Docker(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """Base of Docker's structs: null and absent are the same, an unknown member is an error."""


class _Healthcheck(_Docker, frozen=True):
    test: Annotated[tuple[str, ...], Meta(min_length=1)]
    interval: Long = 30 * _NANOSECONDS
    timeout: Long = 5 * _NANOSECONDS
    retries: Long = 3
    start_period: Long = 0


class _Config(_Docker, frozen=True):
    user: str | None = None
    working_dir: str | None = None
    hostname: str | None = None
    labels: dict[str, str] | None = None
    open_stdin: bool | None = None
    tty: bool | None = None
    network_disabled: bool | None = None
    healthcheck: _Healthcheck | None = None


class _Ulimit(_Docker, frozen=True):
    name: str
    soft: Long
    hard: Long


class _LogConfig(_Docker, frozen=True):
    type: str
    config: dict[str, str] | None = None


class _Device(_Docker, frozen=True):
    path_on_host: str
    path_in_container: str
    cgroup_permissions: str = "rwm"


class _HostConfig(_Docker, frozen=True):
    memory_reservation: Long | None = None
    memory_swap: Long | None = None
    memory_swappiness: Long | None = None
    privileged: bool | None = None
    readonly_rootfs: bool | None = None
    init: bool | None = None
    shm_size: Long | None = None
    dns: tuple[str, ...] | None = None
    dns_search: tuple[str, ...] | None = None
    extra_hosts: tuple[str, ...] | None = None
    security_opt: tuple[str, ...] | None = None
    ulimits: tuple[_Ulimit, ...] | None = None
    sysctls: dict[str, str] | None = None
    cap_add: tuple[str, ...] | None = None
    cap_drop: tuple[str, ...] | None = None
    devices: tuple[_Device, ...] | None = None
    tmpfs: dict[str, str] | None = None
    log_config: _LogConfig | None = None


class _Overrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A container's overrides, which the stock agent applies itself; the rest is merged by the control plane."""

    command: tuple[str, ...] | None = None


def take_on(task: PayloadTask, *, stop_timeout: float, host_rules: HostRules = NOTHING) -> Assignment:
    """Make an assignment of a task that is new here; `stop_timeout` in seconds holds where a container names none.

    One that cannot be understood, whose dependencies cannot be resolved, or which asks for what `host_rules` do not
    allow, has a fault from the beginning.
    """
    desired = desired_status(task)
    try:
        spec = task_spec(task, stop_timeout=stop_timeout)
    except MalformedTaskError as error:
        fault = Fault(name="UnrecognizedTaskError", message=f"Error loading task - {error}")
        return Assignment(spec=_frame(task), desired=DesiredStatus.STOPPED, fault=fault)
    refusal = None if task.started else demands.refused(spec, host_rules)
    return Assignment(spec=spec, desired=desired, fault=refusal or unresolvable(spec), adopted=task.started)


def names_a_task(arn: str) -> bool:
    """Say whether this is the ARN of a task: its last part names things on this host, and must be fit for that."""
    return _TASK_ARN.fullmatch(arn) is not None


def desired_status(task: PayloadTask) -> DesiredStatus:
    """Read what is wanted: whatever is not RUNNING is to stop."""
    return DesiredStatus.RUNNING if task.desired_status == DesiredStatus.RUNNING else DesiredStatus.STOPPED


def task_spec(task: PayloadTask, *, stop_timeout: float) -> TaskSpec:
    """Understand a task; raises `MalformedTaskError`."""
    if task.desired_status not in DesiredStatus.__members__:
        raise MalformedTaskError(f"desiredStatus {task.desired_status!r} is not known")
    if len(task.elastic_network_interfaces) > 1:
        raise MalformedTaskError("a task has one network interface")
    names = [container.name for container in task.containers]
    if not names or len(set(names)) != len(names):
        raise MalformedTaskError("a task has containers, each with a name of its own")
    if unfit := [name for name in names if _CONTAINER_NAME.fullmatch(name) is None]:
        raise MalformedTaskError(f"{unfit[0]!r} is not the name of a container")
    if not (0 <= (task.cpu or 0) <= _MOST_CPU and 0 <= (task.memory or 0) <= _MOST_MEMORY_MIB):
        raise MalformedTaskError(f"no host has cpu {task.cpu} or memory {task.memory}")
    for interface in task.elastic_network_interfaces:
        _check_eni(_eni(interface))
    containers = tuple(_container(container, stop_timeout=stop_timeout) for container in task.containers)
    if not any(container.essential for container in containers):
        raise MalformedTaskError("at least one container of a task is essential")
    try:
        return volumes.furnished(msgspec.structs.replace(_frame(task), containers=_routed(containers)), task)
    except ValueError as error:
        raise MalformedTaskError(str(error)) from error


def _routed(containers: tuple[ContainerSpec, ...]) -> tuple[ContainerSpec, ...]:
    """Have the log router start before the containers that log to it, and so stop after them."""
    router = next((container.name for container in containers if container.firelens is not None), None)
    first = Dependency(container=router or "", condition=Condition.START)

    def waits(container: ContainerSpec) -> bool:
        return (
            router not in (None, container.name)
            and container.logs is not None
            and container.logs.driver == config.DRIVER
            and all(one.container != router for one in container.depends_on)
        )

    return tuple(
        msgspec.structs.replace(container, depends_on=(*container.depends_on, first)) if waits(container) else container
        for container in containers
    )


def _frame(task: PayloadTask) -> TaskSpec:
    """Read everything of a task but its containers: nothing of that can be malformed."""
    interfaces = task.elastic_network_interfaces
    return TaskSpec(
        arn=task.arn,
        cluster=task.task_cluster_arn,
        family=task.family,
        version=task.version,
        containers=(),
        network_mode=task.network_mode or "bridge",
        pid_mode=task.pid_mode,
        ipc_mode=task.ipc_mode,
        eni=_eni(interfaces[0]) if interfaces else None,
        cpu=task.cpu or None,
        memory_mib=task.memory or None,
        storage_gib=task.ephemeral_storage_gib,
        launch_type=task.launch_type or "EC2",
        service_name=task.service_name,
        group=task.group,
        availability_zone=task.availability_zone,
        vpc_id=task.vpc_id,
        fault_injection=task.enable_fault_injection,
        task_credentials_id=_credentials_id(task.role_credentials),
        execution_credentials_id=_credentials_id(task.execution_role_credentials),
    )


def _credentials_id(credentials: RoleCredentials | None) -> str | None:
    return None if credentials is None else credentials.credentials_id


def _eni(eni: PayloadEni) -> Eni:
    primary = [address.private_address for address in eni.ipv4_addresses if address.primary]
    return Eni(
        id=eni.ec2_id,
        attachment_arn=eni.attachment_arn,
        mac_address=eni.mac_address,
        ipv4_address=primary[0] if primary else "",
        gateway_cidr=eni.subnet_gateway_ipv4_address,
        dns_servers=eni.domain_name_servers,
        dns_search=eni.domain_name,
        private_dns_name=eni.private_dns_name,
    )


def _check_eni(eni: Eni) -> None:
    try:
        IPv4Address(eni.ipv4_address)
        IPv4Interface(eni.gateway_cidr)
    except ValueError as error:
        raise MalformedTaskError(f"network interface {eni.id}: {error}") from error
    if _MAC.fullmatch(eni.mac_address) is None:
        raise MalformedTaskError(f"network interface {eni.id}: {eni.mac_address!r} is not a MAC address")


def _container(container: PayloadContainer, *, stop_timeout: float) -> ContainerSpec:
    where = f"container {container.name}"
    config = _docker(container.docker_config.config, _Config, f"{where}: dockerConfig.config")
    host = _docker(container.docker_config.host_config, _HostConfig, f"{where}: dockerConfig.hostConfig")
    overrides = _docker(container.overrides or "{}", _Overrides, f"{where}: overrides")
    own_check = config.healthcheck if container.health_check_type == "docker" else None
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
        depends_on=tuple(
            Dependency(container=entry.container_name, condition=_condition(entry.condition, where))
            for entry in container.depends_on
        ),
        health_check=_health_check(own_check) if own_check is not None and own_check.test[0] != "NONE" else None,
        start_timeout=container.start_timeout,
        stop_timeout=container.stop_timeout if container.stop_timeout is not None else stop_timeout,
        ports=tuple(
            PortMapping(
                container_port=port.container_port,
                host_port=port.host_port,
                protocol=port.protocol,
                container_port_range=port.container_port_range,
            )
            for port in container.port_mappings
        ),
        labels=config.labels or {},
        ulimits=tuple(Ulimit(name=limit.name, soft=limit.soft, hard=limit.hard) for limit in host.ulimits or ()),
        read_only_root=bool(host.readonly_rootfs),
        privileged=bool(host.privileged),
        init_process=bool(host.init),
        interactive=bool(config.open_stdin),
        pseudo_terminal=bool(config.tty),
        shm_size=host.shm_size,
        tmpfs=tuple(_tmpfs(path, options, where) for path, options in (host.tmpfs or {}).items()),
        cap_add=host.cap_add or (),
        cap_drop=host.cap_drop or (),
        network_disabled=bool(config.network_disabled),
        devices=tuple(
            Device(host_path=d.path_on_host, container_path=d.path_in_container, permissions=d.cgroup_permissions)
            for d in host.devices or ()
        ),
        restart_policy=_restart_policy(container.restart_policy),
        sysctls=host.sysctls or {},
        dns_servers=host.dns or (),
        dns_search=host.dns_search or (),
        extra_hosts=dict(_extra_host(entry, where) for entry in host.extra_hosts or ()),
        security_options=host.security_opt or (),
        logs=_logs(host.log_config) if host.log_config is not None else None,
    )


def _docker(text: str, shape: type[T], where: str) -> T:
    """Decode one of the JSON texts; members that are null say nothing and are dropped first."""
    try:
        members = msgspec.json.decode(text, type=dict[str, Any])
        return msgspec.convert({name: value for name, value in members.items() if value is not None}, shape)
    except msgspec.ValidationError as error:
        what = str(error).replace("Object contains unknown field", "this agent does not honour")
        raise MalformedTaskError(f"{where}: {what}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedTaskError(f"{where} is not JSON: {error}") from error


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


def _condition(text: str, where: str) -> Condition:
    if text not in Condition.__members__ or text == Condition.CREATED:
        raise MalformedTaskError(f"{where}: dependsOn condition {text!r} is not known")
    return Condition(text)


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


def _logs(config: _LogConfig) -> LogConfiguration:
    return LogConfiguration(driver=config.type, options=config.config or {})


def _health_check(check: _Healthcheck) -> HealthCheck:
    return HealthCheck(
        command=check.test,
        interval=check.interval / _NANOSECONDS,
        timeout=check.timeout / _NANOSECONDS,
        retries=check.retries,
        start_period=check.start_period / _NANOSECONDS,
    )


def _tmpfs(path: str, text: str, where: str) -> Tmpfs:
    """Read "size=64m,noexec" as Docker writes it."""
    options = [option for option in text.split(",") if option]
    sizes = [_SIZE.fullmatch(option) for option in options if option.startswith("size=")]
    if len(sizes) != 1 or sizes[0] is None:
        raise MalformedTaskError(f"{where}: tmpfs {path} has no size in MiB: {text!r}")
    return Tmpfs(
        container_path=path,
        size_mib=int(sizes[0][1]),
        options=tuple(option for option in options if not option.startswith("size=")),
    )


def _extra_host(entry: str, where: str) -> tuple[str, str]:
    name, separator, address = entry.partition(":")
    if not separator or not name or not address:
        raise MalformedTaskError(f"{where}: extraHosts entry {entry!r} is not NAME:ADDRESS")
    return name, address
