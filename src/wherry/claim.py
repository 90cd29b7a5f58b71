"""A data directory belongs to one process of each role at a time; whoever wants it stopped finds it here."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

_POLL_SECONDS = 0.05


class ClaimedError(Exception):
    """Another process of this role holds the directory; `pid` is its process id, 0 if it did not say."""

    def __init__(self, role: str, directory: Path, pid: int) -> None:
        """Name the holder."""
        super().__init__(f"Another wherry {role} (process {pid}) works on {directory}.")
        self.pid = pid


@contextmanager
def claim(directory: Path, role: str) -> Iterator[None]:
    """Hold the directory for `role` ("server" or "agent") until the end.

    The lock is the kernel's: it ends with the process, however that ends. Raises `ClaimedError`, and OSError for a
    directory that cannot be written.
    """
    with _take(directory, role) as file:
        yield
        file.truncate(0)


def _take(directory: Path, role: str) -> TextIO:
    path = _path(directory, role)
    with ExitStack() as opened:
        file = opened.enter_context(path.open("a+"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClaimedError(role, directory, _pid(path)) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        opened.pop_all()
        return file


def stop(directory: Path, role: str, *, patience: float) -> bool:
    """Ask the process that holds the directory to stop, and wait for it; False if there is none.

    Raises `ClaimedError` if it has not gone within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    asked = False
    while True:
        try:
            with claim(directory, role):
                return asked
        except FileNotFoundError:
            return False
        except ClaimedError as held:
            if time.monotonic() > deadline:
                raise
            if not asked and held.pid:
                os.kill(held.pid, signal.SIGTERM)
                asked = True
        time.sleep(_POLL_SECONDS)


def _path(directory: Path, role: str) -> Path:
    return directory / f"{role}.pid"


def _pid(path: Path) -> int:
    text = path.read_text().strip()
    return int(text) if text.isdigit() else 0
