"""Uvicorn as a child of our own task group: it neither touches signals nor ends the process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import anyio
import uvicorn
from anyio.abc import TaskStatus
from starlette.types import ASGIApp

from wherry.wire.calls import CallProtocol
from wherry.wire.gateway import Gateway

GRACE_SECONDS = 3
IDLE_SECONDS = 1200
"""How long a websocket may leave a ping unanswered: the 20 minutes that a session of ECS Exec may be idle."""
IP_FREEBIND = 15
"""Of <linux/in.h>; Python has no name for it."""


class _Server(uvicorn.Server):
    """A server that tells when it is ready and leaves signals to the composition root."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def listen(host: str, port: int, *, before_it_exists: bool = False) -> socket.socket:
    """Bind the socket; raises `OSError`, which is clearer before a server is built around it than after.

    `before_it_exists` binds to an address that somebody will give to this machine later.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off only where it is: without that every answer
    # waits 40 ms for the delayed acknowledgement of its head.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if before_it_exists:
            bound.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except BaseException:
        bound.close()
        raise
    bound.set_inheritable(False)
    return bound


async def serve(
    app: ASGIApp,
    gateway: Gateway,
    bound: socket.socket,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app`, and calls by the short way to its `gateway`, on the bound socket until cancelled.

    Open requests get a few seconds to finish; answers that go on are ended.
    """
    server = _Server(
        uvicorn.Config(
            app,
            loop="none",
            http=cast("type[asyncio.Protocol]", partial(CallProtocol, gateway)),
            ws="websockets-sansio",
            # Who has stopped reading, as a pager does, answers no ping: it has as long as it may be idle.
            ws_ping_timeout=IDLE_SECONDS,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )

    async def run() -> None:
        # Cancellation must not tear requests apart: it asks for an orderly exit below.
        with anyio.CancelScope(shield=True):
            await server.serve(sockets=[bound])
        if not server.should_exit:
            raise RuntimeError("The HTTP server ended by itself.")

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        try:
            await server.ready.wait()
            task_status.started()
            await anyio.sleep_forever()
        finally:
            gateway.end_streams()
            server.should_exit = True
