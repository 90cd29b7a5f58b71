"""The arithmetic of exchanging tasks: how many may start, which may stop, and what stands in the way.

Two promises (ECS API reference, DeploymentConfiguration): the scheduler never starts a task that would make more than
`upper` live, and never stops a healthy one that would leave fewer than `lower` healthy. Within them new tasks start
before old ones stop; only where the ceiling leaves no room are old ones stopped first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from wherry.control.plan import books, order
from wherry.control.plan.actions import StartTasks
from wherry.control.plan.census import Census, Clock, Group, Health, Limits
from wherry.model.service import RolloutState
from wherry.model.task import Task, TaskStatus

MOST_STARTS = 100
"""Tasks that one plan starts: transactions stay short, and the next plan follows at once."""


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A task to stop, because it is `unhealthy` or because it is not wanted any more."""

    task: Task
    unhealthy: bool = False


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What to start and stop, and why it is not more.

    `desired_counts` are those of the old deployments by id. `throttled_until` is set while failed starts hold new ones
    back; `shielded` are protected tasks that should go; `deadlocked` that floor and ceiling leave no way at all.
    """

    starts: tuple[StartTasks, ...]
    stops: tuple[Stop, ...]
    desired_counts: dict[str, int]
    throttled_until: float | None
    shielded: tuple[Task, ...]
    deadlocked: bool


class _Tally(msgspec.Struct, kw_only=True):
    """What is left of a group while the plan takes tasks away."""

    starting: int
    healthy: int
    unhealthy: int
    dismissed: int = 0

    @property
    def fit(self) -> int:
        return self.starting + self.healthy

    @property
    def living(self) -> int:
        return self.fit + self.unhealthy


class _Draft:
    """The plan in the making: what remains after the stops so far, against floor and ceiling."""

    def __init__(self, census: Census, limits: Limits, clock: Clock) -> None:
        self.census, self.limits, self.clock = census, limits, clock
        self.tallies = {
            group.deployment.deployment_id: _Tally(
                starting=len(group.starting), healthy=len(group.healthy), unhealthy=len(group.unhealthy)
            )
            for group in census.groups
        }
        self.starts: list[StartTasks] = []
        self.stops: list[Stop] = []
        self.shielded: list[Task] = []
        self.throttled_until: float | None = None
        self._where = {
            task.task_arn: (self.of(group), group is census.primary, state)
            for group in census.groups
            for state, tasks in (
                (Health.STARTING, group.starting),
                (Health.HEALTHY, group.healthy),
                (Health.UNHEALTHY, group.unhealthy),
            )
            for task in tasks
        }

    def of(self, group: Group) -> _Tally:
        return self.tallies[group.deployment.deployment_id]

    @property
    def primary(self) -> _Tally:
        return self.of(self.census.primary)

    @property
    def old(self) -> list[_Tally]:
        return [self.of(group) for group in self.census.old]

    @property
    def stalled(self) -> bool:
        """A FAILED deployment starts nothing more, so that nothing is exchanged for it either."""
        return self.census.primary.deployment.rollout_state is RolloutState.FAILED

    @property
    def healthy(self) -> int:
        return sum(tally.healthy for tally in self.tallies.values())

    @property
    def promised(self) -> int:
        """Healthy tasks, and old ones that may be healthy soon: those that start to hold the floor must not be lost."""
        return self.primary.healthy + sum(tally.fit for tally in self.old)

    @property
    def room(self) -> int:
        living = sum(tally.living for tally in self.tallies.values())
        return max(0, self.limits.upper - living - sum(start.count for start in self.starts))

    @property
    def wanted(self) -> int:
        """How many tasks the PRIMARY deployment lacks; those that are unhealthy are to be replaced."""
        return 0 if self.stalled else max(0, self.limits.desired - self.primary.fit)

    @property
    def gap(self) -> int:
        """How many tasks of the old revision the floor lacks."""
        return max(0, self.limits.lower - self.promised)

    def may_stop(self, task: Task) -> bool:
        _, new, state = self._where[task.task_arn]
        match state:
            case Health.HEALTHY:
                return self.healthy > self.limits.lower
            case Health.STARTING:
                return new or self.promised > self.limits.lower
            case Health.UNHEALTHY:
                return True

    def stop(self, task: Task, *, unhealthy: bool = False) -> None:
        tally, _, state = self._where.pop(task.task_arn)
        match state:
            case Health.HEALTHY:
                tally.healthy -= 1
            case Health.STARTING:
                tally.starting -= 1
            case Health.UNHEALTHY:
                tally.unhealthy -= 1
        tally.dismissed += not unhealthy
        self.stops.append(Stop(task=task, unhealthy=unhealthy))

    def remaining(self, tasks: Iterable[Task]) -> list[Task]:
        return [task for task in tasks if task.task_arn in self._where]


def exchange(census: Census, limits: Limits, clock: Clock) -> Exchange:
    """Decide which tasks to start and stop now; taken again and again, this converges or says why not."""
    draft = _Draft(census, limits, clock)
    pause = books.throttled_until(census.primary.deployment, clock.timing)
    if draft.wanted and pause > clock.now:
        draft.throttled_until = pause
    _drop_obsolete(draft)
    _replace_unhealthy(draft)
    _shrink(draft)
    _restore(draft)
    _start(draft)
    return Exchange(
        starts=tuple(draft.starts),
        stops=tuple(draft.stops),
        desired_counts={g.deployment.deployment_id: _desired(g, draft.of(g)) for g in census.old},
        throttled_until=draft.throttled_until,
        shielded=tuple(draft.shielded),
        deadlocked=_deadlocked(draft),
    )


def _drop_obsolete(draft: _Draft) -> None:
    """Stop what a deployment that was overtaken or failed had not yet brought to run: nobody needs it."""
    for group in draft.census.old:
        if group.proven:
            continue
        for task in group.starting:
            if task.last_status is not TaskStatus.RUNNING:
                draft.stop(task)
        for task in group.unhealthy:
            draft.stop(task, unhealthy=True)


def _replace_unhealthy(draft: _Draft) -> None:
    """Stop the unhealthy tasks whose replacements are healthy, or one of them where the ceiling forbids to start first.

    Stopping an unhealthy task takes nothing from the floor.
    """
    before = len(draft.stops)
    spare = draft.primary.healthy + draft.primary.unhealthy - draft.limits.desired
    for task in draft.census.primary.unhealthy[: max(0, spare)]:
        draft.stop(task, unhealthy=True)
    unhealthy = draft.remaining(task for group in draft.census.old for task in group.unhealthy)
    if draft.primary.healthy + sum(tally.healthy for tally in draft.old) >= draft.limits.lower:
        for task in unhealthy:
            draft.stop(task, unhealthy=True)
    if len(draft.stops) > before or draft.room or _moving(draft):
        return
    replaceable = draft.remaining(draft.census.primary.unhealthy) if _wanted_now(draft) else []
    if draft.gap:
        replaceable += draft.remaining(unhealthy)
    for task in replaceable[:1]:
        draft.stop(task, unhealthy=True)


def _shrink(draft: _Draft) -> None:
    """Stop what is more than desired, and the old tasks that healthy new ones have replaced or that block them."""
    census, desired = draft.census, draft.limits.desired
    new = [census.primary.unhealthy, census.primary.starting, census.primary.healthy]
    proven = [group for group in census.old if group.proven]
    unproven = [group for group in census.old if not group.proven]
    old = [tasks for group in (*unproven, *proven) for tasks in (group.starting, group.healthy)]
    if draft.stalled:
        _reduce(draft, draft.primary.living + sum(tally.fit for tally in draft.old) - desired, [*new, *old])
        return
    _reduce(draft, draft.primary.fit - desired, new[1:])
    keep = max(0, desired - draft.primary.healthy)
    _reduce(draft, max(sum(tally.fit for tally in draft.old) - keep, _blocked(draft)), old)


def _reduce(draft: _Draft, surplus: int, classes: Sequence[Sequence[Task]]) -> None:
    if surplus <= 0:
        return
    living = [draft.remaining(tasks) for tasks in classes]
    open_to = [[task for task in tasks if not task.protected(draft.clock.now)] for tasks in living]
    if sum(map(len, open_to)) < surplus:
        draft.shielded += [task for tasks in living for task in tasks if task.protected(draft.clock.now)]
    everyone = draft.remaining(task for group in draft.census.groups for task in group.alive())
    for task in order.scale_in(open_to, everyone=everyone):
        if not surplus:
            return
        if draft.may_stop(task):
            draft.stop(task)
            surplus -= 1


def _restore(draft: _Draft) -> None:
    """Replace lost tasks of the old revision by the same while the floor needs them (ECS since November 2025)."""
    for group in reversed(draft.census.old):
        missing = _desired(group, draft.of(group)) - draft.of(group).fit
        if not group.proven or books.throttled_until(group.deployment, draft.clock.timing) > draft.clock.now:
            continue
        _add(draft, group, min(missing, draft.gap - _started(draft), draft.room))


def _start(draft: _Draft) -> None:
    if _wanted_now(draft):
        _add(draft, draft.census.primary, min(draft.wanted, draft.room))


def _add(draft: _Draft, group: Group, count: int) -> None:
    count = min(count, MOST_STARTS - _started(draft))
    if count <= 0:
        return
    unhealthy = min(count, len(group.unhealthy))
    draft.starts.append(StartTasks(deployment_id=group.deployment.deployment_id, count=count, unhealthy=unhealthy))


def _wanted_now(draft: _Draft) -> bool:
    return draft.wanted > 0 and draft.throttled_until is None


def _started(draft: _Draft) -> int:
    return sum(start.count for start in draft.starts)


def _blocked(draft: _Draft) -> int:
    """How many new tasks only a stopped old one can let in: the ceiling, or a full cluster, keeps them out."""
    if draft.primary.unhealthy or draft.throttled_until is not None:
        return 0
    homeless = sum(_unplaceable(task) for task in draft.remaining(draft.census.primary.starting))
    return homeless + max(0, draft.wanted - draft.room)


def _moving(draft: _Draft) -> bool:
    """Whether any task is on its way to be healthy."""
    starting = (task for group in draft.census.groups for task in group.starting)
    return any(not _unplaceable(task) for task in draft.remaining(starting))


def _unplaceable(task: Task) -> bool:
    return task.container_instance_arn is None and task.placement_reason is not None


def _desired(group: Group, tally: _Tally) -> int:
    """What an old deployment may still have: what it had when it was overtaken, less what was stopped since."""
    stored = group.deployment.desired_count
    return max(0, (group.living if stored is None else stored) - tally.dismissed)


def _deadlocked(draft: _Draft) -> bool:
    undone = draft.wanted or any(tally.living for tally in draft.old)
    idle = not (draft.starts or draft.stops or draft.shielded or any(t.starting for t in draft.tallies.values()))
    return bool(undone and idle and not draft.stalled and draft.throttled_until is None)
