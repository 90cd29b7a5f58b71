"""What follows once the tasks are dealt with: deployments that end or arrive, and what there is to say about it."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.control.plan import actions as do
from wherry.control.plan import census, texts
from wherry.control.plan.actions import Action, Plan
from wherry.control.plan.census import Census, Clock, Group
from wherry.control.plan.exchange import Exchange
from wherry.model.service import Deployment, RolloutState, Service

CONSISTENT = 2
"""Rounds of failed starts after which they are worth an event."""


def conclude(service: Service, people: Census, moves: Exchange, clock: Clock) -> Plan:
    """Retire the deployments that are gone, complete the one that has arrived and baked, say what has changed."""
    primary = people.primary.deployment
    settled = _settled(service, people, moves)
    arrived = settled and primary.rollout_state is RolloutState.IN_PROGRESS
    baked_at = _baked_at(service, primary, clock)
    completes = arrived and baked_at <= clock.now
    gone = (group for group in people.old if _is_over(group, people, moves, service))
    changes: list[Action] = [do.RetireDeployment(deployment_id=group.deployment.deployment_id) for group in gone]
    remembered = dict(service.last_events)
    if completes:
        changes += [
            do.CompleteDeployment(deployment_id=primary.deployment_id),
            do.Event(message=texts.completed(service, primary)),
        ]
        # A deployment that completes ends in a steady state of its own, even if the service has never left one.
        if remembered.pop(texts.steady(service), None) is not None:
            changes.append(do.Forget(message=texts.steady(service)))
    elif arrived and primary.bake_started_at is None:
        changes.append(do.BeginBake(deployment_id=primary.deployment_id))
    conditions = {
        texts.throttled(service): primary.start_failures >= CONSISTENT,
        texts.deadlocked(service): moves.deadlocked,
        texts.protected(service, primary): bool(moves.shielded),
        texts.steady(service): settled and (completes or not arrived),
    }
    said, times = _say(conditions, remembered, clock)
    if arrived and not completes:
        times.append(baked_at)
    times += [t.protection_expires_at for t in moves.shielded if t.protection_expires_at is not None]
    return Plan(actions=(*changes, *said), wake_at=min(times, default=None))


def _say(
    conditions: Mapping[str, bool], remembered: Mapping[str, float], clock: Clock
) -> tuple[list[Action], list[float]]:
    """Say what lasts: once when it begins, again after a long time, and anew when it comes back."""
    changes: list[Action] = []
    reminders: list[float] = []
    for message, holds in conditions.items():
        last = remembered.get(message)
        if holds and (last is None or clock.now - last >= clock.timing.event_repeat):
            changes.append(do.Event(message=message, standing=True))
        elif holds and last is not None:
            reminders.append(last + clock.timing.event_repeat)
        elif last is not None:
            changes.append(do.Forget(message=message))
    return changes, reminders


def _settled(service: Service, people: Census, moves: Exchange) -> bool:
    """Tell whether the service is exactly as desired: every task healthy, of the newest revision, none on its way."""
    primary = people.primary
    return (
        not moves.starts
        and not moves.stops
        and not primary.lingering
        and len(primary.healthy) == primary.living == service.desired_count
        and all(_is_over(group, people, moves, service) for group in people.old)
        and primary.deployment.rollout_state is not RolloutState.FAILED
    )


def _is_over(group: Group, people: Census, moves: Exchange, service: Service) -> bool:
    """Tell whether an old deployment is over: no task left, and none to be restored, now or when there is room."""
    leaving = {stop.task.task_arn for stop in moves.stops}
    staying = (*people.primary.healthy, *(t for old in people.old for t in (*old.starting, *old.healthy)))
    fit = sum(task.task_arn not in leaving for task in staying)
    owed = group.proven and group.deployment.desired_count and fit < census.limits(service).lower
    return group.gone and not owed


def _baked_at(service: Service, primary: Deployment, clock: Clock) -> float:
    bake = service.deployment_configuration.bake_time_in_minutes * 60
    return bake + (clock.now if primary.bake_started_at is None else primary.bake_started_at)
