"""The service scheduler over a real store, in virtual time, with a host that does at once what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from msgspec import structs
from structlog.testing import capture_logs
from tests.builders import DIGEST, NOW, SCOPE, Counter, a_container_definition, a_service, a_task_definition
from trio.testing import MockClock

from wherry.control import services
from wherry.control.loop import Controller
from wherry.model import reports, rollout, task
from wherry.model.reports import AgentStatus, ContainerReport, TaskReport
from wherry.model.service import (
    CircuitBreaker,
    Deployment,
    DeploymentConfiguration,
    DeploymentStatus,
    RolloutState,
    Service,
    ServiceDeploymentStatus,
    ServiceEvent,
    ServiceRevision,
    ServiceStatus,
    ThresholdConfiguration,
)
from wherry.model.task import AttachmentStatus, DesiredStatus, Task, TaskStatus
from wherry.model.taskdef import TaskDefinition
from wherry.settings import Settings
from wherry.store import Store, Tx

pytestmark = pytest.mark.anyio

SERVICE = a_service().service_arn
BAD = "bad"


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Cluster:
    """A service, its scheduler, and a host, in one process."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.entropy = Counter()
        self.lowest = 99
        self.highest = 0

    def clock(self) -> float:
        return NOW + anyio.current_time()

    async def create(self, *, desired: int, **configuration) -> None:
        def create(tx: Tx) -> None:
            config = DeploymentConfiguration(**configuration)
            tx.put(a_service(desired_count=desired, deployment_configuration=config))

        await self.store.write(create)
        await self.deploy(revision=1)

    async def deploy(self, *, revision: int, image: str = "good") -> None:
        """Do what UpdateService with a new task definition does."""

        def deploy(tx: Tx, now: float) -> None:
            containers = (a_container_definition(image=image),)
            made = tx.put(a_task_definition(revision=revision, container_definitions=containers))
            service = tx.get(Service, SERVICE)
            service = tx.put(structs.replace(service, task_definition=made.task_definition_arn))
            previous = tx.find(Deployment, service_arn=SERVICE)
            given = {"scope": SCOPE, "entropy": self.entropy, "now": now}
            new = tx.put(rollout.new_revision(service, **given))
            tx.put(rollout.new_deployment(service, new, previous=previous, **given))
            for changed in rollout.supersede(previous, now):
                tx.put(changed)

        await self.store.write(deploy, self.clock())

    async def change(self, **changes) -> None:
        await self.store.write(lambda tx: tx.put(structs.replace(tx.get(Service, SERVICE), **changes)))

    async def read(self, type_: type, **equals) -> list:
        return await self.store.read(lambda tx: tx.find(type_, **equals))

    async def service(self) -> Service:
        return (await self.read(Service))[0]

    async def shown(self) -> list[Deployment]:
        return await self.read(Deployment, status=(DeploymentStatus.PRIMARY, DeploymentStatus.ACTIVE))

    async def running(self) -> list[Task]:
        return await self.read(Task, service_arn=SERVICE, last_status=TaskStatus.RUNNING)

    async def said(self) -> list[str]:
        events = sorted(await self.read(ServiceEvent), key=lambda event: event.sequence)
        return [event.message for event in events]

    async def stable(self) -> bool:
        """Say what the waiter services-stable asks."""
        return len(await self.shown()) == 1 and len(await self.running()) == (await self.service()).desired_count

    async def until(self, condition: Callable, *, seconds: float = 3600) -> None:
        with anyio.fail_after(seconds):
            while not await condition():  # noqa: ASYNC110 - virtual time: a second costs nothing
                await anyio.sleep(1)

    async def kill(self, victim: Task) -> None:
        def kill(tx: Tx, now: float) -> None:
            tx.put(stopped(tx.get(Task, victim.task_arn), now=now, exit_code=137))

        await self.store.write(kill, self.clock())

    async def host(self, service_arn: str) -> None:
        """Bring every task of the service one step further."""

        def work(tx: Tx, now: float) -> None:
            for one in tx.find(Task, service_arn=service_arn, counted=False):
                if (moved := step(one, now)) != one:
                    tx.put(moved)

        await self.store.write(work, self.clock())

    async def watch(self) -> None:
        """Note how many healthy tasks there ever are, and how many live."""
        while True:
            now = self.clock()
            living = [t for t in await self.read(Task, desired_status=DesiredStatus.RUNNING) if not t.is_stopped]
            healthy = [t for t in living if t.started_at is not None and now - t.started_at >= 40]
            self.lowest = min(self.lowest, len(healthy))
            self.highest = max(self.highest, len(living))
            await anyio.sleep(1)


