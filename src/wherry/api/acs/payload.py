"""A task as its instance is told of it: pure translation of rows into the public ACS payload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from wherry.api.acs import volumes
from wherry.api.acs.log_config import log_config
from wherry.api.acs.registry_auth import registry_authentication
from wherry.api.ecs import roles
from wherry.model import secret_reference
from wherry.model.base import Value
from wherry.model.ecr.names import RegistryNames
from wherry.model.network import NetworkInterface, Subnet
from wherry.model.protocol.container import (
    DockerConfig,
    PayloadContainer,
    PayloadDependency,
    PayloadEnvironmentFile,
    PayloadFirelens,
    PayloadPort,
    PayloadRestartPolicy,
    PayloadSecret,
)
from wherry.model.protocol.task import Ipv4Assignment, PayloadEni, PayloadTask
from wherry.model.secret_reference import SecretReference
from wherry.model.task import Container, ContainerOverride, Task
from wherry.model.taskdef import (
    ContainerDefinition,
    Device,
    FirelensConfiguration,
    HealthCheck,
    LinuxParameters,
    RestartPolicy,
    Secret,
    TaskDefinition,
)

DOCKER_API = "1.41"
_NANOSECONDS = 1_000_000_000
_MIB = 1024 * 1024


class Terms(Value, frozen=True):
    """What holds for every task of a control plane.

    `stop_timeout` (seconds) and `log_mode` hold where a container names none, `endpoint_url` is what SDKs are to call.
    `registry` tells which images are in the registry of this control plane.
    """

    region: str
    stop_timeout: float
    log_mode: str = "non-blocking"
    endpoint_url: str | None = None
    registry: RegistryNames | None = None


def payload_task(
    task: Task,
    *,
    definition: TaskDefinition,
    interface: NetworkInterface | None,
    subnet: Subnet | None,
    terms: Terms,
) -> PayloadTask:
    """Translate a task that is to run or to stop."""
    interfaces = () if interface is None or subnet is None else (_interface(task, interface, subnet),)
    return PayloadTask(
        arn=task.task_arn,
        desired_status=task.desired_status.value,
        family=definition.family,
        version=str(definition.revision),
        task_cluster_arn=task.cluster_arn,
        containers=tuple(_container(container, definition, task, terms) for container in task.containers),
        elastic_network_interfaces=interfaces,
        volumes=tuple(volumes.payload_volume(volume) for volume in definition.volumes),
        attachments=() if task.volume is None else (volumes.payload_attachment(task, task.volume),),
        cpu=task.cpu / 1024 if task.cpu else None,
        memory=task.memory or None,
        network_mode=definition.network_mode,
        ephemeral_storage_gib=task.ephemeral_storage,
        pid_mode=definition.pid_mode,
        ipc_mode=definition.ipc_mode,
        launch_type=task.launch_type,
        service_name=task.service_arn.rsplit("/", 1)[-1] if task.service_arn else None,
        group=task.group,
        overrides=msgspec.json.encode(task.overrides).decode(),
        started=task.started_at is not None,
        availability_zone=subnet.availability_zone if subnet is not None else "",
        vpc_id=subnet.vpc_id if subnet is not None else "",
        enable_fault_injection=bool(definition.enable_fault_injection),
    )


def _interface(task: Task, interface: NetworkInterface, subnet: Subnet) -> PayloadEni:
    attachment = task.attachment
    return PayloadEni(
        attachment_arn=volumes.attachment_arn(task, interface.attachment_id),
        ec2_id=interface.network_interface_id,
        mac_address=interface.mac_address,
        ipv4_addresses=(Ipv4Assignment(primary=True, private_address=interface.private_ip_address),),
        subnet_gateway_ipv4_address=subnet.gateway_cidr,
        private_dns_name=attachment.private_dns_name if attachment else "",
    )


def _container(container: Container, definition: TaskDefinition, task: Task, terms: Terms) -> PayloadContainer:
    defined = definition.container(container.name)
    if defined is None:
        raise LookupError(f"{definition.task_definition_arn} has no container {container.name}")
    override = next(
        (o for o in task.overrides.container_overrides if o.name == container.name),
        ContainerOverride(name=container.name),
    )
    limits = _memory(defined, override)
    return PayloadContainer(
        name=defined.name,
        image=container.image,
        container_arn=container.container_arn,
        registry_authentication=registry_authentication(
            container.image,
            defined,
            has_execution_role=roles.named(definition, task.overrides).execution is not None,
            region=terms.region,
            names=terms.registry,
        ),
        essential=defined.essential,
        cpu=override.cpu if override.cpu is not None else defined.cpu,
        memory=limits.get("memory") or 0,
        command=override.command if override.command is not None else defined.command,
        entry_point=defined.entry_point,
        environment=_environment(defined, override, task, terms),
        secrets=tuple(_secrets(defined, region=terms.region)),
        firelens_configuration=_firelens(defined.firelens_configuration),
        port_mappings=tuple(
            PayloadPort(
                container_port=p.container_port or 0,
                host_port=p.host_port or 0,
                protocol=p.protocol,
                container_port_range=p.container_port_range or "",
            )
            for p in defined.port_mappings
        ),
        environment_files=tuple(
            PayloadEnvironmentFile(value=file.value, type=file.type)
            for file in (override.environment_files or defined.environment_files)
        ),
        restart_policy=_restart_policy(defined.restart_policy),
        mount_points=volumes.mount_points(defined),
        volumes_from=volumes.volumes_from(defined),
        depends_on=tuple(
            PayloadDependency(container_name=d.container_name, condition=d.condition) for d in defined.depends_on
        ),
        start_timeout=defined.start_timeout,
        stop_timeout=defined.stop_timeout if defined.stop_timeout is not None else round(terms.stop_timeout),
        health_check_type="docker" if defined.health_check else None,
        docker_config=DockerConfig(
            version=DOCKER_API,
            config=msgspec.json.encode(_config(defined)).decode(),
            host_config=msgspec.json.encode(_host_config(defined, limits, terms.log_mode)).decode(),
        ),
        overrides="{}",
    )


def _secrets(defined: ContainerDefinition, *, region: str) -> Iterator[PayloadSecret]:
    for secret in defined.secrets:
        yield _secret(secret, "CONTAINER", region=region)
    if defined.log_configuration is not None:
        for secret in defined.log_configuration.secret_options:
            yield _secret(secret, "LOG_DRIVER", region=region)


def _firelens(router: FirelensConfiguration | None) -> PayloadFirelens | None:
    return None if router is None else PayloadFirelens(type=router.type, options=router.options)


def _secret(secret: Secret, target: str, *, region: str) -> PayloadSecret:
    reference = secret_reference.parse(secret.value_from)
    return PayloadSecret(
        name=secret.name,
        value_from=secret.value_from,
        provider="asm" if isinstance(reference, SecretReference) else "ssm",
        region=reference.region or region,
        target=target,
    )


def _memory(defined: ContainerDefinition, override: ContainerOverride) -> dict[str, int | None]:
    return {
        "memory": override.memory if override.memory is not None else defined.memory,
        "reservation": (
            override.memory_reservation if override.memory_reservation is not None else defined.memory_reservation
        ),
    }


def _environment(defined: ContainerDefinition, override: ContainerOverride, task: Task, terms: Terms) -> dict[str, str]:
    """Merge: what AWS injects, then the definition, then the override; the later wins."""
    injected = {
        "AWS_EXECUTION_ENV": f"AWS_ECS_{task.launch_type}",
        "AWS_REGION": terms.region,
        "AWS_DEFAULT_REGION": terms.region,
    }
    if terms.endpoint_url is not None:
        injected["AWS_ENDPOINT_URL"] = terms.endpoint_url
        # Or SDKs put a prefix before the host in front of which none can be: an address.
        injected["AWS_DISABLE_HOST_PREFIX_INJECTION"] = "true"
    return injected | {e.name: e.value for e in (*defined.environment, *override.environment)}


def _config(defined: ContainerDefinition) -> dict[str, Any]:
    """Docker's Config: what the payload has no member for."""
    config: dict[str, Any] = {
        "User": defined.user,
        "WorkingDir": defined.working_directory,
        "Hostname": defined.hostname,
        "Labels": defined.docker_labels or None,
        "OpenStdin": defined.interactive,
        "Tty": defined.pseudo_terminal,
        "NetworkDisabled": defined.disable_networking,
        "Healthcheck": _health_check(defined.health_check),
    }
    return {name: value for name, value in config.items() if value is not None}


