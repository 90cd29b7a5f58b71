"""The agent's links over real sockets, to somebody who answers with what nobody should: nothing but the link ends."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
import websockets
from aiohttp import web
from botocore.credentials import Credentials
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection

from wherry.agent.link.base import UnreachableError
from wherry.agent.link.remote import MAX_FRAME, RemoteControlPlane

pytestmark = pytest.mark.anyio

DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BOMB = gzip.compress(bytes(8 * MAX_FRAME))
MIB = bytes(2**20)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve `answer` to every request; yields the URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def sending(*frames: str | bytes, text: bool | None = None) -> AsyncIterator[str]:
    """Serve a websocket that sends these frames and then waits; yields the URL."""

    async def talk(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame, text=text)
        await connection.wait_closed()

    async with websockets.serve(talk, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@asynccontextmanager
async def remote(url: str) -> AsyncIterator[RemoteControlPlane]:
    async with RemoteControlPlane(url, region="us-east-1", credentials=Credentials("AKIATEST", "secret")) as opened:
        with anyio.fail_after(20):
            yield opened


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":NaN}', DEEP],
    ids=["empty", "list", "null", "cut", "bytes", "latin", "surrogate", "nan", "deep"],
)
async def test_an_answer_that_is_no_json_object_counts_as_none(body: bytes, status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status)

    async with answering(answer) as url, remote(url) as control_plane:
        with pytest.raises(UnreachableError):
            await control_plane.call("DiscoverPollEndpoint", {})


async def test_an_answer_without_end_is_given_up_when_it_is_too_large() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(MIB)

    async with answering(answer) as url, remote(url) as control_plane:
        with pytest.raises(UnreachableError, match="more than"):
            await control_plane.call("DiscoverPollEndpoint", {})


async def test_a_small_answer_that_unpacks_to_a_large_one_is_given_up() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=BOMB, headers={"Content-Encoding": "gzip"})

    async with answering(answer) as url, remote(url) as control_plane:
        with pytest.raises(UnreachableError, match="more than"):
            await control_plane.call("DiscoverPollEndpoint", {})


async def test_a_signed_call_is_not_taken_to_where_a_redirect_points() -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        asked.append("elsewhere")
        return web.json_response({"endpoint": "http://evil/"})

    async def answer(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(other)

    asked: list[str] = []
    async with answering(elsewhere) as other, answering(answer) as url, remote(url) as control_plane:
        with pytest.raises(UnreachableError):
            await control_plane.call("DiscoverPollEndpoint", {})
    assert not asked


async def test_an_upgrade_that_is_redirected_in_circles_is_unreachable() -> None:
    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound(f"ws://{request.host}/{len(asked)}")

    asked: list[str] = []
    async with answering(answer) as url, remote(url) as control_plane:
        with pytest.raises(UnreachableError):
            await control_plane.connect(url, {})
    assert 1 < len(asked) < 20


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "\x00",
        "x",
        "http://",
        "http://[",
        "http://[::1",
        "http://a..b/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://" + "a" * 300 + "/",
        "http://\u2100/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "ws://127.0.0.1:1/",
        "https://127.0.0.1:1/",
        "http://127.0.0.1:1/\r\nHost: evil",
    ],
)
async def test_an_endpoint_that_leads_nowhere_is_unreachable(endpoint: str) -> None:
    async with remote("http://127.0.0.1:1") as control_plane:
        with pytest.raises(UnreachableError):
            await control_plane.connect(endpoint, {"containerInstanceArn": "x"})


@pytest.mark.parametrize("status", [200, 204, 302, 400, 403, 500])
@pytest.mark.parametrize("body", [b"", DEEP, b"\xff", b"[1]"], ids=["empty", "deep", "bytes", "list"])
async def test_an_upgrade_that_is_answered_with_nonsense_is_unreachable(body: bytes, status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status)

    async with answering(answer) as url, remote(url) as control_plane:
        with pytest.raises(UnreachableError):
            await control_plane.connect(url, {})


async def test_a_link_that_is_lost_before_the_upgrade_is_sent_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(connection: ClientConnection, *_: object, **__: object) -> None:
        connection.transport.abort()
        await connection.wait_closed()
        raise connection.protocol.close_exc  # as its own handshake does from then on

    monkeypatch.setattr(ClientConnection, "handshake", lost)
    async with sending() as url, remote(url) as control_plane:
        with pytest.raises(UnreachableError):
            await control_plane.connect(url, {})


FRAMES: dict[str, str | bytes] = {
    "empty": "",
    "list": "[]",
    "null": "null",
    "cut": "{",
    "surrogate": '{"a":"\\ud800"}',
    "digits": "1" * 5000,
    "large": "x" * (MAX_FRAME + 1),
    "deep": DEEP.decode(),
    "deep bytes": DEEP,
    "no bytes": b"",
    "latin": b'{"a":"\xff"}',
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
async def test_a_frame_that_is_no_json_object_ends_the_conversation(frame: str | bytes) -> None:
    async with sending('{"type": "fine"}', frame) as url, remote(url) as control_plane:
        channel = await control_plane.connect(url, {})
        assert await channel.receive() == {"type": "fine"}
        with pytest.raises(anyio.EndOfStream):
            await channel.receive()
        await channel.aclose()


async def test_text_that_is_no_unicode_ends_the_conversation() -> None:
    async with sending(b"\xc3\x28\xff", text=True) as url, remote(url) as control_plane:
        channel = await control_plane.connect(url, {})
        with pytest.raises(anyio.EndOfStream):
            await channel.receive()
        await channel.aclose()
