"""The data channel of a session: whoever has a token is let in, and frames are passed on between the two ends.

Nothing is numbered, acknowledged or sent again here: that is the business of the ends. A frame is passed on before the
next is read, so that a slow reader slows the program and no memory fills.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio
import structlog

from wherry.api.context import Context
from wherry.api.exec.sessions import Session, Side, Stream, UnreachableError
from wherry.api.exec.transcript import Transcript
from wherry.model import datachannel
from wherry.model.datachannel import (
    MAX_FRAME,
    ChannelClosed,
    DataChannelError,
    Flags,
    Message,
    MessageType,
    OpenDataChannelInput,
)
from wherry.model.ids import uuid

log = structlog.get_logger()

OPENING = 10.0
"""Seconds that a connection has to show its token."""
AGENT_ANSWERS = 15.0
"""Seconds that the agent has to open its end."""

TIMED_OUT = "Your session timed out due to inactivity."
NO_AGENT = "The execute command agent of the container did not answer. Wait and try again."
AGENT_LOST = "The connection to the execute command agent of the container was lost."

_FROM_CLIENT = frozenset({MessageType.INPUT_STREAM_DATA, MessageType.ACKNOWLEDGE})
_FROM_AGENT = frozenset({MessageType.OUTPUT_STREAM_DATA, MessageType.ACKNOWLEDGE, MessageType.CHANNEL_CLOSED})
_DATA = frozenset({MessageType.INPUT_STREAM_DATA, MessageType.OUTPUT_STREAM_DATA})


async def serve(ctx: Context, stream: Stream, session_id: str, *, admit_agent: Callable[[], Awaitable[None]]) -> None:
    """Serve a connection to a session's data channel until it ends.

    `admit_agent` raises an `ApiError` if the connection may not speak for an agent, whatever its token.
    """
    try:
        claimed = await _claim(ctx, stream, session_id)
        if claimed is None:
            log.warning("exec_token_refused", session=session_id[:96])
            return
        session, side = claimed
        if side is Side.AGENT:
            await admit_agent()
            session.meet(stream)
            await session.over.wait()
        else:
            await _serve_client(ctx, session, stream)
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            await stream.aclose()


async def _claim(ctx: Context, stream: Stream, session_id: str) -> tuple[Session, Side] | None:
    frame: str | bytes = b""
    try:
        with anyio.move_on_after(OPENING):
            frame = await stream.receive()
        opening = datachannel.from_json(frame[:MAX_FRAME], OpenDataChannelInput)
    except (anyio.EndOfStream, DataChannelError):
        return None
    return ctx.exec_sessions.claim(session_id, opening.token_value, ctx.clock())


async def _serve_client(ctx: Context, session: Session, client: Stream) -> None:
    target = session.target
    log.info("exec_session_begins", session=session.id, task=target.task_arn, container=target.container_name)
    try:
        async with Transcript.of(ctx, session) as transcript:
            relay = _Relay(ctx, session, client, transcript)
            if (reason := await relay.run()) is not None:
                await client.send(_closed(ctx, session, reason))
    except (anyio.EndOfStream, anyio.ClosedResourceError):
        pass  # Nobody is there to be told.
    finally:
        ctx.exec_sessions.end(session)
        log.info("exec_session_ended", session=session.id)


class _Relay:
    """Both directions of one session."""

    def __init__(self, ctx: Context, session: Session, client: Stream, transcript: Transcript) -> None:
        self._ctx = ctx
        self._session = session
        self._client = client
        self._transcript = transcript
        self._scope = anyio.CancelScope()
        self._reason: str | None = None
        self._used_at = anyio.current_time()

    async def run(self) -> str | None:
        """Relay until it is over; returns what the client is to be told, None if it knows, or is not there."""
        try:
            self._ctx.exec_sessions.begin(self._session, self._ctx.clock())
        except UnreachableError:
            return NO_AGENT
        with self._scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch)
                group.start_soon(self._from_client)
                await self._from_agent()
        return self._reason

    def _end(self, reason: str | None) -> None:
        self._reason = reason
        self._scope.cancel()

    async def _from_client(self) -> None:
        """Pass on what the client says, once there is an agent to hear it."""
        try:
            while True:
                frame = await self._client.receive()
                if isinstance(frame, bytes) and datachannel.message_type(frame) in _FROM_CLIENT:
                    self._note(frame)
                    await self._session.agent_came.wait()
                    await self._agent.send(frame)
        except anyio.EndOfStream:
            self._end(None)
        except anyio.ClosedResourceError:
            self._end(AGENT_LOST)

    async def _from_agent(self) -> None:
        with anyio.move_on_after(AGENT_ANSWERS):
            await self._session.agent_came.wait()
        if self._session.agent is None:
            self._end(NO_AGENT)
            return
        try:
            while True:
                frame = await self._agent.receive()
                if not isinstance(frame, bytes) or (kind := datachannel.message_type(frame)) not in _FROM_AGENT:
                    continue
                self._note(frame)
                await self._transcript.take(frame)
                await self._client.send(frame)
                if kind == MessageType.CHANNEL_CLOSED:
                    self._end(None)
        except anyio.EndOfStream:
            self._end(AGENT_LOST)
        except anyio.ClosedResourceError:
            self._end(None)

    @property
    def _agent(self) -> Stream:
        if self._session.agent is None:
            raise anyio.ClosedResourceError
        return self._session.agent

    def _note(self, frame: bytes) -> None:
        if datachannel.message_type(frame) in _DATA:
            self._used_at = anyio.current_time()

    async def _watch(self) -> None:
        """End the session that nobody has used for a while."""
        idle = self._ctx.settings.timing.exec_idle or math.inf
        deadline = self._used_at + idle
        while deadline > anyio.current_time():
            await anyio.sleep_until(deadline)
            deadline = self._used_at + idle
        self._end(TIMED_OUT)


def _closed(ctx: Context, session: Session, reason: str) -> bytes:
    now = int(ctx.clock() * 1000)
    content = ChannelClosed(
        message_id=uuid(ctx.entropy),
        created_date=str(now),
        destination_id=session.id,
        session_id=session.id,
        output=reason,
    )
    message = Message(
        message_type=MessageType.CHANNEL_CLOSED,
        message_id=uuid(ctx.entropy),
        created_date=now,
        flags=Flags.SYN | Flags.FIN,
        payload=datachannel.to_json(content),
    )
    return datachannel.encode(message)
