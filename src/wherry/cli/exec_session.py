"""The client's side of a session of ECS Exec: this terminal, or these pipes, and the data channel between."""

from __future__ import annotations

import math
import os
import signal
import time
from contextlib import suppress

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from wherry import __version__
from wherry.agent.exec.line import ROOM, Line
from wherry.agent.link.remote import WebSocketStream
from wherry.model import datachannel
from wherry.model.datachannel import (
    BULK_SIZE,
    PAYLOAD_SIZE,
    ActionStatus,
    ActionType,
    DataChannelError,
    HandshakeRequest,
    HandshakeResponse,
    Message,
    MessageType,
    OpenDataChannelInput,
    PayloadType,
    ProcessedClientAction,
    SizeData,
)
from wherry.model.ids import uuid

LOST = "The connection to the control plane was lost."

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_KNOWN = frozenset({ActionType.SESSION_TYPE, ActionType.EXIT_CODE})


async def run(session: dict[str, str], terminal: bool) -> tuple[int | None, str]:  # noqa: FBT001 - anyio.run's way
    """Carry a session through; returns the command's exit code, if it is known, and why it ended otherwise."""
    try:
        # A terminal that does not scroll on reads nothing from us, answers to pings too.
        socket = await connect(session["streamUrl"], compression=None, ping_timeout=None, proxy=None)
    except (WebSocketException, OSError, TimeoutError) as error:
        return None, f"The data channel cannot be opened: {error}"
    stream = WebSocketStream(socket)
    try:
        return await _Client(stream, terminal=terminal).run(session["tokenValue"])
    except (anyio.ClosedResourceError, ConnectionClosed):
        return None, LOST
    except DataChannelError as error:
        return None, f"The data channel is not to be understood: {error}"
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            await stream.aclose()


class _Client:
    def __init__(self, stream: WebSocketStream, *, terminal: bool) -> None:
        self._stream = stream
        self._terminal = terminal
        self._line = Line(
            stream,
            speaks=MessageType.INPUT_STREAM_DATA,
            hears=MessageType.OUTPUT_STREAM_DATA,
            on_message=self._on_message,
            has_room=lambda: self._heard.statistics().current_buffer_used < ROOM,
            clock=time.time,
            entropy=os.urandom,
        )
        self._hearing, self._heard = anyio.create_memory_object_stream[Message](math.inf)
        self._printed = anyio.Event()
        self._code: int | None = None

    async def run(self, token: str) -> tuple[int | None, str]:
        opening = OpenDataChannelInput(
            token_value=token,
            request_id=uuid(os.urandom),
            client_id=uuid(os.urandom),
            client_version=f"wherry/{__version__}",
        )
        await self._stream.send(datachannel.to_json(opening).decode())
        reason = LOST
        async with anyio.create_task_group() as group:
            group.start_soon(self._act, group)
            closed = await self._line.run()
            if closed is not None:
                reason = closed.output
                self._hearing.close()
                await self._printed.wait()
            group.cancel_scope.cancel()
        return self._code, reason

    def _on_message(self, message: Message) -> None:
        self._hearing.send_nowait(message)

    async def _act(self, group: TaskGroup) -> None:
        """Deal with what the agent says, in order; nothing that is typed before the handshake is over would count."""
        async for message in self._heard:
            match message.payload_type:
                case PayloadType.HANDSHAKE_REQUEST:
                    await self._line.say(PayloadType.HANDSHAKE_RESPONSE, _response(message))
                case PayloadType.HANDSHAKE_COMPLETE:
                    group.start_soon(self._type)
                    if self._terminal:
                        group.start_soon(self._follow_size)
                case PayloadType.EXIT_CODE:
                    self._code = datachannel.read_exit_code(message.payload)
                case PayloadType.STD_ERR:
                    await anyio.to_thread.run_sync(_write, _STDERR, message.payload)
                case _:
                    await anyio.to_thread.run_sync(_write, _STDOUT, message.payload)
        self._printed.set()

    async def _type(self) -> None:
        size = PAYLOAD_SIZE if self._terminal else BULK_SIZE
        while True:
            with suppress(OSError):  # A file, which can always be read.
                await anyio.wait_readable(_STDIN)
            data = os.read(_STDIN, size)
            await self._line.say(PayloadType.OUTPUT, data, last=not data)
            if not data:
                return

    async def _follow_size(self) -> None:
        with anyio.open_signal_receiver(signal.SIGWINCH) as changes:
            await self._tell_size()
            async for _ in changes:
                await self._tell_size()

    async def _tell_size(self) -> None:
        columns, rows = os.get_terminal_size(_STDOUT)
        await self._line.say(PayloadType.SIZE, datachannel.to_json(SizeData(cols=columns, rows=rows)))


def _response(message: Message) -> bytes:
    request = datachannel.from_json(message.payload, HandshakeRequest)
    processed = tuple(
        ProcessedClientAction(action_type=action.action_type, action_status=ActionStatus.SUCCESS)
        if action.action_type in _KNOWN
        else ProcessedClientAction(
            action_type=action.action_type,
            action_status=ActionStatus.UNSUPPORTED,
            error=f"Unsupported action {action.action_type}",
        )
        for action in request.requested_client_actions
    )
    errors = tuple(action.error for action in processed if action.error)
    answer = HandshakeResponse(client_version=__version__, processed_client_actions=processed, errors=errors)
    return datachannel.to_json(answer)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
