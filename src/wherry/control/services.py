"""The service scheduler: keeps every service as its owner wants it, one dirty service at a time.

A step reads a snapshot, asks the planner, and carries the plan out in one transaction. If the service has moved on
between the two, the plan is made afresh inside the transaction: it is pure and takes well under a millisecond, and so
no stream of reports, however fast, keeps a service from being served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wherry.control.apply import Applier, World
from wherry.control.loop import Controller
from wherry.control.plan.actions import Plan, ServiceSnapshot
from wherry.control.plan.service import plan
from wherry.control.standstill import SHOWN, Standstill, in_progress, versions
from wherry.model.arn import Scope
from wherry.model.ids import Entropy
from wherry.model.service import Deployment, Service, ServiceRevision
from wherry.model.task import Task
from wherry.model.taskdef import TaskDefinition
from wherry.settings import Settings, Timing
from wherry.store import Store, Tx

QUIET, PATIENCE = 0.02, 1.0
"""Seconds: a burst of reports about one service is one look at it, and a burst without end is one look a second."""


def controller(
    store: Store, settings: Settings, scope: Scope, *, clock: Callable[[], float], entropy: Entropy
) -> Controller:
    """Make the controller whose keys are service ARNs. `clock` tells epoch seconds."""
    timing = settings.timing
    standstill = Standstill()

    async def step(service_arn: str) -> float | None:
        standstill.forget(service_arn)
        snapshot = await store.read(load, service_arn)
        if snapshot is None:
            return None
        now = clock()
        decided = plan(snapshot, now=now, timing=timing)
        if not decided.actions:
            standstill.note(snapshot, planned_at=now, wake_at=decided.wake_at)
        else:
            world = World(scope=scope, entropy=entropy, now=clock(), repeat=timing.event_repeat)
            decided = await store.write(carry_out, snapshot, decided, world, timing)
        return None if decided.wake_at is None else max(0.0, decided.wake_at - clock())

    async def sweep() -> Iterable[str]:
        return await standstill.moved(store, clock())

    return Controller(
        "services", store, "service", step, sweep, entropy=entropy, period=timing.sweep, quiet=QUIET, patience=PATIENCE
    )


def load(tx: Tx, service_arn: str) -> ServiceSnapshot | None:
    """Read what a plan for the service needs; None if it is gone."""
    service = tx.get(Service, service_arn)
    if service is None:
        return None
    deployments = tx.find(Deployment, service_arn=service_arn, status=SHOWN)
    if in_progress(deployments):
        deployments = tx.find(Deployment, service_arn=service_arn)
    tasks = tx.find(Task, service_arn=service_arn, counted=False)
    shown = {d.service_revision_arn for d in deployments if d.status in SHOWN}
    revisions = {arn: found for arn in shown if (found := tx.get(ServiceRevision, arn)) is not None}
    used = {revision.task_definition for revision in revisions.values()}
    definitions = {arn: made for arn in used if (made := tx.get(TaskDefinition, arn)) is not None}
    return ServiceSnapshot(
        service=service,
        deployments=tuple(deployments),
        tasks=tuple(tasks),
        revisions=revisions,
        definitions=definitions,
    )


def carry_out(tx: Tx, snapshot: ServiceSnapshot, decided: Plan, world: World, timing: Timing) -> Plan:
    """Apply the plan, or a fresh one if the service is not what it was in `snapshot`; returns the one applied."""
    current = load(tx, snapshot.service.service_arn)
    if current is None:
        return Plan()
    if versions(current) != versions(snapshot):
        decided = plan(current, now=world.now, timing=timing)
    applier = Applier(tx, current, world)
    for action in decided.actions:
        applier.apply(action)
    return decided
