"""How many connections a task may have to its agent: what it opens must not be the agent's last descriptors."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import cast

MOST = 64
"""Connections of one address at a time; the host itself has as many as it needs."""


class Connections:
    """Counts connections by where they come from."""

    def __init__(self, most: int = MOST) -> None:
        """Begin with none."""
        self._most = most
        self._open: Counter[str] = Counter()

    def open(self, address: str) -> bool:
        """Note a connection; False if the address has too many."""
        if self._open[address] >= self._most:
            return False
        self._open[address] += 1
        return True

    def close(self, address: str) -> None:
        """Note the end of a connection that was noted."""
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]


class CountedProtocol(asyncio.Protocol):
    """Passes a connection on to another protocol, unless it is one too many: that one is cut off."""

    def __init__(self, protocol: asyncio.Protocol, connections: Connections) -> None:
        """Count in `connections`."""
        self._protocol = protocol
        self._connections = connections
        self._counted: str | None = None
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or end it."""
        peer, own = (transport.get_extra_info(end) for end in ("peername", "sockname"))
        if peer and own and peer[0] != own[0]:
            if not self._connections.open(peer[0]):
                cast("asyncio.Transport", transport).abort()
                return
            self._counted = peer[0]
        self._admitted = True
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._counted is not None:
            self._connections.close(self._counted)
        if self._admitted:
            self._protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what came."""
        if self._admitted:
            self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on that nothing more comes."""
        return self._protocol.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        """Pass on that the other side takes no more for now."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that it does again."""
        self._protocol.resume_writing()