def _health_check(check: HealthCheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "Test": list(check.command),
        "Interval": check.interval * _NANOSECONDS,
        "Timeout": check.timeout * _NANOSECONDS,
        "Retries": check.retries,
        "StartPeriod": (check.start_period or 0) * _NANOSECONDS,
    }


def _host_config(defined: ContainerDefinition, limits: dict[str, int | None], log_mode: str) -> dict[str, Any]:
    """Docker's HostConfig: what the payload has no member for."""
    reservation = limits["reservation"]
    host: dict[str, Any] = {
        "MemoryReservation": reservation * _MIB if reservation else None,
        "Privileged": defined.privileged,
        "ReadonlyRootfs": defined.readonly_root_filesystem,
        "Dns": list(defined.dns_servers) or None,
        "DnsSearch": list(defined.dns_search_domains) or None,
        "ExtraHosts": [f"{entry.hostname}:{entry.ip_address}" for entry in defined.extra_hosts] or None,
        "SecurityOpt": list(defined.docker_security_options) or None,
        "Ulimits": [{"Name": u.name, "Soft": u.soft_limit, "Hard": u.hard_limit} for u in defined.ulimits] or None,
        "Sysctls": {c.namespace: c.value for c in defined.system_controls} or None,
        "LogConfig": log_config(defined, mode=log_mode),
    }
    if defined.linux_parameters is not None:
        host |= _linux(defined.linux_parameters, limits["memory"])
    return {name: value for name, value in host.items() if value is not None}


