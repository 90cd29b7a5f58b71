"""The rules of the queue, in virtual time."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from wherry.control.loop import DirtyKeys

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def taken(keys: DirtyKeys[str], *, within: float) -> list[tuple[float, str]]:
    """Take and finish keys for so many seconds; return when each came."""
    start, came = anyio.current_time(), []
    with anyio.move_on_after(within):
        while True:
            key = await keys.take()
            came.append((round(anyio.current_time() - start, 3), key))
            keys.done(key)
    return came


async def test_marks_of_a_waiting_key_are_one():
    keys: DirtyKeys[str] = DirtyKeys()
    for _ in range(200):
        keys.mark("a")
        keys.mark("b")

    assert await taken(keys, within=1) == [(0, "a"), (0, "b")]


async def test_a_key_in_hand_is_not_handed_out_again_and_its_mark_is_kept():
    keys: DirtyKeys[str] = DirtyKeys()
    keys.mark("a")
    key = await keys.take()
    keys.mark("a")
    keys.mark("b")

    assert await taken(keys, within=1) == [(0, "b")]
    keys.done(key)
    assert await taken(keys, within=1) == [(0, "a")]


async def test_a_taker_that_waits_is_woken_by_a_mark():
    keys: DirtyKeys[str] = DirtyKeys()

    async def mark_later() -> None:
        await anyio.sleep(7)
        keys.mark("a")

    async with anyio.create_task_group() as group:
        group.start_soon(mark_later)
        assert await taken(keys, within=10) == [(7, "a")]


async def test_a_key_comes_again_after_its_delay_or_at_an_earlier_mark_but_then_only_once():
    keys: DirtyKeys[str] = DirtyKeys()
    for name in ("timed", "marked"):
        keys.mark(name)
        keys.done(await keys.take(), again_in=40)
    keys.mark("marked")

    assert await taken(keys, within=100) == [(0, "marked"), (40, "timed")]


async def test_a_held_key_keeps_its_marks_until_its_time():
    keys: DirtyKeys[str] = DirtyKeys()
    keys.mark("a")
    keys.done(await keys.take(), again_in=5, hold=True)
    keys.mark("a")

    assert await taken(keys, within=100) == [(5, "a")]


async def test_a_key_is_handed_out_once_it_was_left_in_peace():
    keys: DirtyKeys[str] = DirtyKeys(quiet=0.05, patience=1)

    async def burst() -> None:
        for _ in range(10):
            keys.mark("a")
            await anyio.sleep(0.03)

    async with anyio.create_task_group() as group:
        group.start_soon(burst)
        assert await taken(keys, within=10) == [(0.32, "a")]


async def test_a_key_that_is_never_left_in_peace_is_handed_out_when_patience_ends():
    keys: DirtyKeys[str] = DirtyKeys(quiet=0.05, patience=1)

    async def storm() -> None:
        while True:
            keys.mark("a")
            await anyio.sleep(0.03)

    async with anyio.create_task_group() as group:
        group.start_soon(storm)
        came = await taken(keys, within=3.5)
        group.cancel_scope.cancel()

    assert [round(at) for at, _ in came] == [1, 2, 3]


async def test_memory_is_bounded_by_the_distinct_keys():
    keys: DirtyKeys[int] = DirtyKeys(quiet=0.01, patience=1)
    for _ in range(2000):
        for key in range(10):
            keys.mark(key)
        keys.done(await keys.take(), again_in=40)

    assert len(keys._waiting) + len(keys._busy) <= 10
    assert len(keys._heap) <= 2 * 10 + 64


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("mark"), st.integers(0, 3)),
            st.tuples(st.just("take"), st.none()),
            st.tuples(st.just("done"), st.sampled_from([None, 1.0, 40.0])),
            st.tuples(st.just("hold"), st.sampled_from([1.0, 5.0])),
            st.tuples(st.just("sleep"), st.sampled_from([0.02, 1.0, 30.0])),
        ),
        max_size=60,
    ),
    st.sampled_from([0.0, 0.05]),
)
def test_no_mark_is_lost_and_no_key_is_in_two_hands(events, quiet):
    async def scenario() -> None:
        keys: DirtyKeys[int] = DirtyKeys(quiet=quiet, patience=1)
        owed: set[int] = set()
        hands: list[int] = []
        for event, argument in events:
            match event:
                case "mark":
                    keys.mark(argument)
                    owed.add(argument)
                case "take":
                    with anyio.move_on_after(0.001):
                        key = await keys.take()
                        assert key not in hands
                        hands.append(key)
                        owed.discard(key)
                case "done" if hands:
                    keys.done(hands.pop(), again_in=argument)
                case "hold" if hands:
                    keys.done(hands.pop(), again_in=argument, hold=True)
                case "sleep":
                    await anyio.sleep(argument)
        for key in hands:
            keys.done(key)
        with anyio.move_on_after(100):
            while True:
                key = await keys.take()
                owed.discard(key)
                keys.done(key)
        assert not owed
        assert not keys._waiting
        assert not keys._busy

    anyio.run(scenario, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})
