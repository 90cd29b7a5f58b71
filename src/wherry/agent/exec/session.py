"""One session of ECS Exec: handshake, then the command's output and the user's input, then the exit code."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import structlog

from wherry import __version__
from wherry.agent.exec.line import ROOM, Line
from wherry.agent.link.base import DataStream
from wherry.agent.runtime.base import ExecRequest, Execution, RuntimeFault, RuntimeUnavailableError
from wherry.model import datachannel
from wherry.model.datachannel import (
    BULK_SIZE,
    PAYLOAD_SIZE,
    ActionType,
    ChannelClosed,
    DataChannelError,
    Flags,
    HandshakeComplete,
    HandshakeRequest,
    HandshakeResponse,
    Message,
    MessageType,
    PayloadType,
    RequestedClientAction,
    SessionType,
    SizeData,
)
from wherry.model.ids import Entropy, uuid
from wherry.model.protocol.acs import ExecuteCommandMessage

log = structlog.get_logger()

HANDSHAKE = 15.0
"""Seconds that a client has to answer the handshake."""
SIZE = 0.5
"""Seconds that the size of a client's terminal is waited for, so that the command begins with it."""

Execute = Callable[[ExecRequest], AbstractAsyncContextManager[Execution]]


class ExecSession:
    """The agent's side of a session, whose data channel has been opened."""

    def __init__(
        self, order: ExecuteCommandMessage, stream: DataStream, *, clock: Callable[[], float], entropy: Entropy
    ) -> None:
        """Carry out `order`; `clock` tells epoch seconds."""
        self._order = order
        self._clock = clock
        self._entropy = entropy
        self._line = Line(
            stream,
            speaks=MessageType.OUTPUT_STREAM_DATA,
            hears=MessageType.INPUT_STREAM_DATA,
            on_message=self._on_message,
            has_room=self._has_room,
            clock=clock,
            entropy=entropy,
        )
        self._typed, self._input = anyio.create_memory_object_stream[Message](math.inf)
        self._answered = anyio.Event()
        self._response = HandshakeResponse()
        self._complete = False
        self._sized = anyio.Event()
        self._size: SizeData | None = None
        self._terminated = anyio.Event()

    async def run(self, execute: Execute) -> None:
        """Run until the command has ended or the client has left, which ends the command."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._speak, group.cancel_scope)
            with self._typed, self._input:
                reason = await self._carry_out(execute)
                await self._line.close(self._closing(reason))
            group.cancel_scope.cancel()

    async def refuse(self, reason: str) -> None:
        """End the session before it has begun."""
        with self._typed, self._input:
            async with anyio.create_task_group() as group:
                group.start_soon(self._speak, group.cancel_scope)
                await self._line.close(self._closing(reason))
                group.cancel_scope.cancel()

    async def _speak(self, scope: anyio.CancelScope) -> None:
        try:
            await self._line.run()
        except DataChannelError as error:
            log.warning("exec_client_sent_nonsense", session=self._order.session_id, error=str(error))
        scope.cancel()

    async def _carry_out(self, execute: Execute) -> str:
        """Do everything; returns why the session ends, which is empty if the command just ended."""
        with anyio.move_on_after(HANDSHAKE):
            await self._shake_hands()
        if not self._complete:
            return "The handshake with the session-manager-plugin timed out."
        request, code, reason = await self._request(), None, ""
        try:
            async with execute(request) as execution, anyio.create_task_group() as group:
                group.start_soon(self._type_in, execution)
                group.start_soon(self._heed_termination, group.cancel_scope)
                await self._print_out(execution)
                code = await execution.exit_code()
                group.cancel_scope.cancel()
        except* (RuntimeFault, RuntimeUnavailableError) as errors:
            reason = _first(errors)
        if reason or self._terminated.is_set():
            return reason
        if code is not None and self._response.succeeded(ActionType.EXIT_CODE):
            await self._line.say(PayloadType.EXIT_CODE, datachannel.exit_code_payload(code))
        await self._line.settled()
        return ""

    async def _shake_hands(self) -> None:
        began = self._clock()
        kind = SessionType.INTERACTIVE_COMMANDS if self._order.interactive else SessionType.NON_INTERACTIVE_COMMANDS
        session_type = {"SessionType": kind, "Properties": None}
        request = HandshakeRequest(
            agent_version=__version__,
            requested_client_actions=(
                RequestedClientAction(action_type=ActionType.SESSION_TYPE, action_parameters=session_type),
                RequestedClientAction(action_type=ActionType.EXIT_CODE),
            ),
        )
        await self._line.say(PayloadType.HANDSHAKE_REQUEST, datachannel.to_json(request))
        await self._answered.wait()
        took = max(0, int((self._clock() - began) * 1e9))
        complete = HandshakeComplete(handshake_time_to_complete=took)
        await self._line.say(PayloadType.HANDSHAKE_COMPLETE, datachannel.to_json(complete))
        self._complete = True

    async def _request(self) -> ExecRequest:
        order = self._order
        if order.interactive:
            with anyio.move_on_after(SIZE):
                await self._sized.wait()
        size = self._size
        return ExecRequest(
            session_id=order.session_id,
            command=order.command,
            tty=order.interactive,
            columns=size.cols if size else None,
            rows=size.rows if size else None,
        )

    async def _print_out(self, execution: Execution) -> None:
        size = PAYLOAD_SIZE if self._order.interactive else BULK_SIZE
        while (output := await execution.read()) is not None:
            kind = PayloadType.STD_ERR if output.error else PayloadType.OUTPUT
            for start in range(0, len(output.data), size):
                await self._line.say(kind, output.data[start : start + size])

    async def _type_in(self, execution: Execution) -> None:
        async for message in self._input:
            if message.payload_type == PayloadType.SIZE:
                size = datachannel.from_json(message.payload, SizeData)
                if size.cols and size.rows:
                    await execution.resize(columns=size.cols, rows=size.rows)
                continue
            if message.payload:
                await execution.write(message.payload)
            if message.flags & Flags.FIN and not self._order.interactive:
                await execution.end_input()

    async def _heed_termination(self, scope: anyio.CancelScope) -> None:
        await self._terminated.wait()
        scope.cancel()

    def _has_room(self) -> bool:
        return self._typed.statistics().current_buffer_used < ROOM

    def _on_message(self, message: Message) -> None:
        """Take what the client says; before the handshake is complete nothing but its answer counts."""
        match message.payload_type:
            case PayloadType.HANDSHAKE_RESPONSE:
                self._response = datachannel.from_json(message.payload, HandshakeResponse)
                self._answered.set()
            case _ if not self._complete:
                return
            case PayloadType.SIZE if not self._sized.is_set():
                self._size = datachannel.from_json(message.payload, SizeData)
                self._sized.set()
            case PayloadType.FLAG if datachannel.is_termination(message):
                self._terminated.set()
            case PayloadType.SIZE | PayloadType.OUTPUT:
                if message.payload_type == PayloadType.SIZE:
                    datachannel.from_json(message.payload, SizeData)
                self._typed.send_nowait(message)

    def _closing(self, reason: str) -> ChannelClosed:
        return ChannelClosed(
            message_id=uuid(self._entropy),
            created_date=str(int(self._clock() * 1000)),
            destination_id=self._order.session_id,
            session_id=self._order.session_id,
            output=reason,
        )


def _first(errors: BaseExceptionGroup[BaseException]) -> str:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else str(error)
