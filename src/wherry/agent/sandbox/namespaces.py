"""Network namespaces with a name in /run/netns.

A thread has a network namespace of its own, so the work is done in threads that are made for it and end with it:
no fork of a process that may have other threads, and no pooled thread that could stay behind in a task's network.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from pyroute2 import netns

DIRECTORY = Path("/run/netns")
CLONE_NEWNET = 0x40000000

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)


def create(name: str) -> Path:
    """Make the namespace unless it exists; return its path. A half-made one, left by a crash, is replaced."""
    path = DIRECTORY / name
    if path.exists():
        # A namespace is bound over its name, from a file system of its own.
        if path.stat().st_dev != path.parent.stat().st_dev:
            return path
        path.unlink()
    return _in_own_thread(lambda: _unshare_and_bind(path))


def remove(name: str) -> None:
    """Take the name away; the kernel ends the namespace with its last process."""
    path = DIRECTORY / name
    if path.exists():
        netns.remove(str(path))


def listed(prefix: str) -> list[str]:
    """List the names that begin with `prefix`."""
    return sorted(name for name in netns.listnetns(str(DIRECTORY)) if name.startswith(prefix))


async def within(path: Path, function: Callable[[], T]) -> T:
    """Run `function` in a thread of the namespace at `path`."""

    def enter() -> T:
        # The flag 0 keeps the library from creating a namespace that is not there.
        netns.setns(str(path), flags=0)
        return function()

    return await anyio.to_thread.run_sync(_in_own_thread, enter)


def _unshare_and_bind(path: Path) -> Path:
    if _libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare of the network namespace", str(path))
    netns.attach(str(path), "thread-self")
    return path


def _in_own_thread(function: Callable[[], T]) -> T:
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as error:  # noqa: BLE001  handed to the caller, who is in another thread
            failure.append(error)

    thread = threading.Thread(target=run, name="wherry-netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
