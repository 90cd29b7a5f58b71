"""Which host and which subnet a Fargate task goes to: hosts that refuse say why, then a choice.

Pure. The rows it is fed from, and what becomes of its decisions, are in `wherry.store.placing`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter

import msgspec

from wherry.model.base import Value

CAPACITY_UNAVAILABLE = (
    "Capacity is unavailable at this time. Please try again later or in a different availability zone"
)
"""What Fargate answers when it has no room (reference 4.4)."""

NO_INSTANCES = "No Container Instances were found in your cluster."
"""What ECS answers when a task of launch type EC2 has nowhere to go."""


class Need(Value, frozen=True):
    """What a task asks for. `cpu` in CPU units, `memory` in MiB; `architecture` None runs on any.

    `group` is what zones are balanced over: the service, or the group of a standalone task.
    """

    task_arn: str
    cpu: int
    memory: int
    subnet_ids: tuple[str, ...]
    group: str
    architecture: str | None = None


class Host(Value, frozen=True):
    """An instance of the pool; `free_...` is what its tasks have left over. No `zones`: it stands in every one."""

    instance_arn: str
    cpu: int
    memory: int
    free_cpu: int
    free_memory: int
    architecture: str
    connected: bool = True
    zones: tuple[str, ...] = ()


class Site(Value, frozen=True):
    """A subnet and how many addresses it has left."""

    subnet_id: str
    zone: str
    free: int


class Placed(Value, frozen=True, tag=True):
    """The task goes to this instance, its interface into this subnet."""

    task_arn: str
    instance_arn: str
    subnet_id: str
    zone: str


class Unplaced(Value, frozen=True, tag=True):
    """The task has to wait. `reason` is ECS's word for it, `detail` says what was missing where."""

    task_arn: str
    reason: str
    detail: str


Decision = Placed | Unplaced

DISCONNECTED = "doesn't have the agent connected"
ARCHITECTURE = "has another CPU architecture"
CPU = "has insufficient CPU units available"
MEMORY = "has insufficient memory available"
REFUSALS = (DISCONNECTED, ARCHITECTURE, CPU, MEMORY)
"""Why a host cannot take a task, in ECS's words: the first that is true of it."""


def plan(
    needs: Iterable[Need],
    *,
    hosts: Iterable[Host],
    sites: Iterable[Site],
    tasks_per_zone: Mapping[tuple[str, str], int],
) -> list[Decision]:
    """Decide for each task in turn; every decision takes its room away from those that follow.

    `tasks_per_zone` counts the tasks that are there already: (group, zone) -> tasks.
    """
    # In order, so that of hosts with the same room the first is taken.
    free_hosts = {host.instance_arn: host for host in sorted(hosts, key=attrgetter("instance_arn"))}
    free_sites = {site.subnet_id: site for site in sites}
    spread = Counter(tasks_per_zone)
    decisions: list[Decision] = []
    for need in needs:
        decision = _decide(need, free_hosts, free_sites, spread)
        decisions.append(decision)
        if isinstance(decision, Placed):
            _take(need, decision, free_hosts, free_sites)
            spread[need.group, decision.zone] += 1
    return decisions


def refusal(need: Need, host: Host) -> str | None:
    """Say why a host cannot take the task, None if it can."""
    if not host.connected:
        return DISCONNECTED
    if need.architecture is not None and need.architecture != host.architecture:
        return ARCHITECTURE
    if need.cpu > host.free_cpu:
        return CPU
    if need.memory > host.free_memory:
        return MEMORY
    return None


def _decide(
    need: Need, hosts: Mapping[str, Host], sites: Mapping[str, Site], spread: Mapping[tuple[str, str], int]
) -> Decision:
    asked = [sites[subnet_id] for subnet_id in need.subnet_ids if subnet_id in sites]
    open_sites = [site for site in asked if site.free > 0]
    if not open_sites:
        detail = f"No address is free in {', '.join(need.subnet_ids)}."
        return Unplaced(task_arn=need.task_arn, reason="RESOURCE:ENI", detail=detail)
    willing = [host for host in hosts.values() if refusal(need, host) is None]
    # The zone with the fewest tasks of the group, and there the host with most room left and the emptiest subnet.
    for zone in sorted({site.zone for site in open_sites}, key=lambda zone: (spread.get((need.group, zone), 0), zone)):
        there = [host for host in willing if not host.zones or zone in host.zones]
        if there:
            host = max(there, key=partial(_room_after, need))
            site = min((s for s in open_sites if s.zone == zone), key=lambda s: (-s.free, s.subnet_id))
            return Placed(task_arn=need.task_arn, instance_arn=host.instance_arn, subnet_id=site.subnet_id, zone=zone)
    detail = _explain([refusal(need, host) for host in hosts.values()], open_sites)
    return Unplaced(task_arn=need.task_arn, reason=CAPACITY_UNAVAILABLE, detail=detail)


def _room_after(need: Need, host: Host) -> float:
    """Tell what share of the host would be left, of that of CPU and memory of which there is less."""
    cpu = (host.free_cpu - need.cpu) / (host.cpu or 1)
    memory = (host.free_memory - need.memory) / (host.memory or 1)
    return min(memory, cpu)


def _take(need: Need, placed: Placed, hosts: dict[str, Host], sites: dict[str, Site]) -> None:
    host, site = hosts[placed.instance_arn], sites[placed.subnet_id]
    hosts[placed.instance_arn] = msgspec.structs.replace(
        host, free_cpu=host.free_cpu - need.cpu, free_memory=host.free_memory - need.memory
    )
    sites[placed.subnet_id] = msgspec.structs.replace(site, free=site.free - 1)


def _explain(refusals: Sequence[str | None], sites: Sequence[Site]) -> str:
    """Say what kept the hosts from taking the task: of those that came furthest through the filters."""
    if not refusals:
        return "No host has joined the Fargate pool: start an agent with `wherry agent --fargate`."
    if None in refusals:
        zones = ", ".join(sorted({site.zone for site in sites}))
        return f"No host of the Fargate pool with enough room stands in {zones}."
    closest = max((text for text in refusals if text is not None), key=REFUSALS.index)
    return f"The closest matching host of the Fargate pool {closest}."
