"""What of a place is taken, kept as a sum, so that placing a task costs the same however many there are already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wherry.model.base import Entity
from wherry.model.network import NetworkInterface
from wherry.model.task import DesiredStatus, Task


class Share(NamedTuple):
    """What one holder takes of a place: `cpu` in CPU units, `memory` in MiB, and itself."""

    place: str
    cpu: int = 0
    memory: int = 0
    holders: int = 1


class Reserved(Entity, frozen=True, kw_only=True):
    """The shares of a place together. `place` is an instance's ARN, a subnet's id or a `zone_place`."""

    place: str
    cpu: int = 0
    memory: int = 0
    holders: int = 0


def zone_place(group: str, zone: str) -> str:
    """Name the place whose holders are the tasks of a spread group in a zone."""
    return f"{group} {zone}"


def spread_group(task: Task) -> str:
    """Tell over what zones are balanced for a task: its service, or the group of a standalone one."""
    return task.service_arn or f"{task.cluster_arn} {task.group}"


def task_shares(task: Task) -> Iterator[Share]:
    """Tell what a task takes: room on its host until it is over, a part in its zone while it is to run."""
    if task.is_stopped or task.container_instance_arn is None:
        return
    yield Share(task.container_instance_arn, task.cpu, task.memory)
    if task.availability_zone is not None and task.desired_status is DesiredStatus.RUNNING:
        yield Share(zone_place(spread_group(task), task.availability_zone))


def interface_shares(interface: NetworkInterface) -> Iterator[Share]:
    """Tell what an interface takes: an address of its subnet."""
    yield Share(interface.subnet_id)
