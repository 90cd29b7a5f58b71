"""The reaper and the event log over a real store: what is due goes, what is in use stays."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import NOW, SCOPE, Counter, a_cluster, a_deployment, a_service, a_task, a_task_definition

from wherry.control import events
from wherry.control.reaper import BATCH, SWEEPERS
from wherry.model.account import IdempotencyToken
from wherry.model.cluster import Cluster, ClusterStatus
from wherry.model.service import (
    Deployment,
    DeploymentStatus,
    RolloutState,
    Service,
    ServiceEvent,
    ServiceRevision,
    ServiceStatus,
)
from wherry.model.task import Task, TaskStatus
from wherry.model.taskdef import TaskDefinition, TaskDefinitionStatus
from wherry.settings import Timing
from wherry.store import Store, Tx

pytestmark = pytest.mark.anyio

TIMING = Timing()
DAY = 24 * 3600.0
LATER = NOW + 100 * DAY


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def put(store: Store, *entities: Any) -> None:
    def write(tx: Tx) -> None:
        for entity in entities:
            tx.put(entity)

    await store.write(write)


async def rows(store: Store, kind: type[Any]) -> list[Any]:
    return await store.read(lambda tx: tx.find(kind))


async def sweep(store: Store, now: float) -> int:
    return sum([await store.write(sweeper, now, TIMING) for sweeper in SWEEPERS.values()])


def over(number: int, **changes: Any) -> Task:
    return a_task(number=number, last_status=TaskStatus.STOPPED, desired_status="STOPPED", stopped_at=NOW, **changes)


async def test_stopped_tasks_stay_for_their_time(store: Store) -> None:
    await put(store, over(1), a_task(number=2))
    assert await sweep(store, NOW + DAY) == 0
    assert await sweep(store, NOW + DAY + 1) == 1
    assert [t.last_status for t in await rows(store, Task)] == [TaskStatus.PROVISIONING]


async def test_a_large_sweep_goes_in_batches(store: Store) -> None:
    await put(store, *(over(number) for number in range(BATCH + 1)))
    assert await store.write(SWEEPERS["tasks"], LATER, TIMING) == BATCH
    assert await store.write(SWEEPERS["tasks"], LATER, TIMING) == 1


async def test_client_tokens_are_forgotten_when_they_expire(store: Store) -> None:
    await put(store, IdempotencyToken(key="k", fingerprint="f", resource_arns=(), expires_at=NOW))
    assert await sweep(store, NOW) == 0
    assert await sweep(store, NOW + 1) == 1


async def test_deleted_clusters_go_and_active_ones_stay(store: Store) -> None:
    await put(store, a_cluster(name="old", status=ClusterStatus.INACTIVE, deleted_at=NOW), a_cluster())
    assert await sweep(store, NOW + DAY) == 0
    await sweep(store, NOW + DAY + 1)
    assert [c.cluster_name for c in await rows(store, Cluster)] == ["default"]


def a_revision(number: int, service: str = "web") -> ServiceRevision:
    return ServiceRevision(
        service_revision_arn=SCOPE.service_revision("default", service, f"{number:019d}"),
        service_arn=SCOPE.service("default", service),
        cluster_arn=SCOPE.cluster("default"),
        task_definition=SCOPE.task_definition("web", number),
        created_at=NOW,
    )


async def test_a_deleted_service_goes_with_all_that_is_its_own(store: Store) -> None:
    gone, here = a_service(status=ServiceStatus.INACTIVE, deleted_at=NOW), a_service(name="here")
    await put(store, gone, here, a_deployment(), a_deployment(number=2, service="here"), a_revision(1))

    def speak(tx: Tx) -> None:
        events.record(tx, tx.get(Service, gone.service_arn), "(service web) x", now=NOW, entropy=Counter())

    await store.write(speak)
    assert await sweep(store, NOW + DAY) == 0
    assert await sweep(store, NOW + DAY + 1) == 4
    assert [s.service_name for s in await rows(store, Service)] == ["here"]
    assert [d.service_arn for d in await rows(store, Deployment)] == [here.service_arn]
    assert await rows(store, ServiceEvent) == await rows(store, ServiceRevision) == []


async def test_old_deployments_go_with_revisions_that_nothing_else_uses(store: Store) -> None:
    await put(
        store,
        a_service(),
        a_deployment(number=1, status=DeploymentStatus.INACTIVE),
        a_deployment(number=2, status=DeploymentStatus.INACTIVE),
        a_deployment(number=3, service_revision_arn=a_revision(2).service_revision_arn),
        a_deployment(number=4, status=DeploymentStatus.INACTIVE, finished_at=LATER),
        *(a_revision(number) for number in (1, 2, 4)),
    )
    await sweep(store, LATER)
    assert sorted(d.deployment_id[-1] for d in await rows(store, Deployment)) == ["3", "4"]
    assert sorted(r.service_revision_arn[-1] for r in await rows(store, ServiceRevision)) == ["2", "4"]


@pytest.mark.parametrize(
    ("users", "left"),
    [
        ((), 0),
        ((over(1),), 0),
        ((a_task(),), 1),
        ((a_deployment(),), 1),
        ((a_deployment(status=DeploymentStatus.INACTIVE),), 0),
    ],
)
async def test_a_deleted_definition_goes_when_nothing_runs_from_it(
    store: Store, users: tuple[Any, ...], left: int
) -> None:
    await put(
        store, a_task_definition(status=TaskDefinitionStatus.DELETE_IN_PROGRESS), a_task_definition(revision=2), *users
    )
    await sweep(store, NOW)
    assert len(await rows(store, TaskDefinition)) == left + 1


@pytest.mark.parametrize(
    ("state", "left"), [(RolloutState.IN_PROGRESS, 1), (RolloutState.COMPLETED, 0), (RolloutState.FAILED, 0)]
)
async def test_a_deleted_definition_stays_while_a_rollout_could_go_back_to_it(
    store: Store, state: RolloutState, left: int
) -> None:
    completed = RolloutState.COMPLETED
    second = SCOPE.task_definition("web", 2)
    await put(
        store,
        a_task_definition(status=TaskDefinitionStatus.DELETE_IN_PROGRESS),
        a_deployment(number=1, status=DeploymentStatus.INACTIVE, rollout_state=completed),
        a_deployment(number=2, rollout_state=state, task_definition=second, created_at=NOW + 1),
    )
    await sweep(store, NOW)
    assert len(await rows(store, TaskDefinition)) == left


async def test_a_repeated_sentence_is_held_back_until_its_time_or_its_cause_has_passed(store: Store) -> None:
    def say(tx: Tx, text: str, now: float) -> None:
        service = tx.get(Service, a_service().service_arn)
        events.record(tx, service, text, now=now, entropy=lambda size: str(now).encode()[-size:].rjust(size), repeat=60)

    def forget(tx: Tx, beginning: str) -> None:
        tx.put(events.forget(tx.get(Service, a_service().service_arn), beginning))

    await put(store, a_service())
    for second in (0, 30, 59.5):
        await store.write(say, "no room: a", NOW + second)
    assert len(await rows(store, ServiceEvent)) == 1
    await store.write(say, "no room: a", NOW + 60)
    await store.write(say, "no room: b", NOW + 61)
    assert len(await rows(store, ServiceEvent)) == 3
    await store.write(forget, "no room")
    await store.write(say, "no room: a", NOW + 62)
    assert len(await rows(store, ServiceEvent)) == 4


async def test_the_newest_hundred_events_are_kept_in_their_order(store: Store) -> None:
    entropy = Counter()

    def say(tx: Tx) -> None:
        service = tx.get(Service, a_service().service_arn)
        for number in range(events.KEPT + 5):
            service = events.record(tx, service, f"({number})", now=NOW, entropy=entropy)

    await put(store, a_service())
    await store.write(say)
    kept = sorted(await rows(store, ServiceEvent), key=lambda event: event.sequence)
    assert [event.message for event in kept] == [f"({number})" for number in range(5, events.KEPT + 5)]
