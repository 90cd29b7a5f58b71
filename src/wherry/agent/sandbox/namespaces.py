"""Network namespaces with a name in /run/netns.

A thread has a network namespace of its own, so the work is done in threads that are made for it and end with it:
no fork of a process that may have other threads, and no pooled thread that could stay behind in a task's network.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

DIRECTORY = Path("/run/netns")
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_SHARED, MNT_DETACH = 0x1000, 0x4000, 1 << 20, 0x2

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
        _libc.umount2(os.fsencode(path), MNT_DETACH)
        path.unlink(missing_ok=True)


def listed(prefix: str) -> list[str]:
    """List the names that begin with `prefix`."""
    return sorted(path.name for path in DIRECTORY.glob(f"{prefix}*"))


async def within(path: Path, function: Callable[[], T]) -> T:
    """Run `function` in a thread of the namespace at `path`."""

    def entered() -> T:
        enter(path)
        return function()

    return await in_own_thread(entered)


async def in_own_thread(function: Callable[[], T]) -> T:
    """Run `function` in a thread that ends with it, so that it may `enter` a namespace."""
    return await anyio.to_thread.run_sync(_in_own_thread, function)


def enter(path: Path) -> None:
    """Put the calling thread into the namespace at `path`, for good; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET), "entering the network namespace", path)
    finally:
        os.close(descriptor)


def _unshare_and_bind(path: Path) -> Path:
    """Give the calling thread a namespace of its own, and that the name: a file that it is bound over."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _share(path.parent)
    path.touch(mode=0o444)
    _check(_libc.unshare(CLONE_NEWNET), "making the network namespace", path)
    bound = _libc.mount(b"/proc/thread-self/ns/net", os.fsencode(path), b"none", MS_BIND, None)
    _check(bound, "naming the network namespace", path)
    return path


def _share(directory: Path) -> None:
    """Have other mount namespaces, such as the engine's, see what is bound in the directory, as `ip netns` does."""
    name = os.fsencode(directory)
    if _libc.mount(b"", name, b"none", MS_SHARED | MS_REC, None) != 0:
        # Only what is mounted can be shared.
        _check(_libc.mount(name, name, b"none", MS_BIND | MS_REC, None), "mounting", directory)
        _check(_libc.mount(b"", name, b"none", MS_SHARED | MS_REC, None), "sharing", directory)


def _check(returned: int, what: str, path: Path) -> None:
    if returned != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}", str(path))


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
