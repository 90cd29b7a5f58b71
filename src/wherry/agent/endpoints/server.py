"""One HTTP server for all that tasks ask of their agent, at http://169.254.170.2.

All agents of a host listen on the same address and port, and the kernel gives each connection to one of them. Where
that one does not know the id that is asked about, it asks the others (`peers`). So an agent that dies takes nobody's
endpoint with it, and there is nothing to hand over. Port 80 is the firewall's word for the port that they listen on:
a program that listens on port 80 of all addresses, and agents, keep nothing from each other.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import anyio
import anyio.to_thread
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from anyio.abc import TaskStatus

from wherry.agent.endpoints import peers
from wherry.agent.endpoints.answers import UnknownIdError, json_answer
from wherry.agent.endpoints.callers import ADDRESS, RateLimit, caller, is_forwarded
from wherry.agent.endpoints.connections import Connections, CountedProtocol
from wherry.agent.endpoints.peers import UNKNOWN_HEADER, Peers
from wherry.agent.endpoints.tokens import Tokens
from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.sandbox import firewall, link_local, names

log = structlog.get_logger()

DIRECTORY = Path("/run/wherry/endpoints")
MOST_BODY = 8 * 1024 * 1024
"""Bytes of a request: a MiB of log events, in which the engine's driver writes some characters with six."""
LOOK = 0.5
"""Seconds between two looks at whether the address is there and can be listened on."""
LOOK_AT_FIREWALL = 10.0
"""Seconds between two looks at whether port 80 still leads there."""
LAST_WORDS = 1.0
"""Seconds that requests in progress have when the agent ends."""
_BACKLOG = 512

Routes = Iterable[web.AbstractRouteDef]
"""What one module serves: its paths and handlers. A handler raises `UnknownIdError` for an id that it does not know."""


class Endpoints:
    """The server of one agent, with the tokens by which its containers name themselves."""

    def __init__(
        self,
        *,
        instance: str,
        tokens: Tokens,
        directory: Path = DIRECTORY,
        address: str = ADDRESS,
        port: int = names.ENDPOINTS_PORT,
    ) -> None:
        """Serve the tasks of the agent called `instance`; no I/O happens yet."""
        self.tokens = tokens
        self._instance = instance
        self._directory = directory
        self._address = address
        self._port = port
        self._peers = Peers(directory, instance)
        self._limit = RateLimit(time.monotonic)
        self._connections = Connections()
        self._warned = False
        self._looked: float | None = None

    async def run(self, tables: Iterable[Routes], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; `task_status` is told once everything that can be listened on is.

        Needs asyncio. Where the port is somebody else's, that is logged, and tried until it is free.
        """
        runner = web.AppRunner(self._application(tables), access_log=None, shutdown_timeout=LAST_WORDS)
        await runner.setup()
        listening: asyncio.Server | None = None
        try:
            await self._serve_peers(runner)
            listening = await self._try_listening(runner)
            task_status.started()
            while True:
                await anyio.sleep(LOOK)
                if listening is None:
                    listening = await self._try_listening(runner)
                else:
                    await self._keep_up()
        finally:
            with anyio.CancelScope(shield=True):
                if listening is not None:
                    listening.close()
                await runner.cleanup()
                await self._peers.close()

    def _application(self, tables: Iterable[Routes]) -> web.Application:
        application = web.Application(middlewares=[self._at_the_door], client_max_size=MOST_BODY)
        for table in tables:
            application.add_routes(table)
        return application

    @web.middleware
    async def _at_the_door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let those in who do not ask too often; have somebody else answer about what is not known here."""
        forwarded = is_forwarded(request)
        who = caller(request)
        if not forwarded and not who.is_host and not self._limit.admits(who.address):
            return json_answer("You have reached maximum request limit.", status=429)
        try:
            return await handler(request)
        except UnknownIdError as unknown:
            answer = json_answer(unknown.body, status=unknown.status)
            if forwarded:
                answer.headers[UNKNOWN_HEADER] = "1"
                return answer
            return await self._peers.ask(request) or answer

    async def _serve_peers(self, runner: web.AppRunner) -> None:
        try:
            listener = await anyio.to_thread.run_sync(peers.listen, self._directory, self._instance)
        except OSError as error:
            # Alone on the host, which is the rule, an agent does well without.
            log.warning("endpoints_not_shared", directory=str(self._directory), error=str(error))
            return
        await web.SockSite(runner, listener).start()

    async def _try_listening(self, runner: web.AppRunner) -> asyncio.Server | None:
        try:
            await self._put_up()
            listener = _listener(self._address, self._port)
        except (OSError, RuntimeFault) as error:
            self._warn(error)
            return None

        def accept() -> CountedProtocol:
            return CountedProtocol(cast("web.Server", runner.server)(), self._connections)

        server = await asyncio.get_running_loop().create_server(accept, sock=listener, backlog=_BACKLOG)
        log.info("endpoints_served", address=self._address, port=self._port)
        return server

    async def _keep_up(self) -> None:
        """Put up again what is gone: rules are reloaded, and the last task of another agent takes them along."""
        try:
            await self._put_up()
        except (OSError, RuntimeFault) as error:
            self._warn(error)
        else:
            self._warned = False

    async def _put_up(self) -> None:
        """Put up the address and the way there; on loopback, which tests use, there is nothing to put up."""
        if self._address.startswith("127."):
            return
        if not (link_local.is_present(self._address) and await self._is_led_to()):
            await anyio.to_thread.run_sync(link_local.ensure, self._address)
            await firewall.ensure_endpoints()
            self._looked = time.monotonic()

    async def _is_led_to(self) -> bool:
        if self._looked is None:  # What a former release has put up may lead elsewhere.
            return False
        if time.monotonic() - self._looked < LOOK_AT_FIREWALL:
            return True
        self._looked = time.monotonic()
        return await firewall.leads_to_agents()

    def _warn(self, error: OSError | RuntimeFault) -> None:
        if not self._warned:
            self._warned = True
            log.warning("endpoints_unavailable", address=self._address, port=self._port, **_explained(error))


def _listener(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Agents of one host share the port; the kernel lets only processes of the same user do so.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


def _explained(error: OSError | RuntimeFault) -> dict[str, str]:
    hint = "Tasks run, but find no metadata and no credentials until that is put right."
    if isinstance(error, RuntimeFault):
        return {"error": error.message, "hint": hint}
    if error.errno == errno.EADDRINUSE:
        hint += " Stop what listens on that port ('ss -ltnp' tells who it is), or let it listen on other addresses."
    return {"error": error.strerror or str(error), "hint": hint}
