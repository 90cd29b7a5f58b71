"""Keeping a channel open: when it is dialled again."""

from __future__ import annotations

from random import Random

import anyio
import pytest
from trio.testing import MockClock

from wherry.agent.link.base import Channel
from wherry.agent.link.pair import memory_pair
from wherry.agent.link.session import Conversation, keep_open

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def dials_within(seconds: float, *, lasting: float, heard: bool = True) -> int:
    dialled = 0

    async def dial() -> Channel:
        nonlocal dialled
        dialled += 1
        ours, theirs = memory_pair()
        await theirs.aclose()
        return ours

    async def converse(conversation: Conversation) -> None:
        conversation.heard = heard
        await anyio.sleep(lasting)
        raise anyio.EndOfStream

    async def never() -> None:
        raise AssertionError

    with anyio.move_on_after(seconds):
        await keep_open("acs", dial, converse, on_inactive=never, entropy=Random(0).randbytes)
    return dialled


async def test_a_conversation_that_was_worth_it_is_taken_up_again_at_once() -> None:
    assert await dials_within(99, lasting=10) == 10


async def test_one_that_is_ended_as_soon_as_it_begins_is_not_tried_without_a_pause() -> None:
    assert await dials_within(600, lasting=0) < 100


async def test_a_line_that_breaks_now_and_then_does_not_keep_the_agent_away() -> None:
    assert await dials_within(600, lasting=0) > 60


async def test_where_nobody_is_heard_the_pauses_grow() -> None:
    assert await dials_within(600, lasting=10, heard=False) < 25
