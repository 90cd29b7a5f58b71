"""What the engine keeps of a container's output, whatever its log driver: the copy that `docker logs` reads."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from wherry.agent.logs.stream import Line
from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.runtime.docker import translate
from wherry.agent.runtime.docker.engine import UNBOUNDED, Engine, EngineError, translated

_HEADER = struct.Struct(">BxxxL")
_NANOSECONDS = 1_000_000_000


class Copies:
    """The copies of one agent's containers."""

    def __init__(self, engine: Engine, *, instance: str) -> None:
        """Ask `engine` for the containers of the agent called `instance`."""
        self._engine = engine
        self._instance = instance

    async def lines(self, task_arn: str, name: str, *, since: float) -> list[Line] | None:
        """Read the lines of a container since an instant (epoch seconds), oldest first; None if it is not there.

        Raises `RuntimeFault` if no copy is kept of it, and `RuntimeUnavailableError`.
        """
        try:
            found = await self._find(task_arn, name)
            if found is None:
                return None
            text = await self._read(found["Id"], since)
        except EngineError as error:
            if error.status == 404:
                return None
            raise RuntimeFault("CannotReadLogsError", error.message) from error
        return list(lines(text.split(b"\n") if found["Config"]["Tty"] else frames(text)))

    async def _find(self, task_arn: str, name: str) -> dict[str, Any] | None:
        wanted = [
            f"{translate.LABEL_INSTANCE}={self._instance}",
            f"{translate.LABEL_TASK}={task_arn}",
            f"{translate.LABEL_CONTAINER}={name}",
            f"{translate.LABEL_ROLE}={translate.ROLE_TASK}",
        ]
        params = {"all": "1", "filters": translate.filters(label=wanted)}
        listed: list[dict[str, Any]] = await self._engine.call("GET", "containers/json", params=params)
        if not listed:
            return None
        inspected: dict[str, Any] = await self._engine.call("GET", f"containers/{listed[0]['Id']}/json")
        return inspected

    async def _read(self, container: str, since: float) -> bytes:
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "since": f"{since:.9f}"}
        with translated():
            async with self._engine._query(  # noqa: SLF001 - aiodocker's own reader decodes and joins what is to be counted
                f"containers/{container}/logs", "GET", params=params, timeout=UNBOUNDED
            ) as answer:
                return await answer.read()


def frames(text: bytes) -> Iterator[bytes]:
    """Take what a container without a terminal wrote out of its frames, in their order.

    Each is what the driver was given at once: a line, or a piece of one that is too long, which ends without a break.
    """
    start = 0
    while start + _HEADER.size <= len(text):
        _, length = _HEADER.unpack_from(text, start)
        start += _HEADER.size
        yield text[start : start + length].removesuffix(b"\n")
        start += length


def lines(written_lines: Iterable[bytes]) -> Iterator[Line]:
    """Read lines that begin with their times."""
    for written in written_lines:
        stamp, space, line = written.partition(b" ")
        if space:
            yield Line(at=_nanoseconds(stamp.decode()), text=line.decode(errors="replace"))


def _nanoseconds(stamp: str) -> int:
    """Read a time as the engine writes it, with nine digits behind the seconds."""
    seconds, _, fraction = stamp.removesuffix("Z").partition(".")
    whole = int(datetime.fromisoformat(f"{seconds}+00:00").timestamp())
    return whole * _NANOSECONDS + int(fraction.ljust(9, "0")[:9] or 0)
