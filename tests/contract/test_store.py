"""What every database must do. Each test runs on SQLite and on PostgreSQL, on asyncio and on trio."""

from __future__ import annotations

import threading

import anyio
import pytest
from msgspec.structs import replace

from wherry.model.cluster import Cluster, ClusterStatus
from wherry.model.network import NetworkInterface
from wherry.model.service import ServiceEvent
from wherry.model.task import Task, TaskStatus
from wherry.model.taskdef import TaskDefinition
from wherry.store import Conflict, Key, Range, Store, StoreError, Tx
from wherry.store.commit import Job

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


def arn(name: str) -> str:
    return f"arn:aws:ecs:eu-west-1:123456789012:cluster/{name}"


def cluster(name: str = "web", **fields) -> Cluster:
    return Cluster(cluster_arn=arn(name), cluster_name=name, **fields)


def task(n: int, **fields) -> Task:
    given = {"cluster_arn": arn("web"), "task_definition_arn": "td", "family": "web", "group": "family:web"}
    return Task(task_arn=f"task/{n:03}", **{**given, **fields})


def put(tx: Tx, *entities):
    return [tx.put(entity) for entity in entities]


async def test_what_was_put_is_read_back_with_its_version(store: Store):
    [written] = await store.write(put, cluster(capacity_providers=("FARGATE",), created_at=1.5))

    assert written.version == 1
    assert await store.read(Tx.get, Cluster, arn("web")) == written
    assert await store.read(Tx.get, Cluster, arn("other")) is None


async def test_a_stale_write_conflicts_and_changes_nothing(store: Store):
    [first] = await store.write(put, cluster())
    [second] = await store.write(put, replace(first, status=ClusterStatus.INACTIVE))

    with pytest.raises(Conflict):
        await store.write(put, first)
    with pytest.raises(Conflict):
        await store.write(Tx.delete, first)
    assert await store.read(Tx.get, Cluster, arn("web")) == second


async def test_a_key_is_created_once(store: Store):
    await store.write(put, cluster())

    with pytest.raises(Conflict):
        await store.write(put, cluster())


async def test_a_caught_conflict_leaves_the_transaction_usable(store: Store):
    await store.write(put, cluster("taken"))

    def take_a_free_name(tx: Tx) -> str:
        for name in ("taken", "free"):
            try:
                return tx.put(cluster(name)).cluster_name
            except Conflict:
                continue
        raise AssertionError

    assert await store.write(take_a_free_name) == "free"


async def test_unique_columns_are_unique(store: Store):
    def interface(n: int, address: str) -> NetworkInterface:
        return NetworkInterface(
            network_interface_id=f"eni-{n}",
            subnet_id="subnet-1",
            vpc_id="vpc-1",
            availability_zone="a",
            private_ip_address=address,
            mac_address="02:00:00:00:00:01",
            security_group_ids=(),
            task_arn="task/1",
            attachment_id="",
        )

    [_, second] = await store.write(put, interface(1, "172.31.0.4"), interface(2, "172.31.0.5"))

    with pytest.raises(Conflict):
        await store.write(put, interface(3, "172.31.0.4"))
    with pytest.raises(Conflict):
        await store.write(put, replace(second, private_ip_address="172.31.0.4"))


async def test_a_deleted_entity_is_gone_and_its_key_is_free(store: Store):
    [written] = await store.write(put, cluster())
    await store.write(Tx.delete, written)

    assert await store.read(Tx.get, Cluster, arn("web")) is None
    assert (await store.write(put, cluster()))[0].version == 1


async def test_a_transaction_sees_its_own_writes(store: Store):
    def create_and_look(tx: Tx) -> tuple[int, int]:
        tx.put(cluster("a"))
        second = tx.put(cluster("b"))
        before = tx.count(Cluster)
        tx.delete(second)
        return before, len(tx.find(Cluster))

    assert await store.write(create_and_look) == (2, 1)


async def test_a_failing_function_leaves_no_trace_and_rings_no_bell(store: Store):
    heard: list[frozenset[Key]] = []

    def fail(tx: Tx) -> None:
        tx.put(cluster())
        tx.ring(("service", "s"))
        raise LookupError("mine")

    with store.bell.subscribe(heard.append), pytest.raises(LookupError, match="mine"):
        await store.write(fail)

    assert await store.read(Tx.count, Cluster) == 0
    assert heard == []


