"""One task: observe, learn, decide, do, until nothing of it is left.

The runner decides nothing itself. Whatever wakes it (an event, a payload, a finished step, a timer), it asks `steps`
what can be done now. It looks at the engine again unless it knows already what it would see: each look takes the
engine's time, which starts need. Steps run side by side, at most one for each container; one that is not planned any
more is abandoned where that is harmless (a pull, a report), and waited for where it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import assert_never

import anyio
import anyio.to_thread
import msgspec
import structlog
from anyio.abc import TaskGroup
from msgspec.structs import replace

from wherry.agent import dependencies, progress, reports, steps
from wherry.agent.backoff import Backoff
from wherry.agent.credentials import RoleCredentialsStore, RoleType
from wherry.agent.firelens import config as firelens
from wherry.agent.firelens.routers import Routers
from wherry.agent.journal import Journal
from wherry.agent.link.base import AccessKey, ControlPlane, RefusedError, UnreachableError
from wherry.agent.link.objects import ObjectStore
from wherry.agent.logs.relay import Relay
from wherry.agent.logs.spool import SpoolError
from wherry.agent.memory import Assignment, Fault
from wherry.agent.progress import View
from wherry.agent.reports import Report
from wherry.agent.runtime.base import (
    ContainerGoneError,
    PullBehavior,
    Runtime,
    RuntimeFault,
    RuntimeUnavailableError,
)
from wherry.agent.sight import Sight
from wherry.agent.spec import ContainerSpec, Struct, TaskSpec
from wherry.agent.steps import Plan, Step
from wherry.agent.supplies import registries, supplies
from wherry.agent.supplies.supplies import Supplies
from wherry.model.ids import Entropy

log = structlog.get_logger()

_TASK = "\0task"
_SUPPLIES = "\0supplies"
_REPORT = "\0report"


def _nothing(_: TaskSpec, __: ContainerSpec) -> dict[str, str]:
    return {}


class Surroundings(Struct, frozen=True):
    """What every runner of an agent shares. Times in seconds; `clock` tells epoch seconds.

    `environment` tells which variables a container is given that only its agent knows; they win over the definition.
    """

    runtime: Runtime
    control_plane: ControlPlane
    journal: Journal
    clock: Callable[[], float]
    entropy: Entropy
    pull_behavior: PullBehavior = PullBehavior.DEFAULT
    sweep: float = 30
    cleanup_wait: float = 0
    credentials: RoleCredentialsStore = msgspec.field(default_factory=RoleCredentialsStore)
    environment: Callable[[TaskSpec, ContainerSpec], dict[str, str]] = _nothing
    relay: Relay | None = None
    routers: Routers | None = None
    objects: ObjectStore | None = None


class _Doing:
    """A step in progress."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.scope = anyio.CancelScope()


