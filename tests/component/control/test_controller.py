"""A controller over a real store, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from wherry.control.loop import PATIENT_CONFLICTS, Controller, Step
from wherry.model.cluster import Cluster
from wherry.store import Conflict, Store, Tx

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def nothing() -> list[str]:
    return []


@asynccontextmanager
async def running(store: Store, step: Step, sweep=nothing, **options) -> AsyncIterator[Controller]:
    controller = Controller("test", store, "cluster", step, sweep, **{"entropy": bytes, **options})
    async with anyio.create_task_group() as group:
        await group.start(lambda *, task_status: controller.run(task_status=task_status))
        yield controller
        group.cancel_scope.cancel()


class Steps:
    """A step that notes when it ran for what, and does what it is told."""

    def __init__(self, *, takes: float = 0.0, returns: float | None = None, raises: dict[str, Exception] | None = None):
        self.ran: list[tuple[float, str]] = []
        self.most_at_once = 0
        self._now = 0
        self._takes = takes
        self._returns = returns
        self._raises = raises or {}

    async def __call__(self, key: str) -> float | None:
        self.ran.append((round(anyio.current_time(), 2), key))
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await anyio.sleep(self._takes)
        finally:
            self._now -= 1
        if key in self._raises:
            raise self._raises[key]
        return self._returns


def times(steps: Steps, key: str) -> list[float]:
    start = steps.ran[0][0]
    return [round(at - start, 2) for at, ran in steps.ran if ran == key]


async def test_a_commit_wakes_the_step_of_what_it_wrote_and_of_nothing_else(memory_store):
    def write(tx: Tx) -> None:
        tx.put(Cluster(cluster_arn="c", cluster_name="c"))
        tx.ring(("service", "s"))

    steps = Steps()
    async with running(memory_store, steps):
        await memory_store.write(write)
        await anyio.sleep(1)

    assert [key for _, key in steps.ran] == ["c"]


async def test_the_sweep_repairs_lost_bells_at_once_and_every_period(memory_store):
    async def everything() -> list[str]:
        return ["a", "b"]

    steps = Steps()
    async with running(memory_store, steps, everything, period=30):
        await anyio.sleep(61)

    assert times(steps, "a") == times(steps, "b") == [0, 30, 60]


async def test_a_step_that_returns_a_delay_is_run_again_after_it(memory_store):
    steps = Steps(returns=40)
    async with running(memory_store, steps) as controller:
        controller.mark("a")
        await anyio.sleep(100)

    assert times(steps, "a") == [0, 40, 80]


async def test_different_keys_run_together_up_to_the_limit_and_one_key_never_twice_at_once(memory_store):
    steps = Steps(takes=1)
    async with running(memory_store, steps, workers=3) as controller:
        for key in "abcdef":
            controller.mark(key)
        await anyio.sleep(0.5)
        for key in "abc":
            controller.mark(key)
        await anyio.sleep(10)
    alone = Steps(takes=1)
    async with running(memory_store, alone, workers=3) as controller:
        for _ in range(5):
            controller.mark("a")
            await anyio.sleep(0.3)
        await anyio.sleep(10)

    assert steps.most_at_once == 3
    assert sorted(key for _, key in steps.ran) == sorted("abcdefabc")
    assert alone.most_at_once == 1


async def test_a_step_that_raises_backs_its_own_key_off_and_the_others_go_on(memory_store):
    steps = Steps(raises={"bad": LookupError("defect")})
    with capture_logs() as logs:
        async with running(memory_store, steps, workers=1) as controller:
            for _ in range(200):
                controller.mark("bad")
                controller.mark("good")
                await anyio.sleep(1)

    assert times(steps, "bad") == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert len(times(steps, "good")) == 200
    assert {entry["key"] for entry in logs} == {"bad"}
    assert [entry["retry_in"] for entry in logs][:4] == [1, 2, 4, 8]


async def test_chance_shortens_a_back_off_by_half_at_most(memory_store):
    steps = Steps(raises={"bad": LookupError("defect")})
    with capture_logs():
        async with running(memory_store, steps, entropy=lambda n: b"\xff" * n) as controller:
            controller.mark("bad")
            await anyio.sleep(4)

    assert times(steps, "bad") == [0, 0.5, 1.5, 3.5]


async def test_a_success_forgives_what_failed_before(memory_store):
    raises: dict[str, Exception] = {"a": LookupError("defect")}
    steps = Steps(raises=raises)
    with capture_logs() as logs:
        async with running(memory_store, steps) as controller:
            controller.mark("a")
            await anyio.sleep(2)
            mended = raises.pop("a")
            await anyio.sleep(10)
            raises["a"] = mended
            controller.mark("a")
            await anyio.sleep(0.5)

    assert [entry["retry_in"] for entry in logs] == [1, 2, 1]


async def test_a_conflict_is_tried_again_at_once_but_not_for_ever(memory_store):
    steps = Steps(raises={"a": Conflict("stale")})
    with capture_logs() as logs:
        async with running(memory_store, steps) as controller:
            controller.mark("a")
            await anyio.sleep(0.5)

    assert times(steps, "a") == [0] * (PATIENT_CONFLICTS + 1)
    assert len(logs) == 1


async def test_a_sweep_that_fails_is_tried_again_soon(memory_store):
    swept: list[float] = []

    async def failing_twice() -> list[str]:
        swept.append(anyio.current_time())
        if len(swept) < 3:
            raise LookupError("database away")
        return []

    with capture_logs() as logs:
        async with running(memory_store, Steps(), failing_twice, period=30):
            await anyio.sleep(40)

    assert [round(at - swept[0]) for at in swept] == [0, 1, 3, 33]
    assert len(logs) == 2


async def test_an_end_that_nobody_expected_comes_out_of_run(memory_store):
    class Unexpected(BaseException):
        pass

    async def broken(_: str) -> None:
        raise Unexpected

    async def run_broken() -> None:
        async with running(memory_store, broken) as controller:
            controller.mark("a")
            await anyio.sleep(1)

    with pytest.raises(BaseExceptionGroup) as caught:
        await run_broken()

    assert caught.group_contains(Unexpected)


async def test_a_burst_is_one_step_for_a_controller_that_waits_for_quiet(memory_store):
    steps = Steps()
    async with running(memory_store, steps, quiet=0.05, patience=1.0) as controller:
        for _ in range(10):
            controller.mark("a")
            await anyio.sleep(0.01)
        await anyio.sleep(1)

    assert len(steps.ran) == 1
