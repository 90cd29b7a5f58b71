"""Websockets of agents: a signed upgrade like any other request, then JSON frames both ways."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from wherry.model.call import Principal
from wherry.model.errors import ApiError
from wherry.wire.asgi import read_head
from wherry.wire.authenticate import principal_of
from wherry.wire.errors import WireError
from wherry.wire.sigv4 import SignatureError
from wherry.wire.trust import Trust, refuse_browsers

SIGNING_NAME = "ecs"


async def admit(websocket: WebSocket, *, trust: Trust, region: str, account_id: str, now: float) -> Principal:
    """Tell who asks for the upgrade; raises `WireError` for browsers and for signatures that do not hold."""
    request = read_head(websocket.scope)
    refuse_browsers(request.headers, trust)
    try:
        return await principal_of(
            request, trust=trust, region=region, service=SIGNING_NAME, account_id=account_id, now=now
        )
    except SignatureError as error:
        raise WireError("AccessDeniedException", str(error), status=403) from error


async def refuse(websocket: WebSocket, error: ApiError) -> None:
    """Answer the upgrade with the error in the shape that agents read."""
    body = msgspec.json.encode({"type": error.code, "message": {"message": error.message}})
    await websocket.send_denial_response(Response(body, status_code=error.status, media_type="application/json"))


class WebSocketStream:
    """Texts and octets of an accepted websocket; closing shows as anyio's `EndOfStream` and `ClosedResourceError`."""

    def __init__(self, websocket: WebSocket) -> None:
        """Take an accepted `websocket`."""
        self._websocket = websocket
        self._closed = False

    async def send(self, frame: str | bytes) -> None:
        """Send one frame; waits while the peer takes none."""
        if self._closed:
            raise anyio.ClosedResourceError
        try:
            if isinstance(frame, str):
                await self._websocket.send_text(frame)
            else:
                await self._websocket.send_bytes(frame)
        except (WebSocketDisconnect, RuntimeError) as error:
            self._closed = True
            raise anyio.ClosedResourceError from error

    async def receive(self) -> str | bytes:
        """Wait for the next frame."""
        try:
            message = await self._websocket.receive()
        except RuntimeError as error:
            raise anyio.EndOfStream from error
        if message["type"] == "websocket.disconnect":
            self._closed = True
            raise anyio.EndOfStream
        octets = message.get("bytes")
        return octets if octets is not None else str(message.get("text", ""))

    async def aclose(self) -> None:
        """Close both directions."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._websocket.close()
        except (WebSocketDisconnect, RuntimeError):
            return  # The other side was faster.


class WebSocketChannel:
    """JSON objects over an accepted websocket, a text each; closing shows as it does on a `WebSocketStream`."""

    def __init__(self, websocket: WebSocket) -> None:
        """Take an accepted `websocket`."""
        self._stream = WebSocketStream(websocket)
        self._sending = anyio.Lock()

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one frame."""
        async with self._sending:
            await self._stream.send(msgspec.json.encode(frame).decode())

    async def receive(self) -> dict[str, Any]:
        """Wait for the next frame; what is no JSON object ends the stream, as a broken peer deserves."""
        received = await self._stream.receive()
        text = received if isinstance(received, str) else received.decode(errors="replace")
        try:
            frame = msgspec.json.decode(_without_head(text))
        except (msgspec.DecodeError, RecursionError) as error:
            raise anyio.EndOfStream from error
        if not isinstance(frame, dict):
            raise anyio.EndOfStream
        return frame

    async def aclose(self) -> None:
        """Close both directions."""
        await self._stream.aclose()


def _without_head(text: str) -> str:
    """Strip the signed HTTP-like head that the stock agent puts before each telemetry frame."""
    return text if text.startswith("{") else text.partition("\r\n\r\n")[2]
