"""The agents of one host find each other by unix sockets, and ask each other about ids that they do not know.

Whichever agent a task's request reaches, the one that has the task answers it. The sockets are in a directory of
root's, named by the agents' instance ids; one that nobody listens on any more is removed by whoever notices.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path

import aiohttp
import anyio
from aiohttp import web
from yarl import URL

from wherry.agent.endpoints.callers import SOURCE_HEADER, caller

UNKNOWN_HEADER = "X-Wherry-Unknown"
"""On an answer between agents: the id is not known here either."""

_PATIENCE = aiohttp.ClientTimeout(total=10, sock_connect=2)
_BACKLOG = 128
_OF_ONE_CONNECTION = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_NOT_PASSED_ON = _OF_ONE_CONNECTION | {SOURCE_HEADER.lower()}


def listen(directory: Path, instance: str) -> socket.socket:
    """Open this agent's socket; raises OSError. What a former life of the agent left there is replaced."""
    directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    # Whoever can open a socket in here can ask in the name of any task.
    directory.chmod(0o700)
    fresh = directory / f"{instance}.new"
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(fresh))
        listener.listen(_BACKLOG)
        # It has its name only once it listens: nobody takes it for one that was left behind.
        fresh.rename(_path(directory, instance))
    except OSError:
        listener.close()
        raise
    return listener


def remove(directory: Path, instance: str) -> None:
    """Remove what an agent that is not there any more left of its socket."""
    _forget(_path(directory, instance))


def is_alone(directory: Path, instance: str) -> bool:
    """Tell whether no other agent of this host listens on its socket."""
    return not any(_is_heard(path) for path in directory.glob("*.sock") if path != _path(directory, instance))


def _is_heard(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as knocking:
        knocking.settimeout(0)
        try:
            knocking.connect(str(path))
        except OSError as error:
            # A full queue is that of somebody who lives.
            return error.errno == errno.EAGAIN
    return True


def _forget(path: Path) -> None:
    """Remove a socket that nobody listens on."""
    with contextlib.suppress(OSError):
        path.unlink()


def _path(directory: Path, instance: str) -> Path:
    return directory / f"{instance}.sock"


class Peers:
    """The other agents of this host."""

    def __init__(self, directory: Path, instance: str) -> None:
        """Know them by their sockets in `directory`, all but the one of `instance`."""
        self._directory = directory
        self._own = _path(directory, instance)
        self._sessions: dict[Path, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Let go of every connection, and take the own socket's name away."""
        for session in self._sessions.values():
            await session.close()
        self._own.unlink(missing_ok=True)

    async def ask(self, request: web.Request) -> web.Response | None:
        """Pass a request on to all of them at once; return the answer of the one that knows the id, None if none does.

        An agent that does not know the id does nothing, whatever is asked.
        """
        others = [path for path in self._directory.glob("*.sock") if path != self._own]
        if not others:
            return None
        body = await request.read()
        answers: list[web.Response] = []

        async def ask_one(path: Path) -> None:
            answer = await self._pass_on(request, body, path)
            if answer is not None:
                answers.append(answer)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for path in others:
                group.start_soon(ask_one, path)
        return answers[0] if answers else None

    async def _pass_on(self, request: web.Request, body: bytes, path: Path) -> web.Response | None:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        headers[SOURCE_HEADER] = caller(request).header
        url = URL(f"http://agent{request.raw_path}", encoded=True)
        try:
            async with self._session(path).request(
                request.method, url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                if UNKNOWN_HEADER in answer.headers:
                    return None
                kind = answer.headers.get("Content-Type", "application/json")
                return web.Response(status=answer.status, body=await answer.read(), headers={"Content-Type": kind})
        except (ConnectionRefusedError, aiohttp.ClientConnectorError):
            _forget(path)
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass  # It is hardly there: whoever asked is told that the id is unknown, and asks again.
        return None

    def _session(self, path: Path) -> aiohttp.ClientSession:
        if path not in self._sessions:
            connector = aiohttp.UnixConnector(str(path), limit=0)
            self._sessions[path] = aiohttp.ClientSession(connector=connector, timeout=_PATIENCE, auto_decompress=False)
        return self._sessions[path]
