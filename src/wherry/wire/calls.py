"""HTTP for what nearly every request is: a call of AWS, a POST of a small body to `/`, answered in one piece.

Such a call goes from the connection to the gateway and back without ASGI in between. Anything else, from the first byte
that shows it, goes to uvicorn, and the connection with it.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, cast

import httptools
import msgspec
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from wherry.wire.gateway import Gateway
from wherry.wire.message import Request, Response

SMALL = 64 * 1024
"""So many bytes the head of a call may have, and its body."""

_FULL = 2 * SMALL
"""So many bytes are read ahead: any call fits."""

_START = b"POST / HTTP/1.1\r\n"
_BLANK_LINE = b"\r\n\r\n"
_NOT_OURS = frozenset({"transfer-encoding", "expect", "upgrade"})
"""Headers that ask for more of HTTP than is done here."""

_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


class NotACallError(Exception):
    """What came in is no call, or asks for more of HTTP than is done here."""


class Call(msgspec.Struct, frozen=True):
    """A call that is all there: how many bytes it was, and whether another may follow on its connection."""

    request: Request
    size: int
    keeps_alive: bool


class _Head:
    """What the parser makes of a request's head."""

    __slots__ = ("complete", "headers")

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower().decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        self.complete = True


def read_call(received: bytes, client: str, *, max_body: int = SMALL) -> Call | int:
    """Read the call that begins `received`, or say how many bytes it takes at least; raises `NotACallError`."""
    if not received.startswith(_START):
        if _START.startswith(received):
            return len(received) + 1
        raise NotACallError
    end = received.find(_BLANK_LINE, 0, SMALL)
    if end < 0:
        if len(received) < SMALL:
            return len(received) + 1
        raise NotACallError
    start_of_body = end + len(_BLANK_LINE)
    head = _Head()
    parser = httptools.HttpRequestParser(head)
    try:
        parser.feed_data(received[:start_of_body])
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        raise NotACallError from None
    size = start_of_body + _length_of_body(head, max_body)
    if len(received) < size:
        return size
    request = Request(
        method="POST", path="/", headers=tuple(head.headers), body=received[start_of_body:size], client=client
    )
    return Call(request, size, parser.should_keep_alive())


def _length_of_body(head: _Head, max_body: int) -> int:
    length = ""
    for name, value in head.headers:
        if name == "content-length":
            length = value
        elif name in _NOT_OURS:
            raise NotACallError
    if not head.complete or not (length.isascii() and length.isdigit()) or int(length) > max_body:
        raise NotACallError
    return int(length)


def write_answer(response: Response, defaults: list[tuple[bytes, bytes]], *, keeps_alive: bool) -> bytes:
    """Write an answer that is no stream; raises `ValueError` for a header that would begin another one."""
    lines = [_STATUS.get(response.status) or f"HTTP/1.1 {response.status} "]
    lines += [f"{name.decode()}: {value.decode()}" for name, value in defaults]
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines.append(f"content-length: {len(response.body)}")
    if not keeps_alive:
        lines.append("connection: close")
    head = "\r\n".join(lines)
    if not head.count("\r") == head.count("\n") == len(lines) - 1:
        raise ValueError("A header of the answer has a line break in it.")
    return head.encode() + _BLANK_LINE + response.body


class CallProtocol(asyncio.Protocol):
    """A connection on which one call after the other is answered; uvicorn makes it, and ends it with `shutdown`."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Take what uvicorn gives every protocol, to pass it on to its own if the connection is for that."""
        self._gateway = gateway
        self._max_body = min(SMALL, gateway.max_body)
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._received = b""
        self._wanted = 0  # no use to look again at less than so many bytes
        self._busy = False
        self._closing = False
        self._unread: asyncio.Event | None = None
        self._resting_since = 0.0
        self._rest: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._client = (get_remote_addr(self._transport) or ("",))[0]
        self._state.connections.add(cast("HttpToolsProtocol", self))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End; a call that is under way is carried out all the same."""
        self._leave()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take what comes; while a call is under way the next one waits."""
        self._received += data
        if not self._busy:
            if len(self._received) >= self._wanted:
                self._next()
        elif len(self._received) > _FULL:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Answer no further call of one who does not read the answers."""
        self._unread = asyncio.Event()

    def resume_writing(self) -> None:
        """Go on."""
        if self._unread is not None:
            self._unread.set()
            self._unread = None

    def shutdown(self) -> None:
        """Close the connection as soon as nobody waits for an answer."""
        self._closing = True
        if not self._busy:
            self._transport.close()

    def _next(self) -> None:
        try:
            call = read_call(self._received, self._client, max_body=self._max_body)
        except NotACallError:
            self._hand_over()
            return
        if isinstance(call, int):
            self._wanted = call
            return
        if self._gateway.goes_on(call.request):
            self._hand_over()
            return
        self._received = self._received[call.size :]
        self._wanted = 0
        self._busy = True
        task = self._loop.create_task(self._answer(call))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    async def _answer(self, call: Call) -> None:
        try:
            response = await self._gateway.answer(call.request)
            if self._transport.is_closing():
                return  # nobody waits any more
            keeps_alive = call.keeps_alive and not self._closing
            self._transport.write(write_answer(response, self._state.default_headers, keeps_alive=keeps_alive))
            if self._unread is not None:
                await self._unread.wait()
        except BaseException:
            self._transport.close()
            raise
        if keeps_alive and not (self._closing or self._transport.is_closing()):
            self._rest_or_go_on()
        else:
            self._transport.close()

    def _rest_or_go_on(self) -> None:
        self._busy = False
        if self._received:
            if len(self._received) <= _FULL:
                self._transport.resume_reading()
            self._next()
            return
        self._resting_since = self._loop.time()
        if self._rest is None:
            self._rest = self._loop.call_later(self._config.timeout_keep_alive, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Let a connection go on which nothing has come for long; one timer serves all of its calls."""
        self._rest = None
        if self._busy or self._received:
            return
        left = self._resting_since + self._config.timeout_keep_alive - self._loop.time()
        if left <= 0:
            self._transport.close()
        else:
            self._rest = self._loop.call_later(left, self._close_if_idle)

    def _hand_over(self) -> None:
        """Let uvicorn serve the connection from here on, beginning with what has come."""
        self._leave()
        protocol = HttpToolsProtocol(self._config, self._state, self._app_state, self._loop)
        protocol.connection_made(self._transport)
        self._transport.set_protocol(protocol)
        self._transport.resume_reading()
        protocol.data_received(self._received)

    def _leave(self) -> None:
        self._state.connections.discard(cast("HttpToolsProtocol", self))
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