class Runner:
    """Carries one assignment through; `view` is the last look at it."""

    def __init__(
        self,
        assignment: Assignment,
        around: Surroundings,
        *,
        is_new: bool = False,
        on_view: Callable[[View], None] = lambda _: None,
    ) -> None:
        """Take what is to be carried through; `on_view` is called after each look.

        `is_new` tells that nothing has been done for it yet, by whatever agent.
        """
        self.assignment = assignment
        self.view: View | None = None
        self._around = around
        self._on_view = on_view
        self._woken = anyio.Event()
        self._doing: dict[str, _Doing] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._seen = Sight(() if is_new else None)
        self._held = is_new
        self._sandboxed = False
        self._supplies = Supplies()
        self._supplied = not supplies.needed(assignment.spec)
        self._unstarted: set[str] = set()

    def wake(self) -> None:
        """Have another look soon: something has happened."""
        self._seen.forget()
        self._woken.set()

    def change(self, assignment: Assignment) -> None:
        """Take over a changed assignment that has been written to the journal."""
        self.assignment = assignment
        self._woken.set()

    async def run(self) -> None:
        """Run until the assignment is finished."""
        turns = self._backoff()
        async with anyio.create_task_group() as group:
            while self.assignment.finished_at is None:
                self._woken = anyio.Event()
                try:
                    plan = await self._look()
                    for step in plan.steps:
                        self._begin(group, step)
                    turns.reset()
                    pause = self._pause(plan)
                except RuntimeUnavailableError as error:
                    pause = turns.pause()
                    log.warning("engine_unavailable", task=self.assignment.arn, error=str(error))
                except Exception:
                    pause = turns.pause()
                    log.exception("task_runner_failed", task=self.assignment.arn, retry_in=pause)
                with anyio.move_on_after(pause):
                    await self._woken.wait()
            group.cancel_scope.cancel()

    async def _look(self) -> Plan:
        """Observe unless it is known what would be seen, remember what that tells, and plan."""
        around = self._around
        busy = frozenset(self._doing)
        if not self._held:
            await around.runtime.hold_limits(self.assignment.spec)
            self._held = True
        look = partial(around.runtime.containers_of, self.assignment.spec)
        observed = await self._seen.renewed(look, sweep=around.sweep)
        # What was done meanwhile may not show in the observation: it counts as in progress until the next one.
        busy |= frozenset(self._doing)
        self._remember(progress.learn(self.assignment, observed, busy=busy, unstarted=self._unstarted))
        named = frozenset(container.name for container in self.assignment.spec.containers)
        view = progress.look(self.assignment, observed, busy=busy & named)
        now = around.clock()
        settled = dependencies.settle(view, now=now)
        if settled is not self.assignment:
            self._remember(settled)
            view = progress.look(self.assignment, observed, busy=busy & named)
        self.view = view
        self._on_view(view)
        plan = steps.next_steps(
            view,
            now=now,
            sandboxed=self._sandboxed,
            supplied=self._supplied,
            creates_ahead=await around.runtime.creates_ahead(self.assignment.spec),
            cleanup_wait=around.cleanup_wait,
        )
        self._abandon(plan)
        return replace(plan, steps=tuple(step for step in plan.steps if _key(step) not in busy))

    def _pause(self, plan: Plan) -> float:
        if plan.wake_at is None:
            return self._around.sweep
        return max(0.0, min(self._around.sweep, plan.wake_at - self._around.clock()))

    def _abandon(self, plan: Plan) -> None:
        for doing in self._doing.values():
            if (
                isinstance(doing.step, steps.PullImage | steps.FetchSupplies | steps.Tell)
                and doing.step not in plan.steps
            ):
                doing.scope.cancel()

    def _begin(self, group: TaskGroup, step: Step) -> None:
        doing = self._doing[_key(step)] = _Doing(step)
        group.start_soon(self._carry_out, doing)

    async def _carry_out(self, doing: _Doing) -> None:
        """Do one step. Its key stays taken while a failed one pauses, so that it is not tried sooner."""
        key = _key(doing.step)
        backoff = self._backoffs.setdefault(key, self._backoff())
        with doing.scope:
            try:
                await self._attempt(doing.step)
                backoff.reset()
            except RuntimeFault as fault:
                log.warning("step_failed", task=self.assignment.arn, step=type(doing.step).__name__, error=str(fault))
                await anyio.sleep(backoff.pause())
            except (RuntimeUnavailableError, UnreachableError, SpoolError) as error:
                log.warning("step_waits", task=self.assignment.arn, step=type(doing.step).__name__, error=str(error))
                await anyio.sleep(backoff.pause())
            except Exception:
                log.exception("step_crashed", task=self.assignment.arn, step=type(doing.step).__name__)
                await anyio.sleep(backoff.pause())
        del self._doing[key]
        if not self._knows_outcome(doing.step):
            self._seen.forget()
        self._woken.set()

    def _knows_outcome(self, step: Step) -> bool:
        """Say whether a look would tell no more of what a step has come to."""
        match step:
            case steps.CreateContainer(container=container):
                return self._seen.has(container.name)
            case steps.StartContainer(name=name):
                return self._seen.has(name, started=True)
            case steps.RestartContainer() | steps.StopContainer() | steps.RemoveContainer():
                return False
            case _:
                return True

    async def _attempt(self, step: Step) -> None:
        """Do a step; a fault that ends what the step was for is remembered, any other is raised."""
        try:
            await self._do(step)
        except RuntimeFault as fault:
            if not self._fail(step, fault):
                raise

    async def _do(self, step: Step) -> None:  # noqa: C901, PLR0912 - a case for each step
        runtime = self._around.runtime
        match step:
            case steps.EnsureSandbox():
                await runtime.ensure_sandbox(self.assignment.spec)
                self._sandboxed = True
                self._remember(replace(self.assignment, attached=True))
            case steps.PullImage(container=container):
                await self._pull(container)
            case steps.FetchSupplies():
                await self._fetch_supplies()
            case steps.CreateContainer(container=container):
                furnished = await self._furnished(self._supplies.given(container))
                runtime_id = await runtime.create(self.assignment.spec, furnished)
                self._unstarted.add(container.name)
                self._seen.add_created(self.assignment.arn, container.name, runtime_id)
            case steps.StartContainer(name=name, runtime_id=runtime_id):
                await self._start(name, runtime_id)
            case steps.RestartContainer(runtime_id=runtime_id):
                await runtime.restart(runtime_id)
            case steps.StopContainer(runtime_id=runtime_id, timeout=timeout):
                await runtime.stop(runtime_id, timeout=timeout)
            case steps.Tell(report=report):
                await self._tell(report)
            case steps.RemoveSandbox():
                await runtime.remove_sandbox(self.assignment.arn, self.assignment.spec.eni)
                self._remember(replace(self.assignment, detached=True))
            case steps.RemoveContainer(name=name, runtime_id=runtime_id):
                if self._around.relay is not None:
                    await self._around.relay.finish(self.assignment.arn, name)
                await runtime.remove(runtime_id)
            case steps.RemoveVolumes():
                await runtime.remove_volumes(self.assignment.arn)
                self._remember(replace(self.assignment, emptied=True))
            case steps.Finish():
                if (relay := self._around.relay) is not None:
                    await relay.end(self.assignment.arn)
                if (routers := self._around.routers) is not None:
                    routers.remove(self.assignment.spec.task_id)
                self._remember(replace(self.assignment, finished_at=self._around.clock()))
            case _:
                assert_never(step)

    async def _fetch_supplies(self) -> None:
        task, around = self.assignment.spec, self._around
        self._supplies = await supplies.fetch(task, around.control_plane, around.objects, self._signer())
        self._supplied = True

    def _signer(self) -> AccessKey | None:
        """Whoever asks for what the task needs: its execution role, or the agent where it has none.

        Raises `UnreachableError` while the role's credentials have not come.
        """
        return self._around.credentials.signer(self.assignment.arn, RoleType.EXECUTION)

    async def _furnished(self, container: ContainerSpec) -> ContainerSpec:
        """Tell a container what only its agent knows; that wins over the definition."""
        own = self._around.environment(self.assignment.spec, container)
        told = replace(container, environment={**container.environment, **own}) if own else container
        if (routers := self._around.routers) is not None and firelens.concerns(told):
            told = await anyio.to_thread.run_sync(routers.equipped, self.assignment.spec, told, self._supplies.secrets)
        relay = self._around.relay
        return told if relay is None else await relay.equipped(self.assignment.spec, told)

    async def _start(self, name: str, runtime_id: str) -> None:
        """Start a container; the next look finds out that one has gone which was never started."""
        is_first = name in self._unstarted
        # From here on nobody can be certain, unless the engine says that there was nothing to start.
        self._unstarted.discard(name)
        try:
            await self._around.runtime.start(runtime_id)
        except ContainerGoneError:
            if not is_first:
                raise
            self._unstarted.add(name)

    async def _pull(self, container: ContainerSpec) -> None:
        around, clock = self._around, self._around.clock
        began = self.assignment.memory(container.name).pull_started_at or clock()
        # Written with what comes of it: whoever pulls in our place begins anew.
        self.assignment = self._noted(container.name, pull_started_at=began)
        access = registries.access(
            self.assignment.spec, container, self._supplies.logins, around.control_plane, self._signer
        )
        image = await around.runtime.pull(container.image, around.pull_behavior, access)
        self._note(container.name, pulled=True, pull_stopped_at=clock(), image_digest=image.digest)

    async def _tell(self, report: Report) -> None:
        operation, parameters = reports.operation(self.assignment, report)
        try:
            await self._around.control_plane.call(operation, parameters)
        except RefusedError as refusal:
            if not refusal.final:
                raise UnreachableError(str(refusal)) from refusal
            # Saying it again would change nothing; the control plane has no use for it.
            log.warning("report_refused", task=self.assignment.arn, operation=operation, error=str(refusal))
        self._remember(reports.acknowledged(self.assignment, report, now=self._around.clock()))
        if self.assignment.told.stopped_at is not None:
            # The control plane sends no credentials of what it knows to be over.
            self._around.credentials.await_nothing(self.assignment.arn)

    def _fail(self, step: Step, fault: RuntimeFault) -> bool:
        """Take a fault as the end of what the step was for; False if the step must be tried again instead."""
        known = Fault(name=fault.name, message=fault.message)
        match step:
            case steps.EnsureSandbox() | steps.FetchSupplies():
                self._remember(replace(self.assignment, fault=known))
            case steps.PullImage() if known.name == "ResourceInitializationError":
                self._remember(replace(self.assignment, fault=known))
            case steps.PullImage(container=container):
                self._note(container.name, pull_stopped_at=self._around.clock(), fault=known)
            case steps.CreateContainer() if fault.name == "ResourceInitializationError":
                self._remember(replace(self.assignment, fault=known))
            case steps.CreateContainer(container=container):
                self._note(container.name, fault=known)
            case steps.RestartContainer(name=name):
                self._note(name, restart_fault=known)
            case steps.StartContainer(name=name):
                self._note(name, fault=known)
            case _:
                return False
        return True

    def _note(self, name: str, **facts: object) -> None:
        self._remember(self._noted(name, **facts))

    def _noted(self, name: str, **facts: object) -> Assignment:
        memory = replace(self.assignment.memory(name), **facts)
        return replace(self.assignment, containers={**self.assignment.containers, name: memory})

    def _remember(self, assignment: Assignment) -> None:
        if assignment != self.assignment:
            self._around.journal.save([assignment])
            self.assignment = assignment

    def _backoff(self) -> Backoff:
        # What the stock agent does with reports: 1 to 30 s.
        return Backoff(1, 30, 1.3, self._around.entropy)


def _key(step: Step) -> str:
    """What a step occupies: a container by its name, the task, or the way to the control plane."""
    match step:
        case steps.PullImage(container=container) | steps.CreateContainer(container=container):
            return container.name
        case steps.StartContainer(name=name) | steps.StopContainer(name=name) | steps.RemoveContainer(name=name):
            return name
        case steps.RestartContainer(name=name):
            return name
        case steps.Tell():
            return _REPORT
        case steps.FetchSupplies():
            return _SUPPLIES
        case steps.EnsureSandbox() | steps.RemoveSandbox() | steps.RemoveVolumes() | steps.Finish():
            return _TASK
        case _:
            assert_never(step)
