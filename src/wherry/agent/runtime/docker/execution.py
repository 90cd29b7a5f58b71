"""Commands executed in containers of a Docker Engine, and their end: the engine itself ends none.

The engine tells a command's process id on its host, which is this one, so that the agent can signal it: a command leads
a session and a process group of its own.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import structlog
from aiodocker.execs import Exec
from aiodocker.stream import Stream

from wherry.agent.runtime.base import ExecOutput, ExecRequest, RuntimeFault, RuntimeUnavailableError
from wherry.agent.runtime.docker.engine import Engine, EngineError, translated

log = structlog.get_logger()

SESSION_VARIABLE = "WHERRY_EXEC_SESSION"
"""Set for each command, to tell those of an earlier agent from health checks and from `docker exec`."""
GRACE = 2.0
"""Seconds between SIGHUP and SIGKILL."""

_STANDARD_ERROR = 2


class DockerExecution:
    """A command in progress. See `wherry.agent.runtime.base.Execution`."""

    def __init__(self, engine: Engine, exec_id: str, stream: Stream) -> None:
        """Take a command that has been started, and its attached `stream`."""
        self._engine = engine
        self._id = exec_id
        self._stream = stream
        self._over = False

    async def read(self) -> ExecOutput | None:
        """Wait for output."""
        with translated():
            message = await self._stream.read_out()
        return None if message is None else ExecOutput(data=message.data, error=message.stream == _STANDARD_ERROR)

    async def write(self, data: bytes) -> None:
        """Give it input."""
        try:
            await self._stream.write_in(data)
        except (aiohttp.ClientError, OSError, RuntimeError, AssertionError):
            return  # It has ended: the client library says so in all of these ways.

    async def end_input(self) -> None:
        """Shut down our half of the connection, which aiodocker has no word for."""
        response = self._stream._resp  # noqa: SLF001 - nothing public leads to the transport
        transport = response.connection.transport if response is not None and response.connection is not None else None
        if transport is not None and transport.can_write_eof():
            transport.write_eof()

    async def resize(self, *, columns: int, rows: int) -> None:
        """Change the size of its terminal; one that has ended has none."""
        params = {"w": str(columns), "h": str(rows)}
        try:
            async with self._engine.stream("POST", f"exec/{self._id}/resize", params=params):
                return
        except EngineError as error:
            log.debug("exec_resize_refused", error=error.message)

    async def exit_code(self) -> int | None:
        """Ask the engine, which may know it only a moment after the last output."""
        state = await _until_over(self._engine, self._id)
        return None if state is None else state["ExitCode"]


@asynccontextmanager
async def executed(engine: Engine, runtime_id: str, request: ExecRequest) -> AsyncIterator[DockerExecution]:
    """Execute a command in a container; leaving ends it."""
    try:
        created = await engine.call("POST", f"containers/{runtime_id}/exec", body=_body(request))
        with translated():
            stream = await Exec(engine, created["Id"], tty=request.tty).start().__aenter__()
    except EngineError as error:
        raise RuntimeFault("ExecuteCommandError", f"Error response from daemon: {error.message}") from error
    execution = DockerExecution(engine, created["Id"], stream)
    try:
        if request.columns and request.rows:
            # Engines older than API 1.42 do not take the size along with the command.
            await execution.resize(columns=request.columns, rows=request.rows)
        yield execution
    finally:
        with anyio.CancelScope(shield=True):
            await _end(engine, created["Id"])
            await _close(stream)


async def end_left_over(engine: Engine, containers: Iterable[str]) -> None:
    """End the commands that carry our mark in these containers."""
    for runtime_id in containers:
        try:
            found = await engine.call("GET", f"containers/{runtime_id}/json")
        except EngineError:
            continue  # It is gone, and its commands with it.
        for exec_id in found["ExecIDs"] or ():
            state = await _inspect(engine, exec_id)
            if state is not None and state["Running"] and _is_ours(state["Pid"]):
                log.info("exec_left_over", container=runtime_id)
                await _end(engine, exec_id)


async def _inspect(engine: Engine, exec_id: str) -> dict[str, Any] | None:
    """Ask for the state of a command; None if the engine has forgotten it."""
    try:
        state: dict[str, Any] = await engine.call("GET", f"exec/{exec_id}/json")
    except EngineError:
        return None
    return state


def _body(request: ExecRequest) -> dict[str, Any]:
    """Write the body of POST /containers/{id}/exec: as root, as the agents of ECS do it."""
    environment = [f"{SESSION_VARIABLE}={request.session_id}"]
    body: dict[str, Any] = {
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": request.tty,
        "Cmd": list(request.command),
        "User": "0",
        "Env": [*environment, "TERM=xterm-256color"] if request.tty else environment,
    }
    if request.tty and request.columns and request.rows:
        body["ConsoleSize"] = [request.rows, request.columns]
    return body


async def _end(engine: Engine, exec_id: str) -> None:
    """Signal the command's process group until it is over: as if its terminal had been hung up, then for good."""
    try:
        for number in (signal.SIGHUP, signal.SIGKILL):
            state = await _until_over(engine, exec_id, at_most=GRACE, or_started=True)
            if state is None or not state["Running"] or not state["Pid"]:
                return
            try:
                os.killpg(state["Pid"], number)
            except ProcessLookupError:
                return
            await _until_over(engine, exec_id, at_most=GRACE)
    except RuntimeUnavailableError as error:
        log.warning("exec_not_ended", error=str(error))


async def _until_over(
    engine: Engine, exec_id: str, *, at_most: float = GRACE, or_started: bool = False
) -> dict[str, Any] | None:
    """Ask for the state of a command until it is over; it is neither that nor running before it has begun."""
    deadline = anyio.current_time() + at_most
    while True:
        state = await _inspect(engine, exec_id)
        if state is None or state["ExitCode"] is not None or (or_started and state["Pid"]):
            return state
        if anyio.current_time() >= deadline:
            return state
        await anyio.sleep(0.02)


async def _close(stream: Stream) -> None:
    try:
        await stream.close()
    except (aiohttp.ClientError, OSError, RuntimeError, AssertionError):
        return  # The engine was faster.


def _is_ours(pid: int) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return any(entry.startswith(f"{SESSION_VARIABLE}=".encode()) for entry in environment.split(b"\0"))
