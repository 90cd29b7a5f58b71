"""Overrides: what RunTask may change of a task definition, read, checked and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from wherry.model import birth, container_rules, taskdef_rules
from wherry.model.base import KeyValuePair
from wherry.model.errors import InvalidParameterException
from wherry.model.identity_rules import is_role
from wherry.model.sizes import FARGATE_SIZES, cpu_units, memory_mib
from wherry.model.task import ContainerOverride, Task, TaskOverride
from wherry.model.taskdef import EnvironmentFile, TaskDefinition

LONGEST = 8192
"""Characters of overrides, JSON syntax included (ECS API reference, RunTask)."""

_LATER = {
    "inferenceAcceleratorOverrides": "Accelerators are not available. Leave them out.",
    "resourceRequirements": "Accelerators are not available. Leave them out.",
}


def read(raw: Mapping[str, Any] | None) -> TaskOverride:
    """Read the `overrides` member of a request; raises InvalidParameterException for what cannot be overridden."""
    raw = raw or {}
    if len(msgspec.json.encode(raw).decode()) > LONGEST:
        raise InvalidParameterException(f"Container Overrides length must be at most {LONGEST}")
    _refuse_later(raw, "overrides")
    containers = tuple(_container(item) for item in raw.get("containerOverrides") or ())
    if len({container.name for container in containers}) < len(containers):
        raise InvalidParameterException("containerOverrides can name a container only once.")
    roles = {"task_role_arn": raw.get("taskRoleArn") or None, "execution_role_arn": raw.get("executionRoleArn") or None}
    for role in filter(None, roles.values()):
        if not is_role(role):
            raise InvalidParameterException("Role is not valid")
    storage = raw.get("ephemeralStorage") or {}
    for problem in taskdef_rules.storage_problems(storage, ("ephemeralStorage",)):
        raise InvalidParameterException(problem.message)
    return TaskOverride(
        container_overrides=containers,
        cpu=raw.get("cpu"),
        memory=raw.get("memory"),
        ephemeral_storage=storage.get("sizeInGiB"),
        **roles,
    )


def check(definition: TaskDefinition, overrides: TaskOverride) -> None:
    """Check that the overrides fit the definition, and that what they make of it is a size that Fargate has."""
    for override in overrides.container_overrides:
        if definition.container(override.name) is None:
            raise InvalidParameterException(
                f"Override for container named {override.name} is not a container in the TaskDefinition."
            )
    if overrides.cpu and cpu_units(overrides.cpu) is None:
        raise InvalidParameterException(f"Invalid 'cpu' setting for task: {overrides.cpu}")
    if overrides.memory and memory_mib(overrides.memory) is None:
        raise InvalidParameterException(f"Invalid 'memory' setting for task: {overrides.memory}")
    cpu, memory = birth.task_size(definition, overrides)
    if (overrides.cpu or overrides.memory) and memory not in FARGATE_SIZES.get(cpu, ()):
        raise InvalidParameterException("No Fargate configuration exists for given values.")
    _check_sums(definition, overrides, cpu=cpu, memory=memory)


def view(task: Task) -> dict[str, Any]:
    """Show what was overridden: an entry for each container, with its name at least."""
    overrides = task.overrides
    by_name = {override.name: override for override in overrides.container_overrides}
    return {
        "containerOverrides": [
            _view_container(by_name.get(c.name) or ContainerOverride(name=c.name)) for c in task.containers
        ],
        "inferenceAcceleratorOverrides": [],
        "cpu": overrides.cpu or None,
        "memory": overrides.memory or None,
        "taskRoleArn": overrides.task_role_arn or None,
        "executionRoleArn": overrides.execution_role_arn or None,
        "ephemeralStorage": storage_view(overrides.ephemeral_storage),
    }


def storage_view(gib: int | None) -> dict[str, int] | None:
    """Show a size of ephemeral storage."""
    return None if gib is None else {"sizeInGiB": gib}


def _view_container(override: ContainerOverride) -> dict[str, Any]:
    return {
        "name": override.name,
        "command": None if override.command is None else list(override.command),
        "environment": [{"name": pair.name, "value": pair.value} for pair in override.environment] or None,
        "environmentFiles": [{"value": file.value, "type": file.type} for file in override.environment_files] or None,
        "cpu": override.cpu,
        "memory": override.memory,
        "memoryReservation": override.memory_reservation,
    }


def _container(raw: Mapping[str, Any]) -> ContainerOverride:
    if not raw.get("name"):
        raise InvalidParameterException("Container override name cannot be empty.")
    _refuse_later(raw, "containerOverrides")
    for name, least in (("cpu", 0), ("memory", 6), ("memoryReservation", 6)):
        if raw.get(name) is not None and raw[name] < least:
            raise InvalidParameterException(f"{name} of the override for {raw['name']} should be at least {least}.")
    return ContainerOverride(
        name=raw["name"],
        command=tuple(raw["command"]) if raw.get("command") is not None else None,
        environment=tuple(
            KeyValuePair(name=item.get("name") or "", value=item.get("value") or "")
            for item in raw.get("environment") or ()
        ),
        environment_files=_environment_files(raw.get("environmentFiles") or ()),
        cpu=raw.get("cpu"),
        memory=raw.get("memory"),
        memory_reservation=raw.get("memoryReservation"),
    )


def _environment_files(raw: Sequence[Mapping[str, Any]]) -> tuple[EnvironmentFile, ...]:
    for problem in container_rules.environment_files(raw, ("environmentFiles",)):
        raise InvalidParameterException(problem.message)
    return tuple(EnvironmentFile(value=file["value"], type=file["type"]) for file in raw)


def _check_sums(definition: TaskDefinition, overrides: TaskOverride, *, cpu: int, memory: int) -> None:
    """Check that the containers, as overridden, still go into their task."""
    task = TaskOverride(container_overrides=overrides.container_overrides)
    without_size = msgspec.structs.replace(definition, cpu=None, memory=None)
    containers_cpu, containers_memory = birth.task_size(without_size, task)
    if containers_cpu > cpu:
        raise InvalidParameterException(
            "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'."
        )
    if containers_memory > memory:
        raise InvalidParameterException(
            "The sum of all container 'memory' values cannot be greater than the value of the task 'memory'."
        )


def _refuse_later(raw: Mapping[str, Any], where: str) -> None:
    for name, sentence in _LATER.items():
        if raw.get(name):
            raise InvalidParameterException(f"{name} cannot be given in {where}: {sentence}")
