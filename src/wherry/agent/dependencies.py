"""dependsOn: who waits for whom, until when, and who may be stopped (reference 3.5). Pure.

The wait gates the whole progress of a container, its image pull included, and is over once the container has started.
Semantics after aws/amazon-ecs-agent agent/engine/dependencygraph/graph.go.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import assert_never

from msgspec.structs import replace

from wherry.agent.memory import Assignment, Fault
from wherry.agent.progress import ContainerView, Phase, View
from wherry.agent.runtime.base import Health
from wherry.agent.spec import Condition, Dependency, Struct, TaskSpec


class Ready(Struct, frozen=True):
    """Every dependency is satisfied."""


class Waiting(Struct, frozen=True):
    """Some dependency is not satisfied yet; `until` is when waiting for it becomes a failure, if ever."""

    until: float | None = None


class Hopeless(Struct, frozen=True):
    """Some dependency never will be satisfied: the container must not start, and the task stops."""

    fault: Fault


Gate = Ready | Waiting | Hopeless


def unresolvable(spec: TaskSpec) -> Fault | None:
    """Find what no order of starting can resolve: a cycle, a name that is not there, HEALTHY without a check."""
    names = {container.name: container for container in spec.containers}
    fault = Fault(name="TaskDependencyError", message=f"Task dependencies cannot be resolved, taskArn: {spec.arn}")
    for container in spec.containers:
        for dependency in container.depends_on:
            target = names.get(dependency.container)
            if target is None or (dependency.condition is Condition.HEALTHY and target.health_check is None):
                return fault
    graph = {c.name: [dependency.container for dependency in c.depends_on] for c in spec.containers}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return fault
    return None


def gate(view: View, container: ContainerView, *, now: float) -> Gate:
    """Tell whether a container that has not started may go on at `now` (epoch seconds)."""
    deadlines: list[float | None] = []
    for dependency in container.spec.depends_on:
        match _state(dependency, view.container(dependency.container), target=container.name, now=now):
            case Ready():
                continue
            case Waiting(until=until):
                deadlines.append(until)
            case Hopeless() as hopeless:
                return hopeless
    if not deadlines:
        return Ready()
    return Waiting(until=min((at for at in deadlines if at is not None), default=None))


def settle(view: View, *, now: float) -> Assignment:
    """Write down which containers never will start, so that a dependency that comes too late changes nothing."""
    assignment = view.assignment
    if view.stopping:
        return assignment
    containers = dict(assignment.containers)
    for container in view.containers:
        if container.phase < Phase.RUNNING:
            found = gate(view, container, now=now)
            if isinstance(found, Hopeless):
                containers[container.name] = replace(container.memory, fault=found.fault)
    return assignment if containers == assignment.containers else replace(assignment, containers=containers)


def may_stop(view: View, container: ContainerView) -> bool:
    """Tell whether every container that depends on this one is over: stopping goes in the reverse order of starting."""
    return all(
        other.phase is Phase.STOPPED
        for other in view.containers
        if any(dependency.container == container.name for dependency in other.spec.depends_on)
    )


def _state(dependency: Dependency, on: ContainerView, *, target: str, now: float) -> Gate:
    ran = on.memory.started_at is not None
    end = on.memory.end
    lost = on.phase is Phase.STOPPED
    match dependency.condition:
        case Condition.START:
            satisfied = on.phase is Phase.RUNNING or (lost and ran)
        case Condition.COMPLETE:
            satisfied = end is not None
        case Condition.SUCCESS:
            satisfied = end is not None and end.code == 0
        case Condition.CREATED:
            satisfied = on.phase in (Phase.CREATED, Phase.RUNNING) or (lost and on.memory.runtime_id is not None)
        case Condition.HEALTHY:
            satisfied = on.phase is Phase.RUNNING and on.health is Health.HEALTHY
        case _:
            assert_never(dependency.condition)
    if satisfied:
        return Ready()
    edge = f"container ordering dependency [{dependency.container}] for target [{target}]"
    if lost:
        why = "as dependency did not exit successfully." if ran else "because dependency will never start"
        return _hopeless(f"failed to resolve {edge} {why}")
    deadline = _deadline(dependency, on)
    if deadline is not None and now >= deadline:
        return _hopeless(f"{edge} has timed out.")
    return Waiting(until=deadline)


def _deadline(dependency: Dependency, on: ContainerView) -> float | None:
    """The dependency's own startTimeout, counted from its own start; START and CREATED know none."""
    timeout, started_at = on.spec.start_timeout, on.memory.started_at
    if (
        dependency.condition in (Condition.START, Condition.CREATED)
        or timeout is None
        or timeout <= 0
        or started_at is None
    ):
        return None
    return started_at + timeout


def _hopeless(message: str) -> Hopeless:
    return Hopeless(fault=Fault(name="CannotStartContainerError", message=f"dependency graph: {message}"))
