"""Which services stand still: nothing was to be done about them, and nothing of them has changed since.

A plan follows from rows and from the time, and says itself when time alone would change it. So a sweep does not have to
look at every service: it asks for the versions of their rows, and names those that are not what was planned on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from wherry.control.plan.actions import ServiceSnapshot
from wherry.model.service import Deployment, DeploymentStatus, RolloutState, Service, ServiceRevision, ServiceStatus
from wherry.model.task import Task
from wherry.store import Store, Tx
from wherry.store.schema import E
from wherry.store.statements import Filter

SHOWN = (DeploymentStatus.PRIMARY, DeploymentStatus.ACTIVE)

BATCH = 500
"""Services whose rows are asked for in one read, so that a large sweep never holds the event loop up."""

Versions = dict[str, int]
"""Of each row that a plan was made from, by its key."""


class _Still(msgspec.Struct, frozen=True):
    """A look that came to nothing: `planned_at`, and when time alone may come to something (epoch seconds)."""

    versions: Versions
    revisions: frozenset[str]
    planned_at: float
    wake_at: float | None

    def holds(self, now: float) -> bool:
        """Say whether the time alone leaves it as it was; a clock that was put back proves nothing."""
        return self.planned_at <= now and (self.wake_at is None or now < self.wake_at)


class Standstill:
    """What was seen of services that stand still. Nothing is lost with it: who is not in it is looked at."""

    def __init__(self) -> None:
        self._still: dict[str, _Still] = {}

    def forget(self, service_arn: str) -> None:
        """Have the next sweep name a service, whatever becomes of it until then."""
        self._still.pop(service_arn, None)

    def note(self, snapshot: ServiceSnapshot, *, planned_at: float, wake_at: float | None) -> None:
        """Remember that a plan had no actions. Not while a rollout is under way: that plan saw more rows."""
        if _is_complete(snapshot) and not in_progress(snapshot.deployments):
            self._still[snapshot.service.service_arn] = _Still(
                versions=versions(snapshot),
                revisions=frozenset(snapshot.revisions),
                planned_at=planned_at,
                wake_at=wake_at,
            )

    async def moved(self, store: Store, now: float) -> list[str]:
        """Name the living services that are not known to be as they were when nothing was to be done."""
        living = await store.read(_living)
        self._still = {arn: still for arn, still in self._still.items() if arn in living}
        moved = [arn for arn in living if arn not in self._still]
        quiet = [arn for arn in living if arn in self._still]
        for start in range(0, len(quiet), BATCH):
            # A step may have forgotten one of them meanwhile.
            known = {arn: still for arn in quiet[start : start + BATCH] if (still := self._still.get(arn)) is not None}
            revisions = {arn for still in known.values() for arn in still.revisions}
            current = await store.read(_current, {arn: living[arn] for arn in known}, sorted(revisions))
            moved += [
                arn
                for arn, still in known.items()
                if not still.holds(now) or _differs(still, current.rows[arn], current.revisions)
            ]
        return moved


class _Current(msgspec.Struct, frozen=True):
    rows: Mapping[str, Versions]
    revisions: Versions


def in_progress(deployments: Iterable[Deployment]) -> bool:
    """Say whether a rollout is under way."""
    return any(
        deployment.status is DeploymentStatus.PRIMARY and deployment.rollout_state is RolloutState.IN_PROGRESS
        for deployment in deployments
    )


def versions(snapshot: ServiceSnapshot) -> Versions:
    """Tell what may change of what a plan is made from; task definitions do not."""
    return {
        snapshot.service.service_arn: snapshot.service.version,
        **{deployment.deployment_id: deployment.version for deployment in snapshot.deployments},
        **{task.task_arn: task.version for task in snapshot.tasks},
        **{arn: revision.version for arn, revision in snapshot.revisions.items()},
    }


def _is_complete(snapshot: ServiceSnapshot) -> bool:
    """Say whether everything was there that the snapshot refers to; what is not may come."""
    named = {deployment.service_revision_arn for deployment in snapshot.deployments}
    used = {revision.task_definition for revision in snapshot.revisions.values()}
    return named == snapshot.revisions.keys() and used == snapshot.definitions.keys()


def _differs(still: _Still, rows: Versions, revisions: Versions) -> bool:
    own = {arn: revisions[arn] for arn in still.revisions if arn in revisions}
    return still.versions != rows | own


def _living(tx: Tx) -> Versions:
    found = _listed(tx, Service, ("service_arn", "version"), status=(ServiceStatus.ACTIVE, ServiceStatus.DRAINING))
    return dict(found)


def _current(tx: Tx, services: Versions, revisions: Sequence[str]) -> _Current:
    """Read the versions of what `load` would read of services that stand still."""
    rows = {arn: {arn: version} for arn, version in services.items()}
    arns = list(services)
    for arn, key, version in (
        *_listed(tx, Deployment, ("service_arn", "deployment_id", "version"), service_arn=arns, status=SHOWN),
        *_listed(tx, Task, ("service_arn", "task_arn", "version"), service_arn=arns, counted=False),
    ):
        rows[arn][key] = version
    found = _listed(tx, ServiceRevision, ("service_revision_arn", "version"), service_revision_arn=revisions)
    return _Current(rows=rows, revisions=dict(found))


def _listed(tx: Tx, type_: type[E], columns: tuple[str, ...], **equals: Filter) -> list[tuple[Any, ...]]:
    """Read columns only: a tally of groups that have one member each, for the key is among them."""
    return list(tx.tally(type_, columns, **equals))
