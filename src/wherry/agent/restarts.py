"""restartPolicy: which container that has ended is started again, in place (reference 3.2). Pure.

Semantics after aws/amazon-ecs-agent ecs-agent/api/container/restart. The engine's own times decide, so that the
answer is the same whenever it is asked for, and by whichever agent.
"""

from __future__ import annotations

from wherry.agent.memory import ContainerMemory
from wherry.agent.runtime.base import ContainerState, Observed
from wherry.agent.spec import ContainerSpec


def due(container: ContainerSpec, observed: Observed, memory: ContainerMemory, *, stopping: bool) -> bool:
    """Tell whether a container that has exited is to be started again rather than to count as ended.

    It is if its task goes on, it has a policy, its exit code is known and not ignored, and it has run for the period:
    one that fails sooner stays as it is. Exit code 0 is like any other.
    """
    policy = container.restart_policy
    if policy is None or stopping or memory.end is not None or memory.fault or memory.restart_fault:
        return False
    if observed.state is not ContainerState.EXITED or observed.exit_code in (None, *policy.ignored_exit_codes):
        return False
    if observed.started_at is None or observed.finished_at is None:
        return False
    return observed.finished_at - observed.started_at >= policy.attempt_period


def counted(memory: ContainerMemory, observed: Observed) -> tuple[int, float | None]:
    """Count a start that is later than the last that was seen; returns the restarts and the last start.

    Only the start of a container that runs is told exactly; what has exited may have an earlier one.
    """
    started = observed.started_at
    if started is None or (memory.last_started_at is not None and started <= memory.last_started_at):
        return memory.restarts, memory.last_started_at
    return memory.restarts + (memory.last_started_at is not None), started
