"""What a task asks of this host, and whether the host's own rules allow it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from wherry.agent.memory import Fault
from wherry.agent.spec import HostPath, SharedVolume, TaskSpec, TaskVolume
from wherry.model import host_rules
from wherry.model.host_rules import NOTHING, Demand, HostRules, Kind


def refused(task: TaskSpec, rules: HostRules) -> Fault | None:
    """Say why this host does not take the task; None if it may run. On Fargate nothing of the host is given to any."""
    objection = host_rules.objection(_demands(task), NOTHING if task.launch_type == "FARGATE" else rules)
    return None if objection is None else Fault(name="HostConfigError", message=objection)


def _demands(task: TaskSpec) -> Iterator[Demand]:
    yield from host_rules.modes(task.network_mode, task.pid_mode, task.ipc_mode)
    for volume in task.volumes:
        match volume.source:
            case HostPath(path=path):
                yield Demand(kind=Kind.PATH, what=path)
            case TaskVolume() | SharedVolume() as engines:
                yield from host_rules.of_volume(engines.driver, engines.options)
            case _:
                continue
    for container in task.containers:
        yield from host_rules.of_container(
            privileged=container.privileged,
            capabilities=container.cap_add,
            devices=(device.host_path for device in container.devices),
            security_options=container.security_options,
        )