def step(one: Task, now: float) -> Task:
    """Do with a task what an agent does, at once: run it, unless its image is bad; stop it when asked."""
    if one.is_stopped:
        return one
    if one.desired_status is DesiredStatus.STOPPED:
        return stopped(one, now=now, exit_code=143)
    if one.last_status is TaskStatus.PROVISIONING:
        return structs.replace(task.advance(one, TaskStatus.PENDING, now=now), container_instance_arn="host")
    if one.last_status is not TaskStatus.PENDING:
        return one
    if one.containers[0].image == BAD:
        return stopped(one, now=now, reason="CannotPullContainerError: no such image")
    container = ContainerReport(name="app", status=AgentStatus.RUNNING, image_digest=DIGEST)
    return reports.apply_task_report(one, TaskReport(status=AgentStatus.RUNNING, containers=(container,)), now=now)


def stopped(one: Task, *, now: float, exit_code: int | None = None, reason: str | None = None) -> Task:
    container = ContainerReport(name="app", status=AgentStatus.STOPPED, exit_code=exit_code, reason=reason)
    report = TaskReport(status=AgentStatus.STOPPED, containers=(container,))
    ended = reports.apply_task_report(one, report, now=now)
    return reports.apply_attachment(ended, AttachmentStatus.DELETED, now=now)


@asynccontextmanager
async def a_cluster(store: Store) -> AsyncIterator[Cluster]:
    cluster = Cluster(store)

    async def nothing() -> list[str]:
        return []

    scheduler = services.controller(store, Settings(), SCOPE, clock=cluster.clock, entropy=cluster.entropy)
    host = Controller("host", store, "service", cluster.host, nothing, entropy=bytes, quiet=0.5)
    async with anyio.create_task_group() as group:
        for controller in (scheduler, host):
            await group.start(lambda *, task_status, run=controller.run: run(task_status=task_status))
        yield cluster
        group.cancel_scope.cancel()


@pytest.fixture
async def cluster(memory_store) -> AsyncIterator[Cluster]:
    async with a_cluster(memory_store) as opened:
        yield opened


async def test_a_service_comes_to_a_steady_state(cluster):
    await cluster.create(desired=3)
    await cluster.until(lambda: completed(cluster), seconds=60)
    (deployment,) = await cluster.shown()
    assert (await cluster.said())[1:] == [
        f"(service web) (deployment {deployment.deployment_id}) deployment completed.",
        "(service web) has reached a steady state.",
    ]
    assert deployment.rollout_state is RolloutState.COMPLETED
    assert 40 <= deployment.finished_at - deployment.created_at < 45
    (revision,) = await cluster.read(ServiceRevision)
    assert revision.container_images == {"app": DIGEST}


async def completed(cluster: Cluster) -> bool:
    return await cluster.stable() and (await cluster.shown())[0].rollout_state is RolloutState.COMPLETED


async def test_a_killed_task_is_replaced(cluster):
    await cluster.create(desired=2)
    await cluster.until(lambda: completed(cluster))
    victim = (await cluster.running())[0]
    await cluster.kill(victim)
    await cluster.until(cluster.stable, seconds=10)
    assert victim.task_arn not in {one.task_arn for one in await cluster.running()}
    (dead,) = await cluster.read(Task, last_status=TaskStatus.STOPPED)
    assert dead.counted


async def test_a_rollout_holds_the_floor_and_the_ceiling_at_every_moment(cluster):
    await cluster.create(desired=4, minimum_healthy_percent=75, maximum_percent=125)
    await cluster.until(lambda: completed(cluster))
    async with anyio.create_task_group() as group:
        group.start_soon(cluster.watch)
        await cluster.deploy(revision=2)
        await cluster.until(lambda: completed(cluster))
        group.cancel_scope.cancel()
    assert cluster.lowest >= 3
    assert cluster.highest <= 5
    assert {one.task_definition_arn for one in await cluster.running()} == {SCOPE.task_definition("web", 2)}


