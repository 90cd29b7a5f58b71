"""Gives hosts up whose agent has not been connected for too long: what ran there is replaced elsewhere.

Nobody else could: a task on such a host says RUNNING for ever, its service counts on it, and its address stays taken.
An agent that comes back is told that its instance is not registered any more. It registers anew, finds none of its
tasks in the manifest, and stops them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
from msgspec import structs

from wherry.control.loop import Controller
from wherry.model import arn, reports
from wherry.model.arn import Scope
from wherry.model.ids import Entropy
from wherry.model.instance import ContainerInstance, InstanceStatus
from wherry.model.task import Task
from wherry.settings import Settings
from wherry.store import Store, Tx, placing

log = structlog.get_logger()

QUIET, PATIENCE = 0.05, 1.0
"""Seconds: an instance is dirty with each of its tasks, and that is nothing to look at again and again."""


def controller(
    store: Store,
    settings: Settings,
    scope: Scope,  # noqa: ARG001 - every controller is made from the same five
    *,
    clock: Callable[[], float],
    entropy: Entropy,
) -> Controller:
    """Make the controller whose keys are the ARNs of container instances. `clock` tells epoch seconds."""
    timing = settings.timing

    async def step(instance_arn: str) -> float | None:
        due = await store.read(lost_at, instance_arn, timing.instance_lost_after)
        if due is None:
            return None
        now = clock()
        if now < due:
            return due - now
        lost = await store.write(lose, instance_arn, now=now, lost_after=timing.instance_lost_after)
        if lost is not None:
            log.warning("instance_lost", instance=instance_arn, tasks=lost)
        return None

    async def sweep() -> Iterable[str]:
        return await store.read(_registered)

    period = timing.sweep
    return Controller(
        "instances", store, "instance", step, sweep, entropy=entropy, period=period, quiet=QUIET, patience=PATIENCE
    )


def lost_at(tx: Tx, instance_arn: str, lost_after: float) -> float | None:
    """Tell when the instance will count as lost (epoch seconds); None if it does not have to be waited for."""
    instance = tx.get(ContainerInstance, instance_arn)
    return None if instance is None else instance.lost_at(lost_after)


def lose(tx: Tx, instance_arn: str, *, now: float, lost_after: float) -> list[str] | None:
    """Make the instance INACTIVE and end its tasks, whose ARNs are returned; None if its agent is back after all."""
    instance = tx.get(ContainerInstance, instance_arn)
    due = None if instance is None else instance.lost_at(lost_after)
    if instance is None or due is None or now < due:
        return None
    tx.put(structs.replace(instance, status=InstanceStatus.INACTIVE))
    reason = f"Host EC2 (instance {arn.last(instance_arn)}) terminated."
    tasks = tx.find(Task, container_instance_arn=instance_arn, last_status=placing.ALIVE)
    for task in tasks:
        tx.put(reports.lose(task, reason=reason, now=now))
        placing.release_interface(tx, task.task_arn)
    return [task.task_arn for task in tasks]


def _registered(tx: Tx) -> list[str]:
    found = tx.find(ContainerInstance, status=(InstanceStatus.ACTIVE, InstanceStatus.DRAINING))
    return [instance.container_instance_arn for instance in found]
