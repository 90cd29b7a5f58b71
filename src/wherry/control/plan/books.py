"""What a deployment remembers of its tasks: failures for the circuit breaker, failed starts for the throttle.

Each stopped task is counted once, in the transaction that marks it `counted`; everything here follows from the
deployment's counters and the tasks of the snapshot, whose own times tell what came first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from msgspec import structs

from wherry.control.plan import census, texts
from wherry.control.plan.census import Clock
from wherry.model.service import CircuitBreaker, Deployment
from wherry.model.task import StopCode, Task
from wherry.settings import Timing

_WANTED = frozenset({StopCode.SERVICE_SCHEDULER_INITIATED, StopCode.USER_INITIATED})


def keep(deployment: Deployment, tasks: Sequence[Task], clock: Clock, breaker: CircuitBreaker | None) -> Deployment:
    """Return `deployment` with its counters brought up to date by `tasks`, all of the snapshot that it started."""
    own = [task for task in tasks if task.started_by == deployment.deployment_id]
    return _throttle(_failures(deployment, own, clock, breaker or CircuitBreaker()), own, clock)


def failed_to_start(task: Task) -> bool:
    """Tell whether a stopped task never reached RUNNING, and nobody asked it to stop."""
    return task.is_stopped and task.started_at is None and task.stop_code not in _WANTED


def failed_health_checks(task: Task) -> bool:
    """Tell whether a stopped task was stopped because it was UNHEALTHY."""
    return task.is_stopped and task.stopped_reason == texts.FAILED_HEALTH_CHECKS


def backed_off_until(deployment: Deployment, timing: Timing) -> float:
    """Tell when the pause after failed starts ends: it doubles with each round of them."""
    if not deployment.start_failures or deployment.start_failed_at is None:
        return 0
    # The exponent is bounded so that the float is; by then any maximum has long won.
    doubled = timing.start_backoff_initial * 2.0 ** min(deployment.start_failures - 1, 64)
    return deployment.start_failed_at + min(doubled, timing.start_backoff_maximum)


def throttled_until(deployment: Deployment, timing: Timing) -> float:
    """Tell when the next task of the deployment may start.

    ECS does not throttle tasks that reach RUNNING and exit: there, getting a host takes the time. Here it takes none,
    so that a command that exits at once is given the first pause, and never a longer one.
    """
    paced = 0 if deployment.crashed_at is None else deployment.crashed_at + timing.start_backoff_initial
    return max(backed_off_until(deployment, timing), paced)


def _failures(deployment: Deployment, own: Sequence[Task], clock: Clock, breaker: CircuitBreaker) -> Deployment:
    """Count tasks that failed: to start as long as none has run, their health checks, or to last until healthy.

    ECS does not say that a task which ran for a moment counts. It must: whether a program that exits at once is ever
    seen RUNNING is a matter of milliseconds, and so would be whether its rollout ends.
    """
    any_running = deployment.any_running or any(task.started_at is not None for task in own)

    def counts(task: Task, at: float) -> bool:
        never_ran = not any_running and failed_to_start(task)
        return never_ran or failed_health_checks(task) or _crashed(task, at, clock.timing)

    stopped = [(task, task.stopped_at or clock.now) for task in own]
    times = [at for task, at in stopped if counts(task, at)]
    last = -inf if deployment.failed_at is None else deployment.failed_at
    well = _last_healthy(own, clock) if breaker.reset_on_healthy_task else -inf
    before = 0 if well > last else deployment.failed_tasks
    return structs.replace(
        deployment,
        any_running=any_running,
        failed_tasks=before + sum(time > well for time in times),
        failed_at=max(times, default=None) if deployment.failed_at is None else max([*times, deployment.failed_at]),
    )


def _throttle(deployment: Deployment, own: Sequence[Task], clock: Clock) -> Deployment:
    """Count rounds of starts that failed: what was already under way when a round failed belongs to that round."""
    ran = max((task.started_at for task in own if task.started_at is not None), default=-inf)
    if deployment.start_failed_at is not None and ran > deployment.start_failed_at:
        deployment = structs.replace(deployment, start_failures=0)
    for task in sorted(own, key=lambda task: task.stopped_at or clock.now):
        at = task.stopped_at or clock.now
        if _crashed(task, at, clock.timing):
            deployment = structs.replace(deployment, crashed_at=at)
        if failed_to_start(task) and at > ran and task.created_at >= backed_off_until(deployment, clock.timing):
            deployment = structs.replace(deployment, start_failures=deployment.start_failures + 1, start_failed_at=at)
    return deployment


def _crashed(task: Task, at: float, timing: Timing) -> bool:
    """Tell whether a task ran and ended by itself before it was healthy."""
    if not task.is_stopped or task.started_at is None or task.stop_code in _WANTED:
        return False
    well = census.healthy_at(task, timing)
    return well is None or well > at


def _last_healthy(own: Sequence[Task], clock: Clock) -> float:
    times = (census.healthy_at(task, clock.timing) for task in own if not task.is_stopped)
    return max((time for time in times if time is not None and time <= clock.now), default=-inf)
