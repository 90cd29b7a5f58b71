"""ephemeralStorage: a task that uses more disk than it may is stopped.

No file system of the engine limits a whole task, its layers and its volumes together, so what it uses is looked at
now and then: between two looks it may use more. Tasks that name no limit are never looked at, since that costs.
"""

from __future__ import annotations

import anyio
import structlog

from wherry.agent.journal import JournalError
from wherry.agent.memory import Fault
from wherry.agent.roster import Roster
from wherry.agent.runtime.base import Runtime, RuntimeFault, RuntimeUnavailableError
from wherry.agent.spec import TaskSpec

log = structlog.get_logger()

EVERY = 30.0
"""Seconds between two looks."""
GIB = 2**30


async def watch(roster: Roster, runtime: Runtime, *, every: float = EVERY) -> None:
    """Stop tasks that use more than their ephemeral storage, until cancelled."""
    while True:
        await anyio.sleep(every)
        for task in [view.assignment.spec for view in roster.views() if view.running]:
            if task.storage_gib is None:
                continue
            try:
                used = await runtime.storage_used(task)
            except (RuntimeFault, RuntimeUnavailableError) as error:
                log.warning("storage_unknown", task=task.arn, error=str(error))
                continue
            if used > task.storage_gib * GIB:
                _fail(roster, task, used)


def _fail(roster: Roster, task: TaskSpec, used: int) -> None:
    try:
        roster.fail(task.arn, exceeded(task, used))
    except JournalError as error:
        # It may be this very task that has filled the disk: the next look tries again.
        log.warning("storage_exceeded", task=task.arn, error=str(error))


def exceeded(task: TaskSpec, used: int) -> Fault:
    """Say that a task uses `used` bytes, which is too much."""
    message = f"The task uses {used / GIB:.1f} GiB of its {task.storage_gib} GiB of ephemeral storage."
    return Fault(name="OutOfStorageError", message=message)
