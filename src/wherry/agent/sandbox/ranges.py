"""Address ranges of this host: which one a new installation may take for its VPC without meeting another's.

Two Wherrys on one machine must not give out the same addresses. Each notes its range under /run; a note whose data
directory is gone is void, and a restart of the machine forgets them all: whoever starts again notes its own anew.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

from wherry.agent.sandbox import routes

NOTES = Path("/run/wherry/vpc")


class NoFreeRangeError(Exception):
    """Every range that could be a VPC is in use on this host."""


def free_range(owner: Path, *, notes: Path = NOTES) -> str:
    """Find a range that nobody on this host uses and note it for `owner`, a data directory."""
    routed = [route.network for route in routes.listed() if route.network.prefixlen]
    for candidate in _candidates():
        if any(candidate.overlaps(network) for network in routed):
            continue
        if note(str(candidate), owner, notes=notes):
            return str(candidate)
    raise NoFreeRangeError("Every range that a VPC could have is in use on this host.")


def note(cidr: str, owner: Path, *, notes: Path = NOTES) -> bool:
    """Note that `owner` uses the range; False if another data directory that still exists does."""
    notes.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    notes.mkdir(mode=0o755, exist_ok=True)
    path = notes / cidr.replace("/", "_")
    with _locked(notes):
        if (holder := _holder(path)) is not None:
            return holder == owner
        fresh = path.with_name(f".{path.name}")
        fresh.write_text(str(owner))
        # No note is ever seen that does not say whose it is.
        fresh.replace(path)
    return True


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Have a directory's notes to ourselves; the kernel gives them back if we die."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _holder(path: Path) -> Path | None:
    """Read whose range it is; None if nobody's, or that of a directory that is gone."""
    try:
        holder = path.read_text()
    except FileNotFoundError:
        return None
    return Path(holder) if holder and Path(holder).exists() else None


def _candidates() -> Iterator[IPv4Network]:
    """AWS's own default first, then ranges that few networks use."""
    yield IPv4Network("172.31.0.0/16")
    for second in range(31, 96):
        yield IPv4Network(f"10.{second}.0.0/16")
