"""All tasks of this host: who is assigned, a runner for each, and what is left over from nobody.

Whatever changes an assignment from outside is written to the journal first, and synchronously: between a payload and
its acknowledgement there is no moment at which a crash loses it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import cast

import anyio
import structlog
from anyio.abc import TaskGroup
from msgspec.structs import replace

from wherry.agent.assignments.tasks import take_on
from wherry.agent.backoff import Backoff
from wherry.agent.credentials import RoleType
from wherry.agent.logs.spool import SpoolError
from wherry.agent.memory import Assignment, Fault, Told
from wherry.agent.progress import View
from wherry.agent.runner import Runner, Surroundings
from wherry.agent.runtime.base import Observed, RuntimeFault, RuntimeUnavailableError
from wherry.agent.runtime.together import together
from wherry.model.host_rules import NOTHING, HostRules
from wherry.model.protocol.acs import ManifestTask
from wherry.model.protocol.task import PayloadTask, RoleCredentials
from wherry.model.task import DesiredStatus

log = structlog.get_logger()

REMEMBER_FINISHED = 24 * 3600.0
"""How long a finished task is known, in seconds: a late copy of its payload must not run it again."""


class Roster:
    """The assignments of one agent. `run` must be running for anything to happen to them."""

    def __init__(self, around: Surroundings, *, stop_timeout: float, host_rules: HostRules = NOTHING) -> None:
        """Read the journal; `stop_timeout` in seconds holds for containers that name none.

        `host_rules` say what tasks may take of this host.
        """
        self.health_changed = anyio.Event()
        self._around = around
        self._stop_timeout = stop_timeout
        self._host_rules = host_rules
        self._runners: dict[str, Runner] = {}
        self._health: dict[str, tuple[tuple[str, str], ...]] = {}
        self._fresh_health: set[str] = set()
        self._manifest: frozenset[str] | None = None
        self._manifest_came = anyio.Event()
        self._group: TaskGroup | None = None
        around.journal.forget_finished(before=around.clock() - REMEMBER_FINISHED)
        known = around.journal.assignments()
        self._finished = {one.arn: one for one in known if one.finished_at is not None}
        for one in known:
            if one.finished_at is None:
                self._runners[one.arn] = self._runner(one)
        around.credentials.restore(self._runners.keys())
        if around.routers is not None:
            around.routers.restore({arn.rsplit("/", 1)[-1] for arn in self._runners})

    async def run(self) -> None:
        """Carry all assignments through until cancelled."""
        async with anyio.create_task_group() as group:
            self._group = group
            for runner in list(self._runners.values()):
                group.start_soon(self._carry, runner)
            group.start_soon(self._listen)
            group.start_soon(self._clear_leftovers)

    def assign(self, tasks: Sequence[PayloadTask]) -> None:
        """Take on what a payload brings; on return it is in the journal, and its roles' credentials are held."""
        self._forget_finished()
        changed = [assignment for task in tasks if (assignment := self._changed(task)) is not None]
        self._around.journal.save(changed)
        here = self._runners.keys() | {assignment.arn for assignment in changed}
        for task in tasks:
            if task.arn in here:
                self._around.credentials.take_all(task)
        for assignment in changed:
            if (runner := self._runners.get(assignment.arn)) is not None:
                runner.change(assignment)
                continue
            was_here = self._finished.pop(assignment.arn, None) is not None or assignment.adopted
            self._runners[assignment.arn] = runner = self._runner(assignment, is_new=not was_here)
            if self._group is not None:
                self._group.start_soon(self._carry, runner)

    def refresh(self, task_arn: str, role_type: RoleType, credentials: RoleCredentials) -> bool:
        """Hold fresh credentials of a task's role; False if there is no such task here."""
        if task_arn not in self._runners:
            return False
        self._around.credentials.take(task_arn, role_type, credentials)
        return True

    def stop(self, task_arns: Iterable[str]) -> None:
        """Stop tasks; on return that is in the journal. Unknown ones are left alone."""
        runners = [self._runners[arn] for arn in task_arns if arn in self._runners]
        changed = [(runner, replace(runner.assignment, desired=DesiredStatus.STOPPED)) for runner in runners]
        self._around.journal.save(assignment for _, assignment in changed)
        for runner, assignment in changed:
            runner.change(assignment)

    def fail(self, task_arn: str, fault: Fault) -> None:
        """End a task because of `fault`; on return that is in the journal. One that is ending anyway is left alone."""
        runner = self._runners.get(task_arn)
        if runner is None or runner.assignment.stopping:
            return
        failed = replace(runner.assignment, fault=fault)
        self._around.journal.save([failed])
        runner.change(failed)

    def strays(self, manifest: Iterable[ManifestTask]) -> list[Assignment]:
        """List the tasks that run here and that the manifest lacks, or has as stopped."""
        wanted = {task.task_arn for task in manifest if task.desired_status == DesiredStatus.RUNNING}
        running = (runner.assignment for runner in self._runners.values())
        return [one for one in running if one.arn not in wanted and one.desired is DesiredStatus.RUNNING]

    def clear_leftovers(self, manifest: Iterable[ManifestTask]) -> None:
        """Remove containers and sandboxes of this agent that neither journal nor manifest knows, soon."""
        self._manifest = frozenset(task.task_arn for task in manifest)
        self._manifest_came.set()

    def assignments(self) -> list[Assignment]:
        """List the assignments that are not finished."""
        return [runner.assignment for runner in self._runners.values()]

    def view(self, task_arn: str) -> View | None:
        """Return the last look at a task; None if it is not here, or has not been looked at yet."""
        runner = self._runners.get(task_arn)
        return None if runner is None else runner.view

    def views(self) -> list[View]:
        """List the last look at each task."""
        return [runner.view for runner in self._runners.values() if runner.view is not None]

    def news_of_health(self) -> list[View]:
        """List the last look at each task whose health has changed since this was asked the last time."""
        fresh, self._fresh_health = self._fresh_health, set()
        return [view for arn in fresh if (view := self.view(arn)) is not None]

    def _changed(self, task: PayloadTask) -> Assignment | None:
        """Work out what a task of a payload means: something new, a stop, or nothing."""
        runner = self._runners.get(task.arn)
        if runner is not None:
            known = runner.assignment
            if task.desired_status != DesiredStatus.STOPPED or known.desired is DesiredStatus.STOPPED:
                return None
            return replace(known, desired=DesiredStatus.STOPPED)
        if (finished := self._finished.get(task.arn)) is not None:
            # It is over, and the control plane does not seem to know: tell it again, run nothing.
            return replace(finished, desired=DesiredStatus.STOPPED, told=Told(), finished_at=None)
        return take_on(task, stop_timeout=self._stop_timeout, host_rules=self._host_rules)

    def _runner(self, assignment: Assignment, *, is_new: bool = False) -> Runner:
        if assignment.spec.execution_credentials_id is not None and assignment.told.stopped_at is None:
            self._around.credentials.await_execution_role(assignment.arn)
        return Runner(assignment, self._around, is_new=is_new, on_view=self._on_view)

    async def _carry(self, runner: Runner) -> None:
        await runner.run()
        assignment = runner.assignment
        self._around.credentials.forget(assignment.arn)
        del self._runners[assignment.arn]
        self._health.pop(assignment.arn, None)
        self._fresh_health.discard(assignment.arn)
        self._finished[assignment.arn] = assignment

    def _forget_finished(self) -> None:
        horizon = self._around.clock() - REMEMBER_FINISHED
        kept = {arn: one for arn, one in self._finished.items() if (one.finished_at or 0) >= horizon}
        if len(kept) < len(self._finished):
            self._around.journal.forget_finished(before=horizon)
            self._finished = kept

    def _on_view(self, view: View) -> None:
        checked = tuple((c.name, c.health.value) for c in view.containers if c.spec.health_check is not None)
        if checked and self._health.get(view.assignment.arn) != checked:
            self._health[view.assignment.arn] = checked
            self._fresh_health.add(view.assignment.arn)
            self.health_changed.set()
            self.health_changed = anyio.Event()

    async def _listen(self) -> None:
        """Pass the engine's hints on; an engine that is back has everything looked at."""
        backoff = Backoff(0.5, 10, 2, self._around.entropy)
        while True:
            for runner in list(self._runners.values()):
                runner.wake()
            try:
                async for arn in self._around.runtime.events():
                    backoff.reset()
                    if arn in self._runners:
                        self._runners[arn].wake()
            except RuntimeUnavailableError as error:
                log.warning("engine_events_lost", error=str(error))
            await anyio.sleep(backoff.pause())

    async def _clear_leftovers(self) -> None:
        backoff = Backoff(1, 30, 2, self._around.entropy)
        while True:
            await self._manifest_came.wait()
            manifest = cast("frozenset[str]", self._manifest)
            self._manifest_came = anyio.Event()
            try:
                await self._clear(manifest)
                backoff.reset()
            except (RuntimeUnavailableError, RuntimeFault, SpoolError) as error:
                log.warning("leftovers_wait", error=str(error))
                await anyio.sleep(backoff.pause())
                self._manifest_came.set()

    async def _remove(self, container: Observed) -> None:
        runtime, relay = self._around.runtime, self._around.relay
        await runtime.stop(container.runtime_id, timeout=self._stop_timeout)
        await runtime.remove(container.runtime_id)
        if relay is not None:
            await relay.end(container.task_arn)

    async def _clear(self, manifest: Collection[str]) -> None:
        """Remove what nobody knows; asked again before each act, for a payload may have come meanwhile."""
        runtime = self._around.runtime
        unknown = []
        for container in await runtime.containers():
            if container.task_arn not in manifest and container.task_arn not in self._runners:
                log.warning("leftover_container", task=container.task_arn, container=container.name)
                unknown.append(container)
        await together(self._remove, unknown)
        listed = {arn.rsplit("/", 1)[-1] for arn in manifest}
        for task_id in await runtime.sandboxes():
            known = listed | {arn.rsplit("/", 1)[-1] for arn in self._runners}
            if task_id not in known:
                log.warning("leftover_sandbox", task_id=task_id)
                await runtime.remove_sandbox(task_id, None)
        for arn in await runtime.volumes():
            if arn not in manifest and arn not in self._runners:
                log.warning("leftover_volumes", task=arn)
                await runtime.remove_volumes(arn)
