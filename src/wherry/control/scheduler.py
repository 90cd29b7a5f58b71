"""The placement loop: tasks that wait for a host get one as soon as there is room, and services hear why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec

from wherry.control import events
from wherry.control.loop import Controller
from wherry.model.arn import FARGATE_POOL, Scope
from wherry.model.ids import Entropy
from wherry.model.placement import NO_INSTANCES, Placed, Unplaced
from wherry.model.service import Service
from wherry.model.task import Task, TaskStatus
from wherry.settings import Settings, Timing
from wherry.store import Store, Tx, placing

QUIET, PATIENCE = 0.05, 1.0
"""Seconds: tasks that are started together are placed together."""

BATCH = 100
"""Tasks placed in one transaction, so that a large pass does not hold other writers up."""

STALE = 1.0
"""Seconds until another look when the world had changed between a decision and its commit."""


def controller(
    store: Store, settings: Settings, scope: Scope, *, clock: Callable[[], float], entropy: Entropy
) -> Controller:
    """Make the controller that places tasks."""
    placement = Placement(store, scope=scope, clock=clock, entropy=entropy, timing=settings.timing)
    return Controller(
        "placement",
        store,
        "placement",
        placement.step,
        placement.sweep,
        entropy=entropy,
        # One pass at a time: two would decide on the same room.
        workers=1,
        period=settings.timing.sweep,
        quiet=QUIET,
        patience=PATIENCE,
    )


class Placement:
    """The loop's step; a key is the cluster whose tasks wait, or the pool for those of all clusters."""

    def __init__(
        self, store: Store, *, scope: Scope, clock: Callable[[], float], entropy: Entropy, timing: Timing
    ) -> None:
        self._store = store
        self._pool = scope.cluster(FARGATE_POOL)
        self._clock = clock
        self._entropy = entropy
        self._timing = timing

    async def sweep(self) -> Iterable[str]:
        """Name the pool: it stands for every task that waits."""
        return (self._pool,)

    async def step(self, key: str) -> float | None:
        """Place what fits."""
        survey, stranded = await self._store.read(_survey, None if key == self._pool else key)
        decisions = [*survey.decide(), *stranded]
        placed = [decision for decision in decisions if isinstance(decision, Placed)]
        unplaced = [decision for decision in decisions if isinstance(decision, Unplaced)]
        done = 0
        for start in range(0, len(placed), BATCH):
            batch = placed[start : start + BATCH]
            done += await self._store.write(_carry_out, batch, now=self._clock(), entropy=self._entropy)
        if unplaced:
            explain = partial(_explain, now=self._clock(), entropy=self._entropy, repeat=self._timing.event_repeat)
            await self._store.write(explain, unplaced)
        return None if done == len(placed) else STALE


def _survey(tx: Tx, cluster_arn: str | None) -> tuple[placing.Survey, list[Unplaced]]:
    """Read what waits: for the pool, which is to be decided, and for container instances, of which there are none."""
    stranded = placing.waiting(tx, cluster_arn=cluster_arn, launch_type="EC2")
    return placing.survey(tx, placing.waiting(tx, cluster_arn=cluster_arn)), [
        Unplaced(task_arn=task.task_arn, reason=NO_INSTANCES, detail=NO_INSTANCES) for task in stranded
    ]


def _carry_out(tx: Tx, decisions: Sequence[Placed], *, now: float, entropy: Entropy) -> int:
    """Place tasks; a service none of whose tasks waits any more may complain afresh the next time."""
    placed = placing.apply(tx, decisions, now=now, entropy=entropy)
    for service_arn in {task.service_arn for task in placed if task.service_arn is not None}:
        service = tx.get(Service, service_arn)
        waits = tx.count(
            Task, service_arn=service_arn, container_instance_arn=None, last_status=TaskStatus.PROVISIONING
        )
        if service is not None and not waits:
            cleared = events.forget(service, _beginning(service))
            if cleared is not service:
                tx.put(cleared)
    return len(placed)


def _explain(tx: Tx, decisions: Sequence[Unplaced], *, now: float, entropy: Entropy, repeat: float) -> None:
    """Write on tasks what they wait for, and once for all tasks of a service the event that says so."""
    reasons: dict[str, Unplaced] = {}
    for decision in decisions:
        task = tx.get(Task, decision.task_arn)
        if task is None or not placing.waits(task):
            continue
        if task.placement_reason != decision.detail:
            tx.put(msgspec.structs.replace(task, placement_reason=decision.detail))
        if task.service_arn is not None:
            reasons.setdefault(task.service_arn, decision)
    for service_arn, decision in reasons.items():
        service = tx.get(Service, service_arn)
        if service is not None:
            events.record(tx, service, _complaint(service, decision), now=now, entropy=entropy, repeat=repeat)


def _complaint(service: Service, decision: Unplaced) -> str:
    if decision.reason == NO_INSTANCES:
        return (
            f"{_beginning(service)} because no container instance met all of its requirements. Reason: {NO_INSTANCES} "
            "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
        )
    return f"{_beginning(service)}. Reason: {decision.reason}. {decision.detail}"


def _beginning(service: Service) -> str:
    return f"(service {service.service_name}) was unable to place a task"
