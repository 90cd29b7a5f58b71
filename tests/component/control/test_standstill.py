"""What the service scheduler's sweep passes over, and that it passes over nothing that has changed."""

from __future__ import annotations

import pytest
from msgspec import structs
from tests.builders import DIGEST, NOW, SCOPE, Counter, a_deployment, a_service, a_task, a_task_definition

from wherry.control import services, standstill
from wherry.control.standstill import Standstill
from wherry.model import rollout
from wherry.model.service import Deployment, DeploymentStatus, RolloutState, Service, ServiceRevision, ServiceStatus
from wherry.model.task import Task, TaskStatus
from wherry.model.taskdef import TaskDefinition
from wherry.store import Store, Tx

pytestmark = pytest.mark.anyio

SERVICE = a_service().service_arn
ENTROPY = Counter()


@pytest.fixture
async def store(memory_store) -> Store:
    """Have a service with one task, whose rollout is over."""

    await memory_store.write(lambda tx: tx.put(a_task_definition()))
    await memory_store.write(settle, "web", number=1)
    return memory_store


def settle(tx: Tx, name: str, *, number: int) -> None:
    service = tx.put(a_service(name=name))
    revision = tx.put(rollout.new_revision(service, scope=SCOPE, entropy=ENTROPY, now=NOW))
    given = {"number": number, "service": name, "service_revision_arn": revision.service_revision_arn}
    deployment = tx.put(a_deployment(**given, rollout_state=RolloutState.COMPLETED))
    tx.put(
        a_task(
            number=number,
            service_arn=service.service_arn,
            service_revision_arn=deployment.service_revision_arn,
            last_status=TaskStatus.RUNNING,
        )
    )


async def note(store: Store, known: Standstill, service_arn: str = SERVICE, *, wake_at: float | None = None) -> None:
    snapshot = await store.read(services.load, service_arn)
    known.note(snapshot, planned_at=NOW, wake_at=wake_at)


def change(tx: Tx, type_: type, **changes: object) -> None:
    (one,) = tx.find(type_)
    tx.put(structs.replace(one, **changes))


def remove(tx: Tx, type_: type) -> None:
    (one,) = tx.find(type_)
    tx.delete(one)


CHANGES = {
    "the owner wants more": lambda tx: change(tx, Service, desired_count=2),
    "the owner deletes it": lambda tx: change(tx, Service, status=ServiceStatus.DRAINING),
    "a new rollout": lambda tx: tx.put(a_deployment(number=2)),
    "books were kept": lambda tx: change(tx, Deployment, failed_tasks=1),
    "a deployment is not shown any more": lambda tx: change(tx, Deployment, status=DeploymentStatus.INACTIVE),
    "images were pinned": lambda tx: change(tx, ServiceRevision, container_images={"app": DIGEST}),
    "its revision is gone": lambda tx: remove(tx, ServiceRevision),
    "a task has stopped": lambda tx: change(tx, Task, last_status=TaskStatus.STOPPED, stopped_at=NOW),
    "a task is new": lambda tx: tx.put(a_task(number=2, service_arn=SERVICE)),
    "a task is gone": lambda tx: remove(tx, Task),
    "a task has been counted": lambda tx: change(tx, Task, counted=True),
}


async def test_a_service_that_stands_still_is_passed_over_again_and_again(store):
    known = Standstill()
    assert await known.moved(store, NOW) == [SERVICE]
    await note(store, known)
    assert [await known.moved(store, NOW + later) for later in (0, 30, 1e6)] == [[], [], []]


@pytest.mark.parametrize("happened", CHANGES)
async def test_whatever_has_changed_is_found_without_a_bell(store, happened):
    known = Standstill()
    await note(store, known)
    await store.write(CHANGES[happened])
    assert await known.moved(store, NOW) == [SERVICE]


async def test_what_concerns_others_does_not_matter(store):
    known = Standstill()
    await note(store, known)

    def meanwhile(tx: Tx) -> None:
        tx.put(a_service(name="other"))
        tx.put(a_deployment(number=2, service="other"))
        tx.put(a_task(number=2, service_arn=SCOPE.service("default", "other")))
        tx.put(a_task(number=3))
        tx.put(a_task(number=4, service_arn=SERVICE, last_status=TaskStatus.STOPPED, counted=True))

    await store.write(meanwhile)
    assert await known.moved(store, NOW) == [SCOPE.service("default", "other")]


async def test_a_service_is_named_when_its_time_has_come_or_the_clock_was_put_back(store):
    known = Standstill()
    await note(store, known, wake_at=NOW + 40)
    assert await known.moved(store, NOW + 39) == []
    assert await known.moved(store, NOW + 40) == [SERVICE]
    assert await known.moved(store, NOW - 1) == [SERVICE]


async def test_a_service_that_is_being_looked_at_is_named(store):
    known = Standstill()
    await note(store, known)
    known.forget(SERVICE)
    assert await known.moved(store, NOW) == [SERVICE]


async def test_a_service_whose_rollout_is_under_way_is_always_named(store):
    known = Standstill()
    await store.write(lambda tx: change(tx, Deployment, rollout_state=RolloutState.IN_PROGRESS))
    await note(store, known)
    assert await known.moved(store, NOW) == [SERVICE]


@pytest.mark.parametrize("missing", [ServiceRevision, TaskDefinition])
async def test_a_service_that_refers_to_what_is_not_there_is_always_named(store, missing):
    known = Standstill()
    await store.write(lambda tx: remove(tx, missing))
    await note(store, known)
    assert await known.moved(store, NOW) == [SERVICE]


async def test_many_services_are_read_a_batch_at_a_time(store, monkeypatch):
    monkeypatch.setattr(standstill, "BATCH", 2)
    arns = [SCOPE.service("default", f"web-{number}") for number in range(2, 7)]
    known = Standstill()
    for number, arn in enumerate(arns, start=2):
        await store.write(settle, f"web-{number}", number=number)
        await note(store, known, arn)
    await note(store, known)
    assert await known.moved(store, NOW) == []
    await store.write(lambda tx: tx.put(a_task(number=9, service_arn=arns[3])))
    assert await known.moved(store, NOW) == [arns[3]]
