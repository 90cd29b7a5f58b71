"""What is the case with a task, and what is to be remembered of it. Pure.

`learn` folds an observation into the memory; `look` joins the two into one view on which everything is decided and
from which everything is reported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import IntEnum

from msgspec.structs import replace

from wherry.agent import restarts
from wherry.agent.memory import Assignment, ContainerMemory, End, Fault
from wherry.agent.runtime.base import ContainerState, Health, Observed
from wherry.agent.spec import ContainerSpec, Struct

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
VANISHED = Fault(name="ContainerVanishedError", message="No container matching saved ID found")


class Phase(IntEnum):
    """How far a container has come; it never goes back."""

    NEW = 0
    PULLED = 1
    CREATED = 2
    RUNNING = 3
    STOPPED = 4


class ContainerView(Struct, frozen=True):
    """A container as it is now. `present` tells that the engine still has it, running or not.

    `restarting` tells that it has exited and is to be started again: to all others it is RUNNING meanwhile.
    """

    spec: ContainerSpec
    phase: Phase
    memory: ContainerMemory
    health: Health = Health.UNKNOWN
    health_since: float | None = None
    present: bool = False
    restarting: bool = False

    @property
    def name(self) -> str:
        """The container's name."""
        return self.spec.name


class View(Struct, frozen=True):
    """A task as it is now. `busy` are the containers on which a step is in progress."""

    assignment: Assignment
    containers: tuple[ContainerView, ...]
    busy: frozenset[str] = frozenset()

    def container(self, name: str) -> ContainerView:
        """Find a container; KeyError if the task has none of this name."""
        for container in self.containers:
            if container.name == name:
                return container
        raise KeyError(name)

    @property
    def stopping(self) -> bool:
        """Whether the task is on its way out, or there already."""
        return self.assignment.stopping or self._all_over

    @property
    def stopped(self) -> bool:
        """Whether the task is over: nothing runs, and nothing can start any more."""
        return self.stopping and not self.busy and self._all_over

    @property
    def running(self) -> bool:
        """Whether the task is at steady state: every container runs, or has run and was free to end."""
        return not self.stopping and all(container.phase >= Phase.RUNNING for container in self.containers)

    @property
    def _all_over(self) -> bool:
        return all(container.phase is Phase.STOPPED for container in self.containers)


def learn(
    assignment: Assignment,
    observed: Iterable[Observed],
    *,
    busy: Collection[str] = (),
    unstarted: Collection[str] = (),
) -> Assignment:
    """Remember what an observation tells; the same object if that is nothing new.

    `unstarted` are containers that certainly have not been started: somebody who removes one, as a prune of the engine
    does, costs the task nothing, for it can be created again.

    `busy` are the containers on which a step was in progress when the observation began: of those it proves nothing.
    Nor does absence once the end of the task is acknowledged: from then on the agent itself removes containers.
    """
    seen = {one.name: one for one in observed}
    containers = dict(assignment.containers)
    for spec in assignment.spec.containers:
        before = assignment.memory(spec.name)
        if (one := seen.get(spec.name)) is not None:
            containers[spec.name] = _learn_present(
                before, one, spec, busy=spec.name in busy, stopping=assignment.stopping
            )
        elif (before.runtime_id or assignment.adopted) and spec.name not in busy and assignment.told.stopped_at is None:
            again = spec.name in unstarted and not assignment.stopping
            absent = replace(before, runtime_id=None) if again else _learn_absent(before, stopping=assignment.stopping)
            containers[spec.name] = absent
    return assignment if containers == assignment.containers else replace(assignment, containers=containers)


def _learn_present(
    memory: ContainerMemory, observed: Observed, spec: ContainerSpec, *, busy: bool, stopping: bool
) -> ContainerMemory:
    end, fault = memory.end, memory.fault
    # One that is being started again may be seen as it was before.
    lingers = spec.restart_policy is not None and busy
    restarts_due = lingers or restarts.due(spec, observed, memory, stopping=stopping)
    if observed.state is ContainerState.EXITED and end is None and not restarts_due:
        reason = OUT_OF_MEMORY if observed.oom_killed else None
        if memory.restart_fault is not None:
            reason = memory.restart_fault.reason
        end = End(code=observed.exit_code, at=observed.finished_at, reason=reason)
    if observed.state is ContainerState.CREATED and observed.error and fault is None and not busy:
        fault = Fault(name="CannotStartContainerError", message=observed.error)
    if spec.restart_policy is not None:
        count, last = restarts.counted(memory, observed)
        memory = replace(memory, restarts=count, last_started_at=last)
    return replace(
        memory,
        runtime_id=memory.runtime_id or observed.runtime_id,
        started_at=observed.started_at if memory.started_at is None else memory.started_at,
        image_digest=memory.image_digest or observed.image_digest,
        end=end,
        fault=fault,
    )


def _learn_absent(memory: ContainerMemory, *, stopping: bool) -> ContainerMemory:
    """Draw the conclusion from a container that was there and is not: somebody removed it."""
    if memory.end is not None or memory.fault is not None:
        return memory
    if memory.started_at is None:
        return memory if stopping else replace(memory, fault=VANISHED)
    return replace(memory, end=End(code=None, reason=VANISHED.reason))


def look(assignment: Assignment, observed: Iterable[Observed], *, busy: Collection[str] = ()) -> View:
    """Join what is remembered with what is observed; `assignment` has learned from the observation before."""
    seen = {one.name: one for one in observed}
    views = (
        _view(assignment, spec, seen.get(spec.name), busy=spec.name in busy) for spec in assignment.spec.containers
    )
    return View(assignment=assignment, containers=tuple(views), busy=frozenset(busy))


def _view(assignment: Assignment, spec: ContainerSpec, observed: Observed | None, *, busy: bool) -> ContainerView:
    memory = assignment.memory(spec.name)
    restarting = observed is not None and restarts.due(spec, observed, memory, stopping=assignment.stopping)
    phase = Phase.RUNNING if restarting else _phase(memory, observed, given_up=assignment.stopping and not busy)
    return ContainerView(
        spec=spec,
        phase=phase,
        restarting=restarting,
        memory=memory,
        health=observed.health if observed is not None and spec.health_check is not None else Health.UNKNOWN,
        health_since=observed.health_since if observed is not None else None,
        present=observed is not None,
    )


def _phase(memory: ContainerMemory, observed: Observed | None, *, given_up: bool) -> Phase:
    """Place a container; what has not been started when the task is given up never will be: it is over."""
    # Running beats a fault: an engine that failed to answer a start may have carried it out.
    if observed is not None and observed.state is ContainerState.RUNNING:
        return Phase.RUNNING
    if memory.end is not None or memory.fault is not None or given_up:
        return Phase.STOPPED
    if observed is not None:
        return Phase.CREATED
    return Phase.PULLED if memory.pulled else Phase.NEW
