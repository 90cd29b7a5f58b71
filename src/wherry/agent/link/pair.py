"""Two channels joined back to back: a websocket without a network."""

from __future__ import annotations

import math
from typing import Any

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

Frame = dict[str, Any]


class MemoryChannel:
    """One end. See `wherry.agent.link.base.Channel`."""

    def __init__(self, send: MemoryObjectSendStream[Frame], receive: MemoryObjectReceiveStream[Frame]) -> None:
        """Join the two streams."""
        self._send = send
        self._receive = receive

    async def send(self, frame: Frame) -> None:
        """Send one frame."""
        try:
            await self._send.send(frame)
        except anyio.BrokenResourceError as error:
            raise anyio.ClosedResourceError from error

    async def receive(self) -> Frame:
        """Wait for the next frame."""
        try:
            return await self._receive.receive()
        except anyio.ClosedResourceError as error:
            raise anyio.EndOfStream from error

    async def aclose(self) -> None:
        """Close both directions."""
        self._send.close()
        self._receive.close()
        await anyio.lowlevel.checkpoint()


def memory_pair() -> tuple[MemoryChannel, MemoryChannel]:
    """Make two ends: what is sent into one is received from the other."""
    one_sends, other_receives = anyio.create_memory_object_stream[Frame](math.inf)
    other_sends, one_receives = anyio.create_memory_object_stream[Frame](math.inf)
    return MemoryChannel(one_sends, one_receives), MemoryChannel(other_sends, other_receives)