async def test_the_bell_rings_after_the_commit_on_the_loop_with_the_keys_of_what_was_written(store: Store):
    heard: list[tuple[frozenset[Key], int]] = []
    waiting = task(1, service_arn="service/s")

    def write(tx: Tx) -> None:
        tx.put(waiting)
        tx.ring(("extra", "e"))

    with store.bell.subscribe(lambda keys: heard.append((keys, threading.get_ident()))):
        await store.write(write)
        await anyio.lowlevel.checkpoint()
    await store.write(put, task(2))

    keys = {("task", "task/001"), ("service", "service/s"), ("placement", arn("web")), ("extra", "e")}
    assert heard == [(keys, threading.get_ident())]


async def test_a_stopped_fargate_task_rings_for_whoever_waits_for_its_room(store: Store):
    heard: set[Key] = set()
    with store.bell.subscribe(heard.update):
        await store.write(put, task(1, container_instance_arn="i", last_status=TaskStatus.STOPPED))
        await anyio.lowlevel.checkpoint()

    assert heard == {("task", "task/001"), ("instance", "i"), ("placement", arn("web")), ("placement", arn(".fargate"))}


async def test_functions_that_share_a_commit_fail_alone(store: Store):
    outcomes: dict[int, object] = {}

    def write(tx: Tx, n: int) -> int:
        tx.put(task(n))
        if n % 3 == 0:
            raise LookupError(n)
        return n

    async def one(n: int) -> None:
        try:
            outcomes[n] = await store.write(write, n)
        except LookupError as error:
            outcomes[n] = error.args[0]

    async with anyio.create_task_group() as group:
        for n in range(40):
            group.start_soon(one, n)

    assert outcomes == {n: n for n in range(40)}
    assert [t.task_arn for t in await store.read(Tx.find, Task)] == [f"task/{n:03}" for n in range(40) if n % 3]


async def test_concurrent_read_modify_writes_lose_nothing(store: Store):
    await store.write(put, cluster())

    def increment(tx: Tx) -> None:
        found = tx.get(Cluster, arn("web"))
        assert found is not None
        tx.put(replace(found, created_at=found.created_at + 1))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(store.write, increment)

    found = await store.read(Tx.get, Cluster, arn("web"))
    assert found is not None
    assert (found.created_at, found.version) == (50, 51)


async def test_a_cancelled_caller_leaves_the_write_whole_and_the_store_alive(store: Store):
    def write_two(tx: Tx) -> None:
        put(tx, cluster("a"), cluster("b"))

    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.write(write_two)

    await store.write(put, cluster("c"))
    names = {found.cluster_name for found in await store.read(Tx.find, Cluster)}
    assert names in ({"a", "b", "c"}, {"c"})


async def test_a_read_cannot_write(store: Store):
    for attempt in (lambda tx: tx.put(cluster()), lambda tx: tx.delete(cluster()), lambda tx: tx.ring(("a", "b"))):
        with pytest.raises(TypeError, match=r"Use Store\.write"):
            await store.read(attempt)


async def test_a_transaction_cannot_outlive_its_function(store: Store):
    for run in (store.read, store.write):
        leaked = await run(lambda tx: tx)
        with pytest.raises(RuntimeError, match="over"):
            leaked.get(Cluster, arn("web"))


async def test_a_read_sees_one_state_throughout(store: Store):
    await store.write(put, task(1))
    behind_its_back = Job(lambda tx: tx.put(task(2)))

    def count_twice(tx: Tx) -> tuple[int, int]:
        before = tx.count(Task)
        store._batch([behind_its_back]).commit()
        return before, tx.count(Task)

    assert await store.read(count_twice) == (1, 1)
    assert not behind_its_back.failed
    assert await store.read(Tx.count, Task) == 2


