"""Placing tasks on hosts of the Fargate pool: the rows that a decision is made from, and what it writes.

RunTask and the placement loop both come here, the one in a single transaction, the other with the decision made
outside of it: that is why every decision is checked again where it is carried out. The deciding itself is pure, in
`wherry.model.placement`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from msgspec import structs

from wherry.model import arn, ids, network
from wherry.model.ids import Entropy
from wherry.model.instance import ContainerInstance, InstanceStatus
from wherry.model.network import NetworkInterface, SecurityGroup, Subnet
from wherry.model.placement import Decision, Host, Need, Placed, Site, plan, refusal
from wherry.model.reserved import Reserved, spread_group, zone_place
from wherry.model.task import (
    AttachmentStatus,
    DesiredStatus,
    NetworkConfiguration,
    Task,
    TaskStatus,
    advance,
)
from wherry.model.taskdef import TaskDefinition
from wherry.store.tables import pool_arn
from wherry.store.tx import Tx

ALIVE = tuple(status for status in TaskStatus if status is not TaskStatus.STOPPED)

_ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}


class Survey(NamedTuple):
    """What placement decides upon."""

    needs: list[Need]
    hosts: list[Host]
    sites: list[Site]
    tasks_per_zone: Counter[tuple[str, str]]

    def decide(self) -> list[Decision]:
        """Decide for every task in turn."""
        return plan(self.needs, hosts=self.hosts, sites=self.sites, tasks_per_zone=self.tasks_per_zone)


def waiting(tx: Tx, *, cluster_arn: str | None = None, launch_type: str = "FARGATE") -> list[Task]:
    """Read the tasks of a launch type that have no host yet, of one cluster or of all; the oldest first."""
    only: dict[str, Any] = {} if cluster_arn is None else {"cluster_arn": cluster_arn}
    return tx.find(
        Task,
        order="created_at",
        container_instance_arn=None,
        last_status=TaskStatus.PROVISIONING,
        desired_status=DesiredStatus.RUNNING,
        launch_type=launch_type,
        **only,
    )


def waits(task: Task) -> bool:
    """Tell whether a task still is to be placed."""
    return (
        task.container_instance_arn is None
        and task.desired_status is DesiredStatus.RUNNING
        and task.last_status is TaskStatus.PROVISIONING
    )


def survey(tx: Tx, tasks: Sequence[Task]) -> Survey:
    """Read what is needed to decide where `tasks` go; they need not be stored yet."""
    if not tasks:
        return Survey([], [], [], Counter())
    instances = tx.find(ContainerInstance, cluster_arn=pool_arn(tasks[0].cluster_arn), status=InstanceStatus.ACTIVE)
    architectures = {
        ref: _architecture(tx.get(TaskDefinition, ref)) for ref in {task.task_definition_arn for task in tasks}
    }
    subnet_ids = sorted({subnet_id for task in tasks for subnet_id in _subnet_ids(task)})
    subnets = [s for s in (tx.get(Subnet, subnet_id) for subnet_id in subnet_ids) if s is not None]
    groups, zones = {spread_group(task) for task in tasks}, {subnet.availability_zone for subnet in subnets}
    zone_places = {zone_place(group, zone): (group, zone) for group, zone in product(groups, zones)}
    hosts = [instance.container_instance_arn for instance in instances]
    reserved = _reserved(tx, [*hosts, *(subnet.subnet_id for subnet in subnets), *zone_places])
    return Survey(
        needs=[_need(task, architectures[task.task_definition_arn]) for task in tasks],
        hosts=[_host(instance, reserved) for instance in instances],
        sites=[_site(subnet, reserved) for subnet in subnets],
        tasks_per_zone=Counter(
            {zone: reserved[place].holders for place, zone in zone_places.items() if place in reserved}
        ),
    )


def apply(tx: Tx, decisions: Iterable[Placed], *, now: float, entropy: Entropy) -> list[Task]:
    """Give each task its host and its interface; return the tasks that got them.

    A decision that no longer holds, because the task, the host or the subnet has changed since, is left out: its task
    goes on waiting.
    """
    decisions = list(decisions)
    arns = {decision.instance_arn for decision in decisions}
    instances = [i for i in (tx.get(ContainerInstance, instance_arn) for instance_arn in arns) if i is not None]
    reserved = _reserved(tx, arns)
    hosts = {instance.container_instance_arn: _host(instance, reserved) for instance in instances}
    active = {i.container_instance_arn for i in instances if i.status is InstanceStatus.ACTIVE}
    placed: list[Task] = []
    for decision in decisions:
        task, host = tx.get(Task, decision.task_arn), hosts.get(decision.instance_arn)
        if task is None or host is None or host.instance_arn not in active or not waits(task):
            continue
        if refusal(_need(task, None), host) is None:
            hosts[host.instance_arn] = _less(host, task)
            placed.append(place(tx, task, decision, now=now, entropy=entropy))
    return [task for task in placed if not waits(task)]


def place(tx: Tx, task: Task, decision: Placed, *, now: float, entropy: Entropy) -> Task:
    """Write a task with its host and its interface, or waiting if its subnet has no address any more.

    For a decision that was made in this very transaction; the task need not be stored yet.
    """
    address = _take_address(tx, decision.subnet_id)
    if address is None:
        return task if task.version else tx.put(task)
    interface = _interface(tx, task, decision, address, now=now, entropy=entropy)
    return tx.put(_with_host(task, decision, interface, now=now))


def _take_address(tx: Tx, subnet_id: str) -> str | None:
    """Take the next free address of a subnet, None if it has none or is not there any more."""
    subnet = tx.get(Subnet, subnet_id)
    if subnet is None:
        return None
    address = network.free_address(
        subnet.cidr_block,
        lambda address: tx.count(NetworkInterface, subnet_id=subnet_id, private_ip_address=address) > 0,
        start=subnet.next_address,
    )
    if address is not None:
        tx.put(structs.replace(subnet, next_address=network.address_after(subnet.cidr_block, address)))
    return address


def release_interface(tx: Tx, task_arn: str) -> None:
    """Give the interface of a task back: its address is free from now on."""
    for interface in tx.find(NetworkInterface, task_arn=task_arn):
        tx.delete(interface)


def _interface(tx: Tx, task: Task, decision: Placed, address: str, *, now: float, entropy: Entropy) -> NetworkInterface:
    subnet = tx.get(Subnet, decision.subnet_id)
    if subnet is None or task.attachment is None:
        raise LookupError(f"{task.task_arn} cannot have an interface in {decision.subnet_id}")
    return tx.put(
        NetworkInterface(
            network_interface_id=f"eni-{ids.hex17(entropy)}",
            subnet_id=subnet.subnet_id,
            vpc_id=subnet.vpc_id,
            availability_zone=subnet.availability_zone,
            private_ip_address=address,
            mac_address=ids.mac_address(entropy),
            security_group_ids=_security_groups(tx, task.network_configuration, subnet.vpc_id),
            task_arn=task.task_arn,
            attachment_id=task.attachment.id,
            public=_is_public(task.network_configuration),
            description=f"{task.task_arn.split(':task/')[0]}:attachment/{task.attachment.id}",
            created_at=now,
        )
    )


def _security_groups(tx: Tx, configuration: NetworkConfiguration | None, vpc_id: str) -> tuple[str, ...]:
    """Take the groups that were asked for, else the VPC's default one."""
    asked = configuration.awsvpc_configuration.security_groups if configuration else ()
    return asked or tuple(g.group_id for g in tx.find(SecurityGroup, vpc_id=vpc_id, group_name="default"))


