"""The registry of images: a program of its own, kept running behind the control plane's front.

It listens on a socket in the data directory, where nobody but its owner reaches it. The kernel kills it when the
control plane dies, however that happens.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import anyio
import anyio.abc
import anyio.to_thread
import msgspec
import structlog

from wherry.app.start import StartError, prepare_directory
from wherry.keyring import Keyring
from wherry.settings import Settings

if TYPE_CHECKING:
    from wherry.api.registry.distribution import Distribution

log = structlog.get_logger()

PROGRAMS = ("docker-registry", "registry")
"""Debian's name of it and its makers'."""
LONGEST_SOCKET = 107
"""Bytes in the path of a socket (unix(7))."""
START_TIMEOUT = 30.0
LONGEST_PAUSE = 10.0
STOP_TIMEOUT = 5.0


class _Files(msgspec.Struct, frozen=True):
    """What the registry has in the data directory."""

    directory: Path

    @property
    def socket(self) -> Path:
        return self.directory / "socket"

    @property
    def settings(self) -> Path:
        return self.directory / "settings.yml"

    @property
    def garbage(self) -> Path:
        return self.directory / "garbage"

    @property
    def log(self) -> Path:
        return self.directory / "registry.log"


@asynccontextmanager
async def registry(settings: Settings, keyring: Keyring) -> AsyncIterator[Distribution | None]:
    """Run the registry if the settings want one; raises `StartError` if it cannot be run.

    It is started again whenever it ends.
    """
    if settings.registry == "off":
        yield None
        return
    from wherry.api.registry.distribution import Distribution  # noqa: PLC0415 - an HTTP client loads long

    files = _Files(settings.data_dir / "registry")
    command = [*_dying_with_us(), _program(), "serve", str(files.settings)]
    _prepare(files, keyring)
    async with Distribution(files.socket, garbage=files.garbage) as content, anyio.create_task_group() as group:
        with files.log.open("wb") as said:
            await anyio.to_thread.run_sync(_collect_garbage, files, said)
            process = await _started(command, files, said, content)
            group.start_soon(_keep, process, command, files, said, content)
            try:
                yield content
            finally:
                group.cancel_scope.cancel()


async def _keep(
    process: anyio.abc.Process, command: list[str], files: _Files, said: BinaryIO, content: Distribution
) -> None:
    """Start the registry again whenever it ends; end it when cancelled."""
    pause = 0.1
    while True:
        try:
            code = await process.wait()
        finally:
            await _stop(process)
        log.warning("registry_ended", exit_code=code, log=str(files.log), again_in=pause)
        await anyio.sleep(pause)
        try:
            process = await _started(command, files, said, content)
            pause = 0.1
        except StartError as error:
            pause = min(pause * 2, LONGEST_PAUSE)
            log.warning("registry_not_started", error=str(error), again_in=pause)


async def _started(command: list[str], files: _Files, said: BinaryIO, content: Distribution) -> anyio.abc.Process:
    """Start the registry and wait until it answers; raises `StartError`."""
    files.socket.unlink(missing_ok=True)
    process = await anyio.open_process(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        with anyio.move_on_after(START_TIMEOUT):
            while process.returncode is None:
                if files.socket.exists() and await content.answers():
                    log.info("registry_serves", pid=process.pid)
                    return process
                await anyio.sleep(0.02)
    except BaseException:
        await _stop(process)
        raise
    await _stop(process)
    raise StartError("The registry of images does not start.", f"{files.log} says why.")


async def _stop(process: anyio.abc.Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(STOP_TIMEOUT):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        await process.aclose()


def _program() -> str:
    for name in PROGRAMS:
        if (found := shutil.which(name)) is not None:
            return found
    raise StartError(
        "WHERRY_REGISTRY is on, and there is no program for it: docker-registry.",
        "On Debian and Ubuntu: apt-get install docker-registry.",
    )


def _dying_with_us() -> list[str]:
    """Have the kernel kill the program with its parent, where util-linux is there to ask for it."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL"]


def _prepare(files: _Files, keyring: Keyring) -> None:
    if len(bytes(files.socket)) > LONGEST_SOCKET:
        raise StartError(
            f"The path {files.socket} is too long for a socket: it has more than {LONGEST_SOCKET} bytes.",
            "Choose a shorter one with --data-dir.",
        )
    prepare_directory(files.directory)
    document = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(files.directory)},
            "delete": {"enabled": True},
            "cache": {"blobdescriptor": "inmemory"},
        },
        "http": {
            "net": "unix",
            "addr": str(files.socket),
            # What an upload has come to is signed with it, so that it may go on after a restart.
            "secret": keyring.derived("registry uploads")[0].hex(),
            "relativeurls": True,
        },
    }
    files.settings.touch(mode=0o600)
    # JSON is YAML.
    files.settings.write_bytes(msgspec.json.encode(document))


def _collect_garbage(files: _Files, said: BinaryIO) -> None:
    """Free the disk of what was removed; only while nothing is pushed, hence before the registry serves."""
    if not files.garbage.exists():
        return
    command = [_program(), "garbage-collect", str(files.settings)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False)  # noqa: S603
    if done.returncode == 0:
        files.garbage.unlink(missing_ok=True)
    else:
        log.warning("registry_keeps_garbage", exit_code=done.returncode, log=str(files.log))