async def test_tasks_are_found_by_their_columns(store: Store):
    await store.write(
        put,
        task(1, service_arn="s", last_status=TaskStatus.RUNNING, created_at=10),
        task(2, service_arn="s", last_status=TaskStatus.PENDING, created_at=20, counted=True),
        task(3, last_status=TaskStatus.STOPPED, created_at=30, stopped_at=40),
    )

    async def found(**equals) -> list[int]:
        tasks = await store.read(lambda tx: tx.find(Task, **equals))
        assert await store.read(lambda tx: tx.count(Task, **equals)) == len(tasks)
        return [int(t.task_arn[-3:]) for t in tasks]

    assert await found() == [1, 2, 3]
    assert await found(service_arn="s") == [1, 2]
    assert await found(service_arn=None) == [3]
    assert await found(service_arn="s", last_status=TaskStatus.RUNNING) == [1]
    assert await found(last_status=[TaskStatus.RUNNING, TaskStatus.STOPPED]) == [1, 3]
    assert await found(last_status=()) == []
    assert await found(task_arn={"task/002", "task/009"}) == [2]
    assert await found(created_at=[10.0, 30]) == [1, 3]
    assert await found(counted=True) == [2]
    assert await found(counted=[True, False]) == [1, 2, 3]
    assert await found(created_at=Range(start=20)) == [2, 3]
    assert await found(created_at=Range(end=20)) == [1]
    assert await found(created_at=Range(10, 30)) == [1, 2]
    assert await found(created_at=Range()) == [1, 2, 3]
    assert await found(stopped_at=Range(end=100)) == [3]


async def test_an_unknown_column_is_an_error_and_not_an_empty_answer(store: Store):
    with pytest.raises(TypeError, match="cannot be found by 'colour'"):
        await store.read(lambda tx: tx.find(Task, colour="red"))


@pytest.mark.parametrize("descending", [False, True])
async def test_pages_in_any_order_join_to_the_whole(store: Store, descending):
    events = [
        ServiceEvent(id=f"e{n}", service_arn="s", created_at=n // 4, sequence=n % 2, message="m") for n in range(12)
    ]
    await store.write(put, *events)
    order = ("created_at", "sequence")
    expected = sorted(events, key=lambda e: (e.created_at, e.sequence, e.id), reverse=descending)

    pages: list[ServiceEvent] = []
    after = None
    while page := await store.read(
        lambda tx, after: tx.find(
            ServiceEvent, order=order, descending=descending, limit=5, after=after, service_arn="s"
        ),
        after,
    ):
        pages += page
        after = (page[-1].created_at, page[-1].sequence, page[-1].id)

    assert [e.id for e in pages] == [e.id for e in expected]


async def test_revisions_sort_as_numbers(store: Store):
    definitions = [
        TaskDefinition(task_definition_arn=f"web:{n}", family="web", revision=n, container_definitions=())
        for n in (1, 2, 10)
    ]
    await store.write(put, *definitions)

    found = await store.read(
        lambda tx: tx.find(TaskDefinition, order=("family", "revision"), after=("web", 1, "web:1"))
    )

    assert [d.revision for d in found] == [2, 10]


async def test_text_sorts_by_its_bytes(store: Store):
    await store.write(put, *(cluster(name) for name in ("b", "a", "B", "_", "-", "é")))

    found = await store.read(Tx.find, Cluster, order="cluster_name")

    assert [c.cluster_name for c in found] == sorted(("b", "a", "B", "_", "-", "é"))


async def test_a_wrong_position_or_order_is_refused(store: Store):
    with pytest.raises(TypeError, match="has 2 values"):
        await store.read(lambda tx: tx.find(Cluster, order="cluster_name", after="web"))
    with pytest.raises(TypeError, match="cannot be sorted"):
        await store.read(lambda tx: tx.find(Task, order="stopped_at"))


async def test_what_was_written_survives_a_reopening(store_url):
    async with Store.open(store_url) as first:
        await first.write(put, cluster())
    async with Store.open(store_url, inline=True) as second:
        assert await second.read(Tx.count, Cluster) == 1
    with pytest.raises(StoreError, match="closed"):
        await second.read(Tx.count, Cluster)


async def test_closing_finishes_what_was_queued(store_url):
    async with anyio.create_task_group() as group, Store.open(store_url) as first:
        for n in range(20):
            group.start_soon(first.write, put, task(n))
        await anyio.lowlevel.checkpoint()
    async with Store.open(store_url) as second:
        assert await second.read(Tx.count, Task) == 20
