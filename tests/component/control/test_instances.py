"""Hosts whose agent does not come back, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from msgspec.structs import replace
from tests.builders import NOW, SCOPE, Counter, a_task, an_instance, an_interface
from trio.testing import MockClock

from wherry.api.acs import assignments
from wherry.control import instances, reaper
from wherry.model.instance import ContainerInstance, InstanceStatus
from wherry.model.network import NetworkInterface
from wherry.model.task import AttachmentStatus, ContainerStatus, StopCode, Task, TaskStatus, want_stopped
from wherry.settings import Settings, Timing
from wherry.store import Store, Tx

pytestmark = pytest.mark.anyio

LOST_AFTER = Timing().instance_lost_after
INSTANCE = an_instance().container_instance_arn


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def put(store: Store, *entities: Any) -> None:
    def write(tx: Tx) -> None:
        for entity in entities:
            tx.put(entity)

    await store.write(write)


async def get(store: Store, kind: type[Any], key: str) -> Any:
    return await store.read(lambda tx: tx.get(kind, key))


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[None]:
    start = anyio.current_time()
    controller = instances.controller(
        store, Settings(), SCOPE, clock=lambda: NOW + anyio.current_time() - start, entropy=Counter()
    )
    async with anyio.create_task_group() as group:
        await group.start(lambda *, task_status: controller.run(task_status=task_status))
        yield
        group.cancel_scope.cancel()


def on_it(number: int = 1, **changes: Any) -> tuple[Task, NetworkInterface]:
    task = a_task(
        number=number,
        container_instance_arn=INSTANCE,
        **{"last_status": TaskStatus.RUNNING, "started_at": NOW} | changes,
    )
    interface = an_interface(task, number=number, attachment_id="a")
    return task, interface


def gone(**changes: Any) -> ContainerInstance:
    return an_instance(**{"agent_connected": False, "agent_disconnected_at": NOW} | changes)


async def test_a_host_that_does_not_come_back_is_given_up_with_all_that_ran_there(memory_store: Store) -> None:
    task, interface = on_it()
    stopping, other = on_it(2)
    stopping = want_stopped(stopping, code=StopCode.USER_INITIATED, reason="enough", now=NOW)
    elsewhere = a_task(number=3, container_instance_arn=an_instance(number=2).container_instance_arn)
    await put(memory_store, gone(), task, interface, stopping, other, elsewhere)
    heard: set[tuple[str, str]] = set()
    async with running(memory_store):
        await anyio.sleep(LOST_AFTER - 1)
        assert not (await get(memory_store, Task, task.task_arn)).is_stopped
        with memory_store.bell.subscribe(heard.update):
            await anyio.sleep(3)
    assert (await get(memory_store, ContainerInstance, INSTANCE)).status is InstanceStatus.INACTIVE
    lost = await get(memory_store, Task, task.task_arn)
    assert (lost.last_status, lost.stop_code, lost.attachment.status) == (
        TaskStatus.STOPPED,
        StopCode.INFRASTRUCTURE_HEALTH,
        AttachmentStatus.DELETED,
    )
    assert lost.stopped_reason == f"Host EC2 (instance {INSTANCE[-32:]}) terminated."
    assert {c.last_status for c in lost.containers} == {ContainerStatus.STOPPED}
    asked = await get(memory_store, Task, stopping.task_arn)
    assert (asked.last_status, asked.stop_code) == (TaskStatus.STOPPED, StopCode.USER_INITIATED)
    assert await memory_store.read(lambda tx: tx.count(NetworkInterface)) == 0
    assert not (await get(memory_store, Task, elsewhere.task_arn)).is_stopped
    assert ("task", task.task_arn) in heard


async def test_a_host_that_comes_back_in_time_keeps_its_tasks(memory_store: Store) -> None:
    task, interface = on_it()
    await put(memory_store, gone(), task, interface)
    async with running(memory_store):
        await anyio.sleep(LOST_AFTER - 1)
        back = await get(memory_store, ContainerInstance, INSTANCE)
        await put(memory_store, replace(back, agent_connected=True, agent_disconnected_at=None))
        await anyio.sleep(10 * LOST_AFTER)
    assert (await get(memory_store, Task, task.task_arn)).last_status is TaskStatus.RUNNING


async def test_a_host_that_registered_and_never_connected_is_given_up_too(memory_store: Store) -> None:
    await put(memory_store, gone(agent_disconnected_at=None, agent_connected_at=None))
    async with running(memory_store):
        await anyio.sleep(LOST_AFTER + 2)
    assert (await get(memory_store, ContainerInstance, INSTANCE)).status is InstanceStatus.INACTIVE


async def test_while_there_was_no_control_plane_no_time_was_running(memory_store: Store) -> None:
    await put(memory_store, gone(agent_disconnected_at=NOW - 10 * LOST_AFTER))
    await memory_store.write(assignments.forget_connections, NOW)
    async with running(memory_store):
        await anyio.sleep(LOST_AFTER - 1)
        assert (await get(memory_store, ContainerInstance, INSTANCE)).status is InstanceStatus.ACTIVE


async def test_a_decision_that_came_too_late_does_nothing(memory_store: Store) -> None:
    await put(memory_store, an_instance())
    assert await memory_store.write(instances.lose, INSTANCE, now=NOW + 1e6, lost_after=LOST_AFTER) is None


async def test_hosts_that_were_given_up_are_forgotten_in_the_end(memory_store: Store) -> None:
    timing = Timing()
    await put(memory_store, gone(status=InstanceStatus.INACTIVE), gone(number=2))
    sweep = reaper.SWEEPERS["container instances"]
    assert await memory_store.write(sweep, NOW + timing.inactive_retention - 1, timing) == 0
    assert await memory_store.write(sweep, NOW + timing.inactive_retention + 1, timing) == 1
    assert await get(memory_store, ContainerInstance, INSTANCE) is None