def _is_public(configuration: NetworkConfiguration | None) -> bool:
    return configuration is not None and configuration.awsvpc_configuration.assign_public_ip == "ENABLED"


def _with_host(task: Task, decision: Placed, interface: NetworkInterface, *, now: float) -> Task:
    if task.attachment is None:
        raise LookupError(f"{task.task_arn} has no attachment")
    attachment = structs.replace(
        task.attachment,
        status=AttachmentStatus.ATTACHING,
        subnet_id=interface.subnet_id,
        network_interface_id=interface.network_interface_id,
        mac_address=interface.mac_address,
        private_dns_name=network.private_dns_name(interface.private_ip_address, arn.region_of(task.task_arn)),
        private_ipv4_address=interface.private_ip_address,
    )
    placed = structs.replace(
        task,
        container_instance_arn=decision.instance_arn,
        availability_zone=decision.zone,
        attachment=attachment,
        placement_reason=None,
    )
    return advance(placed, TaskStatus.PENDING, now=now)


def _host(instance: ContainerInstance, reserved: Mapping[str, Reserved]) -> Host:
    taken = reserved.get(instance.container_instance_arn)
    return Host(
        instance_arn=instance.container_instance_arn,
        cpu=instance.cpu,
        memory=instance.memory,
        free_cpu=instance.cpu - (taken.cpu if taken else 0),
        free_memory=instance.memory - (taken.memory if taken else 0),
        architecture=instance.architecture,
        connected=instance.agent_connected,
        zones=instance.availability_zones,
    )


def _reserved(tx: Tx, places: Collection[str]) -> dict[str, Reserved]:
    return {reserved.place: reserved for reserved in tx.find(Reserved, place=places)}


def _less(host: Host, task: Task) -> Host:
    return structs.replace(host, free_cpu=host.free_cpu - task.cpu, free_memory=host.free_memory - task.memory)


def _site(subnet: Subnet, reserved: Mapping[str, Reserved]) -> Site:
    taken = reserved.get(subnet.subnet_id)
    return Site(
        subnet_id=subnet.subnet_id,
        zone=subnet.availability_zone,
        free=network.usable_addresses(subnet.cidr_block) - (taken.holders if taken else 0),
    )


def _need(task: Task, architecture: str | None) -> Need:
    return Need(
        task_arn=task.task_arn,
        cpu=task.cpu,
        memory=task.memory,
        subnet_ids=_subnet_ids(task),
        group=spread_group(task),
        architecture=architecture,
    )


def _architecture(definition: TaskDefinition | None) -> str | None:
    """Tell what the images were built for; a definition that does not say runs on whatever host there is."""
    platform = definition.runtime_platform if definition else None
    named = platform.cpu_architecture if platform else None
    return _ARCHITECTURES.get(named) if named else None


def _subnet_ids(task: Task) -> tuple[str, ...]:
    return task.network_configuration.awsvpc_configuration.subnets if task.network_configuration else ()
