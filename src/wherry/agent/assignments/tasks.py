"""From the tasks of a payload to assignments. Pure.

A task that cannot be understood is taken on all the same, as one that has failed: so its failure is reported, and its
interface given back, like any other's.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface

import msgspec

from wherry.agent import demands
from wherry.agent.assignments import containers, volumes
from wherry.agent.assignments.malformed import MalformedTaskError
from wherry.agent.dependencies import unresolvable
from wherry.agent.memory import Assignment, Fault
from wherry.agent.spec import Eni, TaskSpec
from wherry.model.host_rules import NOTHING, HostRules
from wherry.model.protocol.task import PayloadEni, PayloadTask, RoleCredentials
from wherry.model.task import DesiredStatus

_TASK_ARN = re.compile(r"arn:[a-z-]+:ecs:[a-z0-9-]*:[0-9]*:task/(?:[A-Za-z0-9_-]+/)?[A-Za-z0-9-]+")
_CONTAINER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)
_MOST_CPU, _MOST_MEMORY_MIB = 100_000, 2**40


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
    own = tuple(containers.understood(container, stop_timeout=stop_timeout) for container in task.containers)
    if not any(container.essential for container in own):
        raise MalformedTaskError("at least one container of a task is essential")
    return volumes.furnished(msgspec.structs.replace(_frame(task), containers=containers.routed(own)), task)


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
