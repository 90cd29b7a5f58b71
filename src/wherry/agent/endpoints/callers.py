"""Who asks: a task by its address, or the host itself; and how often a task may ask."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from wherry.agent.sandbox import names
from wherry.agent.spec import Struct

ADDRESS = names.ENDPOINTS_ADDRESS

SOURCE_HEADER = "X-Wherry-Source"
"""The address of the one who asks, where an agent asks another in its name: believed on the unix socket only."""

_HOST = "host"
"""What that header says instead of an address if it is the host."""

RATE, BURST = 40.0, 60.0
"""Requests a second that a task may make, and how many at once (reference 14.1)."""
_MANY = 4096


class Caller(Struct, frozen=True):
    """Who asks, by the address that the answer goes to; `is_host`: a process in the host's own network."""

    address: str
    is_host: bool = False

    @property
    def header(self) -> str:
        """Name it to another agent."""
        return _HOST if self.is_host else self.address


def is_forwarded(request: web.Request) -> bool:
    """Tell whether another agent of this host asks: only they can open the unix socket."""
    return _end(request, "peername") is None


def caller(request: web.Request) -> Caller:
    """Tell who asks. Whoever speaks from the very address that it speaks to is on the host, such as its engine."""
    peer = _end(request, "peername")
    if peer is None:
        said = request.headers.get(SOURCE_HEADER, "")
        return Caller(address=said, is_host=said == _HOST)
    return Caller(address=peer, is_host=peer == _end(request, "sockname"))


def _end(request: web.Request, which: str) -> str | None:
    # A socket of the Internet family names its ends by tuples, a unix socket by texts.
    name = None if request.transport is None else request.transport.get_extra_info(which)
    return str(name[0]) if isinstance(name, tuple) else None


class RateLimit:
    """A bucket of `BURST` requests for each address, filled by `RATE` a second; `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with full buckets."""
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def admits(self, address: str) -> bool:
        """Take one request out of the bucket of an address; False if there is none in it."""
        now = self._clock()
        level, at = self._buckets.get(address, (BURST, now))
        level = min(BURST, level + (now - at) * RATE)
        if len(self._buckets) > _MANY:
            self._forget_full(now)
        self._buckets[address] = (max(0.0, level - 1) if level >= 1 else level, now)
        return level >= 1

    def _forget_full(self, now: float) -> None:
        self._buckets = {
            address: (level, at) for address, (level, at) in self._buckets.items() if level + (now - at) * RATE < BURST
        }
