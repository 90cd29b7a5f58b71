"""What Fargate demands beyond the rules for every task definition. Sizes are in `wherry.model.sizes`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wherry.model import log_rules, volume_rules
from wherry.model.problem import Path, Problem
from wherry.model.sizes import FARGATE_SIZES, cpu_units, memory_mib

Member = Mapping[str, Any]

TIMEOUTS = range(2, 120 + 1)
"""Seconds that startTimeout and stopTimeout may have."""


def problems(params: Member) -> Iterator[Problem]:
    """Find why these RegisterTaskDefinition parameters do not make a Fargate task."""
    if params.get("networkMode") != "awsvpc":
        where = ("networkMode",) if "networkMode" in params else ()
        yield Problem(where, "Fargate only supports network mode 'awsvpc'.")
    yield from _size(params)
    if params.get("pidMode") == "host":
        text = "Tasks using the Fargate launch type do not support pidMode 'host'."
        yield Problem(("pidMode",), f"{text} The supported value for pidMode is 'task'.")
    if params.get("ipcMode"):
        yield Problem(("ipcMode",), "Tasks using the Fargate launch type do not support ipcMode.")
    if params.get("placementConstraints"):
        yield _unsupported(("placementConstraints",), "constraints")
    yield from volume_rules.fargate_problems(params)
    for position, container in enumerate(params.get("containerDefinitions") or ()):
        path = ("containerDefinitions", position)
        yield from _container(container, path)
        yield from log_rules.fargate_problems(container, path, execution_role=params.get("executionRoleArn"))


def _size(params: Member) -> Iterator[Problem]:
    cpu, memory = params.get("cpu"), params.get("memory")
    if not cpu:
        yield Problem((), "Fargate requires that 'cpu' be defined at the task level.")
    if not memory:
        yield Problem((), "Fargate requires that 'memory' be defined at the task level.")
    units, mib = cpu_units(cpu or ""), memory_mib(memory or "")
    if units is not None and mib is not None and mib not in FARGATE_SIZES.get(units, ()):
        yield Problem(("cpu",), "No Fargate configuration exists for given values.")


def _container(container: Member, path: Path) -> Iterator[Problem]:
    for member in ("privileged", "dockerSecurityOptions", "disableNetworking"):
        if container.get(member):
            yield _unsupported((*path, member), member)
    if linux := container.get("linuxParameters"):
        yield from _linux_parameters(linux, (*path, "linuxParameters"))
    for member in ("startTimeout", "stopTimeout"):
        value = container.get(member)
        if value is not None and value not in TIMEOUTS:
            text = f"Invalid '{member}': {value}. On Fargate it is {TIMEOUTS.start} to {TIMEOUTS.stop - 1} seconds."
            yield Problem((*path, member), text)


def _linux_parameters(linux: Member, path: Path) -> Iterator[Problem]:
    for member in ("devices", "sharedMemorySize", "tmpfs", "maxSwap", "swappiness"):
        if linux.get(member) not in (None, []):
            yield _unsupported((*path, member), member)
    for position, capability in enumerate((linux.get("capabilities") or {}).get("add") or ()):
        if capability != "SYS_PTRACE":
            text = f"Fargate compatible task definitions can only add the capability SYS_PTRACE, not {capability}"
            yield Problem((*path, "capabilities", "add", position), text)


def _unsupported(path: Path, member: str) -> Problem:
    return Problem(path, f"Fargate compatible task definitions do not support {member}")
