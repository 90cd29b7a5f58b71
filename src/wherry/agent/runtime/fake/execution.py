"""Commands executed in containers of the fake machine: a few programs, and a shell that knows no others.

`cat`, `echo`, `true`, `false`, `sleep`, `head -c N /dev/zero`, `stty size` and `sh`, which reads lines or takes `-c`,
separates commands by `;` and knows `exit` and `>&2`. On a terminal input is echoed, Ctrl-D ends it, Ctrl-C the command.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from wherry.agent.runtime.base import ExecOutput, ExecRequest

NOT_FOUND = 126
INTERRUPTED = 130
KILLED = 137

_CHUNK = 64 * 1024
_CTRL_C, _CTRL_D = b"\x03", b"\x04"


class _Exit(Exception):  # noqa: N818 - how a program ends, not an error
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class FakeExecution:
    """A command in progress. See `wherry.agent.runtime.base.Execution`."""

    def __init__(self, request: ExecRequest) -> None:
        """Prepare the command; `run` runs it."""
        self._request = request
        self._size = (request.rows or 0, request.columns or 0)
        self._code: int | None = None
        self._typed, self._input = anyio.create_memory_object_stream[bytes](16)
        self._printed, self._output = anyio.create_memory_object_stream[ExecOutput](1)
        self._scope = anyio.CancelScope()
        self._rest = b""

    async def run(self) -> None:
        """Run to the end."""
        code = KILLED
        with self._printed, self._input:
            with self._scope:
                try:
                    code = await self._program(self._request.command)
                except _Exit as end:
                    code = end.code
            self._code = code if self._code is None else self._code

    def kill(self, code: int = KILLED) -> None:
        """End the command from outside."""
        self._code = code if self._code is None else self._code
        self._scope.cancel()

    def close(self) -> None:
        """Let go of both ends that are ours."""
        self._output.close()
        self._typed.close()

    async def read(self) -> ExecOutput | None:
        """Wait for output."""
        try:
            return await self._output.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            return None

    async def write(self, data: bytes) -> None:
        """Give it input."""
        if self._request.tty:
            if _CTRL_C in data:
                self.kill(INTERRUPTED)
                return
            data = data.replace(b"\r", b"\n")
            await self._print(data.replace(_CTRL_D, b""))
        await self._give(data)

    async def _give(self, data: bytes) -> None:
        text, end, _ = data.partition(_CTRL_D) if self._request.tty else (data, b"", b"")
        try:
            if text:
                await self._typed.send(text)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # It has ended.
        if end:
            await self.end_input()

    async def end_input(self) -> None:
        """Let its standard input end."""
        self._typed.close()

    async def resize(self, *, columns: int, rows: int) -> None:
        """Change the size of its terminal."""
        self._size = (rows, columns)

    async def exit_code(self) -> int | None:
        """Tell how it ended."""
        return self._code

    async def _program(self, command: tuple[str, ...]) -> int:
        command = command[1:] if command[:1] == ("busybox",) else command
        match command:
            case ("true" | "false" as truth,):
                return int(truth == "false")
            case ("echo", *words):
                await self._print(" ".join(words).encode() + b"\n")
            case ("cat",):
                await self._cat()
            case ("sleep", seconds):
                await anyio.sleep(math.inf if seconds == "inf" else float(seconds))
            case ("head", "-c", size, "/dev/zero"):
                await self._zeros(int(size))
            case ("stty", "size"):
                await self._print("{} {}\n".format(*self._size).encode())
            case ("sh", "-c", script):
                return await self._script(script)
            case ("sh",):
                return await self._shell()
            case _:
                name = command[0] if command else ""
                await self._print(f'exec: "{name}": executable file not found in $PATH: unknown\n'.encode())
                return NOT_FOUND
        return 0

    async def _cat(self) -> None:
        while data := await self._read_in():
            await self._print(data)

    async def _zeros(self, size: int) -> None:
        for start in range(0, size, _CHUNK):
            await self._print(bytes(min(_CHUNK, size - start)))

    async def _shell(self) -> int:
        code = 0
        while b"\n" in self._rest or (data := await self._read_in()):
            if b"\n" not in self._rest:
                self._rest += data
                continue
            line, _, self._rest = self._rest.partition(b"\n")
            code = await self._script(line.decode())
        return code

    async def _script(self, script: str) -> int:
        code = 0
        for part in filter(None, map(str.strip, script.split(";"))):
            words = tuple(shlex.split(part))
            if words[0] == "exit":
                raise _Exit(int(words[1]))
            if words[-1] == ">&2":
                await self._print(" ".join(words[1:-1]).encode() + b"\n", error=True)
            else:
                code = await self._program(words)
        return code

    async def _read_in(self) -> bytes:
        try:
            return await self._input.receive()
        except anyio.EndOfStream:
            return b""

    async def _print(self, data: bytes, *, error: bool = False) -> None:
        if self._request.tty:
            data, error = data.replace(b"\n", b"\r\n"), False
        if not data:
            return
        try:
            await self._printed.send(ExecOutput(data=data, error=error))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # Nobody reads any more, or it has ended.


@asynccontextmanager
async def executed(request: ExecRequest, ended: anyio.Event) -> AsyncIterator[FakeExecution]:
    """Execute a command in a container which has `ended` when that is set; leaving ends it."""
    execution = FakeExecution(request)

    async def end_with_the_container() -> None:
        await ended.wait()
        execution.kill()

    async with anyio.create_task_group() as group:
        group.start_soon(execution.run)
        group.start_soon(end_with_the_container)
        try:
            yield execution
        finally:
            execution.close()
            group.cancel_scope.cancel()
