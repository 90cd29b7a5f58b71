"""The rules of RegisterTaskDefinition: everything that is wrong with a request, in the order in which it is said.

First what ECS itself objects to, then what Wherry does not honour yet. The rules of a container and those of Fargate
have modules of their own; what a good request becomes is `wherry.model.taskdef_draft`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import msgspec

from wherry.model import container_rules, fargate_rules, firelens_rules, identity_rules, log_rules, volume_rules
from wherry.model.container_rules import CONDITIONS, NAME, one_of
from wherry.model.problem import Path, Problem, Source
from wherry.model.sizes import EC2_CPU, cpu_units, memory_mib
from wherry.model.taskdef_fields import refusals

Member = Mapping[str, Any]

MAX_BYTES = 64 * 1024
"""Size of a definition as compact JSON."""

MAX_CONTAINERS = 10
STORAGE_SIZES = range(21, 200 + 1)
"""GiB of ephemeral storage that a task can ask for."""

_MODES: Mapping[str, tuple[str, ...]] = {
    "networkMode": ("bridge", "host", "awsvpc", "none"),
    "pidMode": ("host", "task"),
    "ipcMode": ("host", "task", "none"),
}
_COMPATIBILITIES = ("EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES")
_TROUBLE = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."


def check(params: Member) -> None:
    """Raise the first problem as ClientException or InvalidParameterException."""
    for problem in problems(params):
        raise problem.error()


def problems(params: Member) -> Iterator[Problem]:
    """Find all that is wrong with the parameters of RegisterTaskDefinition, whose types are those of the model."""
    yield from _family(params)
    yield from _modes(params)
    yield from _task_size(params)
    yield from _containers(params)
    yield from _sums(params)
    yield from _dependencies(params)
    yield from _host_ports(params)
    yield from volume_rules.problems(params)
    yield from identity_rules.problems(params)
    yield from firelens_rules.problems(params)
    if "FARGATE" in (params.get("requiresCompatibilities") or ()):
        yield from fargate_rules.problems(params)
    yield from _size(params)
    yield from _wherry(params)


def network_mode(params: Member) -> str:
    """The network mode that holds: bridge where none is named."""
    return params.get("networkMode") or "bridge"


def _family(params: Member) -> Iterator[Problem]:
    family = params.get("family")
    if not family:
        yield Problem(() if family is None else ("family",), "Family should not be null or empty.")
    elif not NAME.fullmatch(family):
        yield Problem(("family",), "Family contains invalid characters.")
    if params.get("tags") == []:
        yield Problem(("tags",), "Tags can not be empty.")


def _modes(params: Member) -> Iterator[Problem]:
    for member, allowed in _MODES.items():
        if (mode := params.get(member)) is not None:
            yield from one_of(mode, allowed, (member,))
    compatibilities = params.get("requiresCompatibilities") or ()
    for position, name in enumerate(compatibilities):
        for problem in one_of(name, _COMPATIBILITIES, ("requiresCompatibilities",)):
            yield msgspec.structs.replace(problem, path=("requiresCompatibilities", position))
    if "EXTERNAL" in compatibilities and network_mode(params) == "awsvpc":
        yield Problem(("networkMode",), "External instances do not support network mode 'awsvpc'.")
    if storage := params.get("ephemeralStorage"):
        yield from storage_problems(storage, ("ephemeralStorage", "sizeInGiB"))
    if platform := params.get("runtimePlatform"):
        yield from _platform(platform)


def _platform(platform: Member) -> Iterator[Problem]:
    yield from one_of(platform.get("cpuArchitecture"), ("X86_64", "ARM64"), ("runtimePlatform", "cpuArchitecture"))
    system = platform.get("operatingSystemFamily")
    if system is not None and not system.startswith("WINDOWS_SERVER_"):
        yield from one_of(system, ("LINUX",), ("runtimePlatform", "operatingSystemFamily"))


def storage_problems(storage: Member, path: Path) -> Iterator[Problem]:
    """Object to a size of ephemeral storage that Fargate does not have."""
    size = storage.get("sizeInGiB")
    if size is not None and size not in STORAGE_SIZES:
        text = f"Invalid 'ephemeralStorage' size: {size}. It is {STORAGE_SIZES.start} to {STORAGE_SIZES.stop - 1} GiB."
        yield Problem(path, text, invalid=True)


def _task_size(params: Member) -> Iterator[Problem]:
    cpu, memory = params.get("cpu"), params.get("memory")
    on_fargate = "FARGATE" in (params.get("requiresCompatibilities") or ())
    if cpu is not None:
        units = cpu_units(cpu)
        if units is None or (not on_fargate and units not in EC2_CPU):
            yield Problem(("cpu",), f"Invalid 'cpu' setting for task. {_TROUBLE}")
    if memory is not None and (memory_mib(memory) or 0) < 4:
        yield Problem(("memory",), f"Invalid 'memory' setting for task. {_TROUBLE}")


def _containers(params: Member) -> Iterator[Problem]:
    containers = params.get("containerDefinitions") or ()
    where: Path = ("containerDefinitions",)
    if not containers:
        yield Problem(where if "containerDefinitions" in params else (), "Container list cannot be empty.")
        return
    if len(containers) > MAX_CONTAINERS:
        yield Problem(where, "Too many containers.")
    names: set[str] = set()
    for position, container in enumerate(containers):
        path = (*where, position)
        yield from container_rules.problems(container, path, network_mode(params))
        yield from log_rules.problems(container, path)
        name = container.get("name")
        if name and name in names:
            yield Problem((*path, "name"), "Container names must be unique within a Task Definition.")
        names.add(name or "")
        if not params.get("memory") and container.get("memory") is None and container.get("memoryReservation") is None:
            text = "At least one of 'memory' or 'memoryReservation' must be specified."
            yield Problem(path, f"Invalid setting for container '{name}'. {text}")
    if not any(is_essential(container) for container in containers):
        yield Problem(where, "TaskDefinition must have at least one essential container.")


def is_essential(container: Member) -> bool:
    """Tell whether the task ends with this container: yes unless it says no."""
    return container.get("essential") is not False


def _sums(params: Member) -> Iterator[Problem]:
    containers = params.get("containerDefinitions") or ()
    cpu, memory = cpu_units(params.get("cpu") or ""), memory_mib(params.get("memory") or "")
    if cpu is not None and sum(max(0, c.get("cpu") or 0) for c in containers) > cpu:
        text = "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'."
        yield Problem(("containerDefinitions",), text)
    if memory is None:
        return
    reserved = [c.get("memoryReservation") or c.get("memory") or 0 for c in containers]
    if sum(reserved) > memory:
        member = "memoryReservation" if any(c.get("memoryReservation") for c in containers) else "memory"
        text = f"The sum of all container '{member}' values cannot be greater than the value of the task 'memory'."
        yield Problem(("containerDefinitions",), text)
    for position, container in enumerate(containers):
        if (container.get("memory") or 0) > memory and sum(reserved) <= memory:
            text = (
                f"The 'memory' of container '{container.get('name')}' is greater than the value of the task 'memory'."
            )
            yield Problem(("containerDefinitions", position, "memory"), text)


def _dependencies(params: Member) -> Iterator[Problem]:
    containers = params.get("containerDefinitions") or ()
    by_name = {c.get("name"): c for c in containers}
    graph: dict[str, set[str]] = {}
    for position, container in enumerate(containers):
        for index, dependency in enumerate(container.get("dependsOn") or ()):
            path = ("containerDefinitions", position, "dependsOn", index)
            yield from one_of(dependency.get("condition"), CONDITIONS, (*path, "condition"))
            target = by_name.get(dependency.get("containerName"))
            if target is None:
                name = dependency.get("containerName")
                yield Problem(path, f"The container '{name}' that '{container.get('name')}' depends on does not exist.")
                continue
            yield from _dependency(dependency.get("condition"), target, path)
            graph.setdefault(str(container.get("name")), set()).add(str(target.get("name")))
        for source in container.get("volumesFrom") or ():
            graph.setdefault(str(container.get("name")), set()).add(str(source.get("sourceContainer")))
    if graph:
        yield from _circles(graph)


def _circles(graph: Mapping[str, set[str]]) -> Iterator[Problem]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        yield Problem(("containerDefinitions",), f"The container dependencies are circular: {circle}.")


def _dependency(condition: str | None, target: Member, path: Path) -> Iterator[Problem]:
    if condition in ("SUCCESS", "COMPLETE") and is_essential(target):
        text = "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"
        yield Problem(path, text)
    if condition == "HEALTHY" and not target.get("healthCheck"):
        text = f"The container '{target.get('name')}' is waited for with condition HEALTHY and needs a healthCheck."
        yield Problem(path, text)


def _host_ports(params: Member) -> Iterator[Problem]:
    """Containers of one network namespace, or of one host, cannot take the same port."""
    seen: set[tuple[int, str]] = set()
    names: set[str] = set()
    for position, container in enumerate(params.get("containerDefinitions") or ()):
        for index, port in enumerate(container.get("portMappings") or ()):
            path = ("containerDefinitions", position, "portMappings", index)
            own = port.get("containerPort") if network_mode(params) in ("awsvpc", "host") else 0
            number, protocol = port.get("hostPort") or own or 0, port.get("protocol") or "tcp"
            if number and (number, protocol) in seen:
                yield Problem(path, f"Port {number}/{protocol} is mapped more than once.")
            seen.add((number, protocol))
            if (name := port.get("name")) and name in names:
                yield Problem((*path, "name"), f"The port name '{name}' must be unique within a Task Definition.")
            names.add(name or "")


def _size(params: Member) -> Iterator[Problem]:
    length = len(msgspec.json.encode(params))
    if length > MAX_BYTES:
        yield Problem((), f"Actual length: '{length}'. Max allowed length is '{MAX_BYTES}' bytes.")


def _wherry(params: Member) -> Iterator[Problem]:
    """What ECS would take and Wherry does not yet."""
    compatibilities = params.get("requiresCompatibilities") or []
    if "MANAGED_INSTANCES" in compatibilities:
        path = ("requiresCompatibilities", compatibilities.index("MANAGED_INSTANCES"))
        text = "Wherry has no Managed Instances. Use FARGATE, which runs on the hosts of the pool."
        yield Problem(path, text, Source.WHERRY)
    if str((params.get("runtimePlatform") or {}).get("operatingSystemFamily")).startswith("WINDOWS_SERVER_"):
        text = "Wherry runs Linux containers. Remove operatingSystemFamily or set it to LINUX."
        yield Problem(("runtimePlatform", "operatingSystemFamily"), text, Source.WHERRY)
    yield from refusals(params)