async def test_a_rollout_of_a_bad_image_is_rolled_back(cluster):
    breaker = CircuitBreaker(
        enable=True, rollback=True, threshold_configuration=ThresholdConfiguration(type="COUNT", value=3)
    )
    await cluster.create(desired=2, deployment_circuit_breaker=breaker)
    await cluster.until(lambda: completed(cluster))
    before = {one.task_arn for one in await cluster.running()}
    await cluster.deploy(revision=2, image=BAD)
    await cluster.until(lambda: completed(cluster))
    bad = await cluster.read(Deployment, task_definition=SCOPE.task_definition("web", 2))
    assert [d.service_deployment_status for d in bad] == [ServiceDeploymentStatus.ROLLBACK_SUCCESSFUL]
    assert {one.task_arn for one in await cluster.running()} == before
    assert (await cluster.service()).task_definition == SCOPE.task_definition("web", 1)


async def test_a_deleted_service_becomes_inactive(cluster):
    await cluster.create(desired=2)
    await cluster.until(lambda: completed(cluster))
    await cluster.change(status=ServiceStatus.DRAINING, desired_count=0)

    async def inactive() -> bool:
        return (await cluster.service()).status is ServiceStatus.INACTIVE

    await cluster.until(inactive, seconds=10)
    assert await cluster.running() == []
    assert await cluster.shown() == []


async def test_a_scheduler_that_starts_anew_goes_on_where_the_last_one_was(memory_store):
    async with a_cluster(memory_store) as cluster:
        await cluster.create(desired=2)
        await cluster.until(lambda: completed(cluster))
        await cluster.deploy(revision=2)
    async with a_cluster(memory_store) as cluster:
        await cluster.until(lambda: completed(cluster))
        assert {one.task_definition_arn for one in await cluster.running()} == {SCOPE.task_definition("web", 2)}


async def test_a_plan_that_is_out_of_date_is_made_again_and_not_carried_out(memory_store):
    idle = Cluster(memory_store)
    await idle.create(desired=3)
    snapshot = await memory_store.read(services.load, SERVICE)
    timing = Settings().timing
    stale = services.plan(snapshot, now=idle.clock(), timing=timing)
    await idle.change(desired_count=1)
    world = services.World(scope=SCOPE, entropy=idle.entropy, now=idle.clock(), repeat=1)
    await memory_store.write(services.carry_out, snapshot, stale, world, timing)
    assert len(await idle.read(Task)) == 1


async def test_a_failing_transaction_leaves_nothing_behind_and_is_tried_again(cluster):
    await cluster.create(desired=0)
    await cluster.until(lambda: completed(cluster))

    def lose_the_definition(tx: Tx) -> None:
        tx.delete(tx.get(TaskDefinition, SCOPE.task_definition("web", 1)))

    (definition,) = await cluster.read(TaskDefinition)
    await cluster.store.write(lose_the_definition)
    with capture_logs() as logs:
        await cluster.change(desired_count=1)
        await anyio.sleep(100)
    assert {entry["event"] for entry in logs} == {"step failed"}
    assert await cluster.read(Task) == []
    await cluster.store.write(lambda tx: tx.put(structs.replace(definition, version=0)))
    await cluster.until(cluster.stable, seconds=100)


async def test_a_change_whose_bell_was_lost_is_found_by_the_sweep(cluster, monkeypatch):
    await cluster.create(desired=2)
    await cluster.until(lambda: completed(cluster))
    await anyio.sleep(100)
    (victim, _) = await cluster.running()
    with monkeypatch.context() as deaf:
        deaf.setattr(cluster.store.bell, "ring", lambda _: None)
        await cluster.kill(victim)
    await cluster.until(cluster.stable, seconds=Settings().timing.sweep + 5)
    assert victim.task_arn not in {one.task_arn for one in await cluster.running()}


async def test_a_service_of_which_nothing_changes_is_not_looked_at_for_hours(cluster, monkeypatch):
    await cluster.create(desired=2)
    await cluster.until(lambda: completed(cluster))
    await anyio.sleep(100)
    looks = []
    monkeypatch.setattr(services, "load", lambda _, service_arn: looks.append(service_arn))
    await anyio.sleep(4 * 3600)
    assert looks == []