def _restart_policy(policy: RestartPolicy | None) -> PayloadRestartPolicy | None:
    if policy is None or not policy.enabled:
        return None
    return PayloadRestartPolicy(
        enabled=True,
        ignored_exit_codes=policy.ignored_exit_codes,
        restart_attempt_period=policy.restart_attempt_period,
    )


def _device(device: Device) -> dict[str, str]:
    letters = {"read": "r", "write": "w", "mknod": "m"}
    return {
        "PathOnHost": device.host_path,
        "PathInContainer": device.container_path or device.host_path,
        "CgroupPermissions": "".join(letters[name] for name in letters if name in device.permissions) or "rwm",
    }


def _linux(linux: LinuxParameters, memory: int | None) -> dict[str, Any]:
    capabilities = linux.capabilities
    swap = (memory + linux.max_swap) * _MIB if linux.max_swap is not None and memory else None
    return {
        "CapAdd": list(capabilities.add) or None if capabilities else None,
        "CapDrop": list(capabilities.drop) or None if capabilities else None,
        "Devices": [_device(device) for device in linux.devices] or None,
        "Init": linux.init_process_enabled,
        "ShmSize": linux.shared_memory_size * _MIB if linux.shared_memory_size else None,
        "Tmpfs": {t.container_path: ",".join((f"size={t.size}m", *t.mount_options)) for t in linux.tmpfs} or None,
        "MemorySwap": swap,
        # ECS ignores swappiness where maxSwap is not given.
        "MemorySwappiness": linux.swappiness if swap is not None else None,
    }
