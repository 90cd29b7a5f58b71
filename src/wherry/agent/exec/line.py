"""A data channel over a websocket: one end's frames sent and heard, neither of them ever waiting for the other.

If a frame that came in had to wait for its acknowledgement to go out, two ends that both have much to say could wait
for each other for ever. So frames go out by a queue, which is kept short: nothing new is said while much is on its way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

import anyio

from wherry.agent.link.base import DataStream
from wherry.model import datachannel
from wherry.model.datachannel import ChannelClosed, Message, MessageType, PayloadType
from wherry.model.dataflow import End
from wherry.model.ids import Entropy

ROOM = 1024
"""Messages that an end has room for, of those that it has heard and not dealt with yet."""

_RESEND_EVERY = 0.1


class Line:
    """One end of a data channel. `run` must be running for anything to be sent or heard."""

    def __init__(
        self,
        stream: DataStream,
        *,
        speaks: MessageType,
        hears: MessageType,
        on_message: Callable[[Message], None],
        has_room: Callable[[], bool],
        clock: Callable[[], float],
        entropy: Entropy,
    ) -> None:
        """Speak on a `stream` that has been opened with its token.

        `on_message` is given each stream message once and in order; while it `has_room` for none, they are left to be
        sent again. `clock` tells epoch seconds.
        """
        self._stream = stream
        self._end = End(speaks, hears, entropy=entropy)
        self._on_message = on_message
        self._has_room = has_room
        self._clock = clock
        self._entropy = entropy
        self._out, self._waiting = anyio.create_memory_object_stream[bytes](math.inf)
        self._changed = anyio.Event()
        self._sent = anyio.Event()

    async def run(self) -> ChannelClosed | None:
        """Speak and hear until the other side closes the channel, and return what it says then; None if it just left.

        Raises `DataChannelError` for what is not of the protocol.
        """
        closed: ChannelClosed | None = None
        with self._out, self._waiting:
            async with anyio.create_task_group() as group:
                group.start_soon(self._write)
                group.start_soon(self._send_again)
                # That the line is gone is an end as well.
                with suppress(anyio.EndOfStream, anyio.ClosedResourceError):
                    closed = await self._listen()
                group.cancel_scope.cancel()
        return closed

    async def say(self, payload_type: PayloadType, payload: bytes, *, last: bool = False) -> None:
        """Send a stream message, once there are not too many on their way."""
        while self._end.full:
            await self._changed.wait()
        self._put(self._end.say(payload_type, payload, now=self._clock(), last=last))

    async def settled(self) -> None:
        """Wait until everything said has arrived."""
        while not self._end.settled:
            await self._changed.wait()

    async def close(self, content: ChannelClosed) -> None:
        """Say that the channel is closed, and wait until that is sent."""
        self._put(self._end.close(datachannel.to_json(content), now=self._clock()))
        await self._sent.wait()

    def _put(self, frame: bytes) -> None:
        try:
            self._out.send_nowait(frame)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            return  # The line is gone; whoever waits for it learns it from `run`.

    async def _listen(self) -> ChannelClosed:
        while True:
            frame = await self._stream.receive()
            if isinstance(frame, str):
                continue
            room = self._has_room() and self._waiting.statistics().current_buffer_used < 2 * ROOM
            heard = self._end.hear(frame, now=self._clock(), room=room)
            if heard.answer is not None:
                self._put(heard.answer)
            for message in heard.ready:
                self._on_message(message)
            if heard.other is not None and heard.other.message_type == MessageType.CHANNEL_CLOSED:
                return datachannel.from_json(heard.other.payload, ChannelClosed)
            self._changed.set()
            self._changed = anyio.Event()

    async def _write(self) -> None:
        try:
            async for frame in self._waiting:
                await self._stream.send(frame)
                if datachannel.message_type(frame) == MessageType.CHANNEL_CLOSED:
                    self._sent.set()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            return  # `_listen` sees it too.

    async def _send_again(self) -> None:
        while True:
            await anyio.sleep(_RESEND_EVERY)
            # What waits to be sent at all is not late yet.
            if not self._waiting.statistics().current_buffer_used and (frame := self._end.overdue(self._clock())):
                self._put(frame)
