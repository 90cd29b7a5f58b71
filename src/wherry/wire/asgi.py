"""ASGI messages to a `Request` and back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import msgspec
from starlette.types import Receive, Scope, Send

from wherry.wire.message import Request, Response

_DRAINED = 4
"""How many times the limit of a body is read and dropped, so that the client can finish and read the refusal."""


class BodyTooLargeError(Exception):
    """The body exceeds the limit; `head` is the request without it."""

    def __init__(self, head: Request) -> None:
        """Keep the `head` to answer in the caller's protocol."""
        super().__init__()
        self.head = head


class ClientGoneError(Exception):
    """The client left before its request was complete: nobody is there to answer."""


async def read_request(scope: Scope, receive: Receive, max_body: int) -> Request:
    """The whole request; raises `BodyTooLargeError` and `ClientGoneError`."""
    head = read_head(scope)
    if head.header("expect") is not None and int(head.header("content-length") or 0) > max_body:
        raise BodyTooLargeError(head)  # the client waits for leave to send
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > max_body:
            chunks.clear()
            if size > _DRAINED * max_body:
                break
        elif chunk:
            chunks.append(chunk)
    if size > max_body:
        raise BodyTooLargeError(head)
    return msgspec.structs.replace(head, body=b"".join(chunks))


def read_head(scope: Scope) -> Request:
    """The request line and headers; the upgrade to a websocket is a GET."""
    return Request(
        method=scope.get("method", "GET"),
        path=(scope.get("raw_path") or scope["path"].encode()).decode("utf-8", "surrogateescape"),
        query=scope["query_string"].decode("utf-8", "surrogateescape"),
        headers=tuple(
            [
                (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
                for name, value in scope["headers"]
            ]
        ),
        client=(scope.get("client") or ("",))[0],
    )


async def send_response(send: Send, response: Response, *, head_only: bool) -> None:
    """Send `response`, which is no stream, without its body if the request was HEAD."""
    headers = _encoded(response)
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head_only else response.body})


async def send_stream(
    receive: Receive, send: Send, response: Response, stream: AsyncIterator[bytes], *, until: anyio.CancelScope
) -> None:
    """Send `response` and what its stream yields, until that ends, the scope is cancelled or the client leaves."""
    await send({"type": "http.response.start", "status": response.status, "headers": _encoded(response)})
    with until:
        async with anyio.create_task_group() as group:

            async def leave_with_the_client() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(leave_with_the_client)
            async for frame in stream:
                await send({"type": "http.response.body", "body": frame, "more_body": True})
            group.cancel_scope.cancel()
    await send({"type": "http.response.body", "body": b""})


def _encoded(response: Response) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in response.headers]
