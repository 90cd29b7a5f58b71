"""The placement loop over a real store, in virtual time: what waits is placed when there is room, and not before."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import (
    NOW,
    SCOPE,
    Counter,
    a_network_configuration,
    a_security_group,
    a_service,
    a_subnet,
    a_task,
    a_task_definition,
    an_instance,
)
from trio.testing import MockClock

from wherry.control import scheduler
from wherry.control.scheduler import Placement
from wherry.model.arn import FARGATE_POOL
from wherry.model.instance import ContainerInstance, InstanceStatus
from wherry.model.network import NetworkInterface
from wherry.model.placement import Placed
from wherry.model.service import Service, ServiceEvent
from wherry.model.task import StopCode, Task, TaskStatus, advance, want_stopped
from wherry.model.taskdef import RuntimePlatform
from wherry.settings import Settings, Timing
from wherry.store import Store, Tx, placing

pytestmark = pytest.mark.anyio

ENTROPY = Counter()
POOL = SCOPE.cluster(FARGATE_POOL)
REASON = (
    "(service web) was unable to place a task. Reason: Capacity is unavailable at this time. "
    "Please try again later or in a different availability zone. "
    "The closest matching host of the Fargate pool has insufficient CPU units available."
)


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
async def store(memory_store: Store) -> Store:
    await put(memory_store, a_security_group(), a_task_definition(), *(a_subnet(zone=zone) for zone in "abc"))
    return memory_store


async def put(store: Store, *entities: Any) -> None:
    def write(tx: Tx) -> None:
        for entity in entities:
            tx.put(entity)

    await store.write(write)


async def rows(store: Store, kind: type[Any], **equals: Any) -> list[Any]:
    return await store.read(lambda tx: tx.find(kind, **equals))


def waiting(number: int, **changes: Any) -> Task:
    network = a_network_configuration(subnets=("subnet-a", "subnet-b", "subnet-c"))
    return a_task(number=number, **{"network_configuration": network} | changes)


def placement(store: Store, *, now: float = NOW) -> Placement:
    return Placement(store, scope=SCOPE, clock=lambda: now, entropy=ENTROPY, timing=Timing())


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[None]:
    controller = scheduler.controller(store, Settings(), SCOPE, clock=lambda: NOW, entropy=Counter())
    async with anyio.create_task_group() as group:
        await group.start(lambda *, task_status: controller.run(task_status=task_status))
        yield
        group.cancel_scope.cancel()


async def test_what_waits_is_placed_as_soon_as_a_host_has_room(store: Store) -> None:
    async with running(store):
        await put(store, *(waiting(n) for n in range(6)))
        await anyio.sleep(1)
        assert {t.last_status for t in await rows(store, Task)} == {TaskStatus.PROVISIONING}
        await put(store, an_instance(cpu=1024))
        await anyio.sleep(1)
        tasks = await rows(store, Task, last_status=TaskStatus.PENDING)
        assert len(tasks) == 4
        over = advance(
            want_stopped(tasks[0], code=StopCode.USER_INITIATED, reason="", now=NOW), TaskStatus.STOPPED, now=NOW
        )
        await put(store, over)
        await anyio.sleep(1)
        assert len(await rows(store, Task, last_status=TaskStatus.PENDING)) == 4
    interfaces = await rows(store, NetworkInterface)
    assert len({i.private_ip_address for i in interfaces}) == len(interfaces) == 5
    assert {i.security_group_ids for i in interfaces} == {("sg-1",)}


async def test_a_task_that_has_a_host_rings_its_instance(store: Store) -> None:
    heard: set[tuple[str, str]] = set()
    await put(store, an_instance(), waiting(1))
    with store.bell.subscribe(heard.update):
        await placement(store).step(POOL)
    assert ("instance", an_instance().container_instance_arn) in heard


async def test_the_key_of_a_cluster_places_only_its_tasks(store: Store) -> None:
    await put(store, an_instance(), waiting(1), waiting(2, cluster="other"))
    await placement(store).step(SCOPE.cluster("other"))
    [placed] = await rows(store, Task, last_status=TaskStatus.PENDING)
    assert placed.cluster_arn == SCOPE.cluster("other")


async def test_a_service_hears_once_why_its_tasks_wait(store: Store) -> None:
    service = a_service()
    tasks = [waiting(n, service_arn=service.service_arn) for n in range(3)]
    await put(store, service, an_instance(cpu=128), *tasks)
    for minutes in range(3):
        await placement(store, now=NOW + 60 * minutes).step(POOL)
    assert [e.message for e in await rows(store, ServiceEvent)] == [REASON]
    assert {t.placement_reason for t in await rows(store, Task)} == {REASON.partition("zone. ")[2]}
    await placement(store, now=NOW + Timing().event_repeat).step(POOL)
    assert len(await rows(store, ServiceEvent)) == 2


async def test_a_service_whose_tasks_were_all_placed_may_complain_again(store: Store) -> None:
    service = a_service()
    await put(store, service, an_instance(cpu=128), waiting(1, service_arn=service.service_arn))
    await placement(store).step(POOL)
    await put(store, an_instance(number=2, cpu=256))
    await placement(store).step(POOL)
    [placed] = await rows(store, Task)
    assert (placed.last_status, placed.placement_reason) == (TaskStatus.PENDING, None)
    assert (await rows(store, Service))[0].last_events == {}
    await put(store, waiting(2, service_arn=service.service_arn))
    await placement(store, now=NOW + 1).step(POOL)
    assert [e.message for e in await rows(store, ServiceEvent)] == [REASON, REASON]


async def test_a_task_goes_to_a_host_of_its_architecture(store: Store) -> None:
    definition = a_task_definition(family="arm", runtime_platform=RuntimePlatform(cpu_architecture="ARM64"))
    await put(store, definition, an_instance(number=1), waiting(1, task_definition_arn=definition.task_definition_arn))
    await placement(store).step(POOL)
    assert await rows(store, Task, last_status=TaskStatus.PENDING) == []
    await put(store, an_instance(number=2, architecture="arm64"))
    await placement(store).step(POOL)
    [placed] = await rows(store, Task, last_status=TaskStatus.PENDING)
    assert placed.container_instance_arn == an_instance(number=2).container_instance_arn


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"status": InstanceStatus.DRAINING}, id="draining"),
        pytest.param({"agent_connected": False}, id="disconnected"),
        pytest.param({"cpu": 128}, id="smaller"),
    ],
)
async def test_a_decision_that_no_longer_holds_is_not_carried_out(store: Store, change: dict[str, Any]) -> None:
    await put(store, an_instance(), waiting(1))
    decisions = await store.read(lambda tx: placing.survey(tx, placing.waiting(tx)).decide())
    [instance] = await rows(store, ContainerInstance)
    await put(store, replace(instance, **change))
    placed = await store.write(placing.apply, decisions, now=NOW, entropy=Counter())
    assert placed == []
    assert await rows(store, NetworkInterface) == []


async def test_a_task_that_was_stopped_meanwhile_is_not_placed(store: Store) -> None:
    await put(store, an_instance(), waiting(1))
    decisions = await store.read(lambda tx: placing.survey(tx, placing.waiting(tx)).decide())
    [task] = await rows(store, Task)
    await put(store, want_stopped(task, code=StopCode.USER_INITIATED, reason="", now=NOW))
    assert await store.write(placing.apply, decisions, now=NOW, entropy=Counter()) == []


async def test_a_full_subnet_keeps_its_tasks_waiting(store: Store) -> None:
    small = a_subnet(zone="d", cidr_block="172.31.48.0/28")
    network = a_network_configuration(subnets=("subnet-d",))
    await put(store, small, an_instance(cpu=65536, memory=65536))
    await put(store, *(waiting(n, network_configuration=network) for n in range(12)))
    await placement(store).step(POOL)
    placed = await rows(store, Task, last_status=TaskStatus.PENDING)
    assert len(placed) == 11
    assert len({t.attachment.private_ipv4_address for t in placed}) == 11
    [left] = await rows(store, Task, last_status=TaskStatus.PROVISIONING)
    assert left.placement_reason == "No address is free in subnet-d."


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["place", "stale", "start", "stop"]), max_size=14))
def test_no_interleaving_puts_more_on_a_host_than_it_has(steps: list[str]) -> None:
    async def play() -> None:
        async with Store.open("sqlite://") as store:
            await put(store, a_security_group(), a_task_definition(), *(a_subnet(zone=zone) for zone in "abc"))
            await put(store, an_instance(number=1, cpu=512), an_instance(number=2, cpu=768))
            entropy, stale, started = Counter(), [], 0
            for step in steps:
                match step:
                    case "start":
                        await put(store, *(waiting(started * 10 + n) for n in range(3)))
                        started += 1
                    case "stop":
                        for task in (await rows(store, Task, last_status=TaskStatus.PENDING))[:1]:
                            asked = want_stopped(task, code=StopCode.USER_INITIATED, reason="", now=NOW)
                            await put(store, advance(asked, TaskStatus.STOPPED, now=NOW))
                            await store.write(placing.release_interface, task.task_arn)
                    case "place":
                        await placement(store).step(POOL)
                    case _:
                        decisions = [d for d in stale if isinstance(d, Placed)]
                        await store.write(placing.apply, decisions, now=NOW, entropy=entropy)
                        stale = await store.read(lambda tx: placing.survey(tx, placing.waiting(tx)).decide())
                used = Tally[str]()
                for task in await rows(store, Task, last_status=TaskStatus.PENDING):
                    used[task.container_instance_arn] += task.cpu
                assert all(used[i.container_instance_arn] <= i.cpu for i in await rows(store, ContainerInstance))
                addresses = [i.private_ip_address for i in await rows(store, NetworkInterface)]
                assert len(set(addresses)) == len(addresses)

    anyio.run(play)


async def test_a_service_for_container_instances_hears_that_there_are_none(store: Store) -> None:
    service = a_service(launch_type="EC2")
    stranded = a_task(service_arn=service.service_arn, launch_type="EC2", attachment=None, network_configuration=None)
    await put(store, service, an_instance(), stranded)
    for minutes in range(3):
        await placement(store, now=NOW + 60 * minutes).step(POOL)
    [event] = await rows(store, ServiceEvent)
    assert event.message == (
        "(service web) was unable to place a task because no container instance met all of its requirements. "
        "Reason: No Container Instances were found in your cluster. "
        "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
    )
    assert [t.last_status for t in await rows(store, Task)] == [TaskStatus.PROVISIONING]
