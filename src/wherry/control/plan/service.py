"""The plan for one service: books first, then a verdict on its deployment, then the exchange of tasks.

A plan does one thing at a time. What it decides is written in one transaction, that rings for the service, and the next
plan starts from the outcome: there is no other memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from msgspec import structs

from wherry.control.plan import actions as do
from wherry.control.plan import books, census, texts
from wherry.control.plan.actions import Action, Plan, ServiceSnapshot
from wherry.control.plan.census import Census, Clock, Group
from wherry.control.plan.conclusion import conclude
from wherry.control.plan.exchange import Exchange, exchange
from wherry.control.plan.verdict import judge
from wherry.model.service import Deployment, DeploymentStatus, Service, ServiceStatus
from wherry.model.task import StopCode, Task, TaskStatus
from wherry.settings import Timing


def plan(snapshot: ServiceSnapshot, *, now: float, timing: Timing) -> Plan:
    """Decide what a service needs at `now` (epoch seconds); an empty plan if nothing."""
    grace = snapshot.service.health_check_grace_period_seconds or 0
    clock = Clock(now=now, timing=timing, grace=grace)
    match snapshot.service.status:
        case ServiceStatus.ACTIVE:
            people = census.take(snapshot, clock)
            if people is None:
                return Plan(actions=tuple(_count(snapshot)))
            return _run(snapshot, people, clock)
        case ServiceStatus.DRAINING | ServiceStatus.INACTIVE:
            return Plan(actions=tuple(_dismantle(snapshot)))
        case other:
            assert_never(other)


def _run(snapshot: ServiceSnapshot, people: Census, clock: Clock) -> Plan:
    service = snapshot.service
    counted = _keep_books(snapshot, people, clock)
    changes = [*_count(snapshot), *_pin(snapshot)]
    verdict = judge(service, counted.primary.deployment, snapshot)
    if verdict:
        return Plan(actions=(*changes, *_books(people, counted), *verdict))
    moves = exchange(counted, census.limits(service), clock)
    counted = _shrunk(counted, moves)
    changes += [*_books(people, counted), *_moves(service, counted.primary.deployment, moves)]
    outcome = conclude(service, counted, moves, clock)
    times = (outcome.wake_at, moves.throttled_until, census.next_change(snapshot.tasks, clock))
    return Plan(
        actions=(*changes, *outcome.actions), wake_at=min((time for time in times if time is not None), default=None)
    )


def _count(snapshot: ServiceSnapshot) -> Iterator[Action]:
    if stopped := tuple(task.task_arn for task in snapshot.tasks if task.is_stopped):
        yield do.CountStopped(task_arns=stopped)


def _pin(snapshot: ServiceSnapshot) -> Iterator[Action]:
    """Pin each container's image to the digest that the revision's first task found, unless the container opts out."""
    for arn, revision in snapshot.revisions.items():
        definition = snapshot.definitions.get(revision.task_definition)
        if definition is None:
            continue
        names = {c.name for c in definition.container_definitions if c.version_consistency != "disabled"}
        found: dict[str, str] = {}
        if names - revision.container_images.keys():
            own = (task for task in snapshot.tasks if task.service_revision_arn == arn)
            for task in sorted(own, key=lambda task: task.created_at):
                found = {c.name: c.image_digest for c in task.containers if c.image_digest and c.name in names} | found
        if found.keys() - revision.container_images.keys():
            yield do.Pin(service_revision_arn=arn, container_images=found | revision.container_images)


def _keep_books(snapshot: ServiceSnapshot, people: Census, clock: Clock) -> Census:
    breaker = snapshot.service.deployment_configuration.deployment_circuit_breaker

    def kept(group: Group) -> Group:
        return structs.replace(group, deployment=books.keep(group.deployment, snapshot.tasks, clock, breaker))

    return structs.replace(people, primary=kept(people.primary), old=tuple(map(kept, people.old)))


def _shrunk(people: Census, moves: Exchange) -> Census:
    """Write down what the old deployments may still have."""

    def shrunk(group: Group) -> Group:
        count = moves.desired_counts[group.deployment.deployment_id]
        return structs.replace(group, deployment=structs.replace(group.deployment, desired_count=count))

    return structs.replace(people, old=tuple(map(shrunk, people.old)))


def _books(before: Census, after: Census) -> Iterator[Action]:
    for old, new in zip(before.groups, after.groups, strict=True):
        if new.deployment != old.deployment:
            yield do.KeepBooks(deployment=new.deployment)


def _moves(service: Service, primary: Deployment, moves: Exchange) -> Iterator[Action]:
    yield from moves.starts
    for stop in moves.stops:
        reason = texts.FAILED_HEALTH_CHECKS if stop.unhealthy else texts.stop_reason(primary)
        yield do.StopTask(task_arn=stop.task.task_arn, code=StopCode.SERVICE_SCHEDULER_INITIATED, reason=reason)
    for stop in moves.stops:
        if stop.unhealthy:
            yield do.Event(message=texts.failed_health_checks(service, stop.task.task_id))
    for message in texts.stopped(service, [stop.task.task_id for stop in moves.stops]):
        yield do.Event(message=message)


def _dismantle(snapshot: ServiceSnapshot) -> Iterator[Action]:
    """Stop every task of a deleted service, protected or not; INACTIVE once all of them are stopping."""
    yield from _count(snapshot)
    wanted = [task for task in snapshot.tasks if census.lives(task)]
    primary = next((d for d in snapshot.deployments if d.status is DeploymentStatus.PRIMARY), None)
    for task in wanted:
        reason = texts.stop_reason(primary) if primary else _deleted(task)
        yield do.StopTask(task_arn=task.task_arn, code=StopCode.SERVICE_SCHEDULER_INITIATED, reason=reason)
    for message in texts.stopped(snapshot.service, [task.task_id for task in wanted]):
        yield do.Event(message=message)
    stopping = all(task.last_status.rank >= TaskStatus.STOPPING.rank for task in snapshot.tasks)
    if snapshot.service.status is ServiceStatus.DRAINING and stopping:
        yield do.FinishDraining()


def _deleted(task: Task) -> str:
    return f"Scaling activity initiated by (deployment {task.started_by})"
