"""The next steps of a task: all that can be done now, each one idempotent call. Pure.

Independent containers progress at the same time; what must wait is simply not planned yet. A step that is planned
again while it is in progress is the same step: the runner does not begin it twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from wherry.agent import dependencies, reports
from wherry.agent.dependencies import Ready, Waiting
from wherry.agent.progress import ContainerView, Phase, View
from wherry.agent.reports import Report
from wherry.agent.spec import AsmAuth, ContainerSpec, Struct


class EnsureSandbox(Struct, frozen=True):
    """Make the task's network and limits."""


class FetchSupplies(Struct, frozen=True):
    """Fetch what the task needs that is not in its payload, before its first container is created."""


class PullImage(Struct, frozen=True):
    """Bring the container's image to the host."""

    container: ContainerSpec


class CreateContainer(Struct, frozen=True):
    """Create the container."""

    container: ContainerSpec


class StartContainer(Struct, frozen=True):
    """Start the container for the one time that it is started."""

    name: str
    runtime_id: str


class RestartContainer(Struct, frozen=True):
    """Start the container again, as its restartPolicy says."""

    name: str
    runtime_id: str


class StopContainer(Struct, frozen=True):
    """Stop the container; `timeout` seconds between its stop signal and SIGKILL."""

    name: str
    runtime_id: str
    timeout: float


class Tell(Struct, frozen=True):
    """Report until it is acknowledged."""

    report: Report


class RemoveSandbox(Struct, frozen=True):
    """Take down the task's network and limits."""


class RemoveVolumes(Struct, frozen=True):
    """Remove the volumes that were the task's alone."""


class RemoveContainer(Struct, frozen=True):
    """Remove the container from the engine."""

    name: str
    runtime_id: str


class Finish(Struct, frozen=True):
    """Nothing is left to do."""


Step = (
    EnsureSandbox
    | FetchSupplies
    | PullImage
    | CreateContainer
    | StartContainer
    | RestartContainer
    | StopContainer
    | Tell
    | RemoveSandbox
    | RemoveContainer
    | RemoveVolumes
    | Finish
)


class Plan(Struct, frozen=True):
    """What to do now, and when to look again even if nothing happens (epoch seconds)."""

    steps: tuple[Step, ...]
    wake_at: float | None = None


def next_steps(
    view: View,
    *,
    now: float,
    sandboxed: bool,
    supplied: bool = True,
    creates_ahead: bool = False,
    cleanup_wait: float = 0,
) -> Plan:
    """Plan a task at `now` (epoch seconds).

    `sandboxed` tells that the sandbox is known to be there: it is asked for again after each restart of the agent.
    `supplied` tells that what is fetched for the task is at hand, which no restart survives either.
    `creates_ahead` tells that containers may be created, though not started, before it is.
    Containers of a stopped task are kept for `cleanup_wait` seconds after its end was acknowledged.
    """
    report = reports.due(view)
    told: tuple[Step, ...] = (Tell(report=report),) if report is not None else ()
    if not view.stopping:
        creatable = supplied and (sandboxed or creates_ahead)
        rising = _rise(view, now=now, sandboxed=sandboxed, supplied=supplied, creatable=creatable)
        return Plan(steps=told + rising.steps, wake_at=rising.wake_at)
    if not view.stopped:
        return Plan(steps=told + tuple(_stops(view)))
    if view.assignment.told.stopped_at is None:
        return Plan(steps=told)
    return _clean_up(view, told, now=now, remove_at=view.assignment.told.stopped_at + cleanup_wait)


def _rise(view: View, *, now: float, sandboxed: bool, supplied: bool, creatable: bool) -> Plan:
    """Bring every container up that may go on."""
    steps: list[Step] = []
    deadlines: list[float] = []
    rising = [container for container in view.containers if container.phase < Phase.RUNNING]
    if (rising or any(container.restarting for container in view.containers)) and not sandboxed:
        steps.append(EnsureSandbox())
    if not supplied and any(container.phase < Phase.CREATED for container in rising):
        steps.append(FetchSupplies())
    steps += _restarts(view, sandboxed=sandboxed)
    for container in rising:
        match dependencies.gate(view, container, now=now):
            case Ready():
                step = _rung(container, sandboxed=sandboxed, supplied=supplied, creatable=creatable)
                if step is not None:
                    steps.append(step)
            case Waiting(until=until) if until is not None:
                deadlines.append(until)
            case _:
                continue
    return Plan(steps=tuple(steps), wake_at=min(deadlines, default=None))


def _rung(container: ContainerView, *, sandboxed: bool, supplied: bool, creatable: bool) -> Step | None:
    """The next rung of one container; an image may be pulled while the sandbox is being made.

    One of a private registry is pulled by what is in a secret.
    """
    if container.phase is Phase.NEW:
        pullable = supplied or not isinstance(container.spec.registry_auth, AsmAuth)
        return PullImage(container=container.spec) if pullable else None
    if container.phase is Phase.CREATED and container.memory.runtime_id is not None:
        return StartContainer(name=container.name, runtime_id=container.memory.runtime_id) if sandboxed else None
    return CreateContainer(container=container.spec) if creatable else None


def _restarts(view: View, *, sandboxed: bool) -> Iterator[Step]:
    for container in view.containers:
        if sandboxed and container.restarting and container.memory.runtime_id is not None:
            yield RestartContainer(name=container.name, runtime_id=container.memory.runtime_id)


def _stops(view: View) -> Iterator[Step]:
    """Stop what runs and on which nothing that is still there depends."""
    for container in view.containers:
        runtime_id = container.memory.runtime_id
        if container.phase is Phase.RUNNING and runtime_id is not None and dependencies.may_stop(view, container):
            yield StopContainer(name=container.name, runtime_id=runtime_id, timeout=container.spec.stop_timeout)


def _clean_up(view: View, told: tuple[Step, ...], *, now: float, remove_at: float) -> Plan:
    """Give back what the task held: its address and disks at once, its containers after the wait, then its volumes."""
    steps = list(told)
    if not view.assignment.detached:
        steps.append(RemoveSandbox())
    left = [container for container in view.containers if container.present]
    if left and now < remove_at:
        return Plan(steps=tuple(steps), wake_at=remove_at)
    steps += [
        RemoveContainer(name=container.name, runtime_id=container.memory.runtime_id)
        for container in left
        if container.memory.runtime_id is not None
    ]
    gone = view.assignment.detached and not left
    if gone and view.assignment.spec.has_own_volumes and not view.assignment.emptied:
        steps.append(RemoveVolumes())
    return Plan(steps=tuple(steps) or (Finish(),))
