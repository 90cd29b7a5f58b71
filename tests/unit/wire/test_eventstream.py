"""Event streams as botocore reads them: whole frames, and an exception as the last where one breaks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.errors import ResourceNotFoundException
from wherry.wire import eventstream
from wherry.wire.models import load

TAIL = load("logs").operation("StartLiveTail")
Pairs = AsyncIterator[tuple[str, Mapping[str, Any]]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def read(frames: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(frames)
    return [(event.headers, event.payload) for event in buffer]


async def streamed(events: Pairs) -> list[tuple[dict[str, str], Any]]:
    response = eventstream.serialize(TAIL, {"responseStream": events}, "request-1")
    assert response.stream is not None
    assert dict(response.headers)["content-type"] == "application/vnd.amazon.eventstream"
    return [(headers, json.loads(body)) for headers, body in read(b"".join([part async for part in response.stream]))]


@given(st.dictionaries(st.text("abc:-", min_size=1, max_size=20), st.text(max_size=200), max_size=4), st.binary())
def test_a_frame_is_read_as_it_was_written(headers: dict[str, str], payload: bytes) -> None:
    assert read(eventstream.frame(headers, payload)) == [(headers, payload)]


@pytest.mark.anyio
async def test_every_event_is_a_frame_behind_the_initial_response() -> None:
    async def events() -> Pairs:
        yield "sessionStart", {"sessionId": "s"}
        yield "sessionUpdate", {"sessionMetadata": {"sampled": False}, "sessionResults": []}

    frames = await streamed(events())
    assert [headers[":event-type"] for headers, _ in frames] == ["initial-response", "sessionStart", "sessionUpdate"]
    assert {headers[":message-type"] for headers, _ in frames} == {"event"}
    assert frames[1][1] == {"sessionId": "s"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "code"),
    [(ResourceNotFoundException("gone"), "ResourceNotFoundException"), (ZeroDivisionError(), "ServerException")],
)
async def test_a_stream_that_breaks_ends_with_an_exception(error: Exception, code: str) -> None:
    async def events() -> Pairs:
        yield "sessionStart", {}
        raise error

    headers, body = (await streamed(events()))[-1]
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", code)
    assert body["message"]


@pytest.mark.anyio
async def test_an_event_that_the_model_does_not_know_is_our_mistake() -> None:
    async def events() -> Pairs:
        yield "sessionUpdate", {"invented": 1}

    assert (await streamed(events()))[-1][0][":exception-type"] == "ServerException"
