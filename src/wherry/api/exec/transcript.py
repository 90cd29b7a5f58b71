"""What a session's command has written, put into the log group that the cluster's configuration names.

A transcript is a stream of the session's name. It is a record beside the session: a log group that is not there, or a
store that is full, costs the transcript and never the session.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import structlog

from wherry.api.context import Context
from wherry.api.exec.sessions import Session
from wherry.api.logs import events, streams
from wherry.model import datachannel, exec_logging
from wherry.model.call import Call, Principal
from wherry.model.cluster import Cluster
from wherry.model.datachannel import DataChannelError, MessageType, PayloadType
from wherry.model.errors import ApiError
from wherry.model.task import Task
from wherry.model.taskdef import TaskDefinition
from wherry.store import Tx

log = structlog.get_logger()

EVERY = 2.0
"""Seconds between two writes."""
LONGEST_EVENT = 8 * 1024
"""Octets of output that make one log event where no line ends."""
PER_CALL = 100
"""Events in one PutLogEvents, which takes up to a mebibyte."""
BEHIND = 4 * 1024 * 1024
"""Octets that may wait to be written; the command waits for the log store after that."""

_RECORDED = frozenset({PayloadType.OUTPUT, PayloadType.STD_ERR})


class Transcript:
    """Takes the agent's frames in, and writes down their output once and in order."""

    def __init__(self, ctx: Context, session: Session, group: str | None) -> None:
        """Write into the stream of the `session` in a log group, or nowhere."""
        self._ctx = ctx
        self._stream = session.id
        self._group = group
        self._expected = 0
        self._early: dict[int, bytes] = {}
        self._text = bytearray()
        self._events: list[dict[str, object]] = []
        self._size = 0

    @classmethod
    @asynccontextmanager
    async def of(cls, ctx: Context, session: Session) -> AsyncIterator[Transcript]:
        """Open the transcript of a session; what is left is written at its end."""
        transcript = cls(ctx, session, session.target.log_group)
        await transcript._begin()
        async with anyio.create_task_group() as group:
            if transcript._group is not None:
                group.start_soon(transcript._keep_writing)
            try:
                yield transcript
            finally:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                    transcript._end_line()
                    await transcript._write()

    async def take(self, frame: bytes) -> None:
        """Take what the agent has sent; waits while too much is still to be written."""
        if self._group is None or datachannel.message_type(frame) != MessageType.OUTPUT_STREAM_DATA:
            return
        try:
            message = datachannel.decode(frame)
        except DataChannelError:
            return  # The client will say what it thinks of it.
        if message.sequence_number < self._expected:
            return
        self._early[message.sequence_number] = message.payload if message.payload_type in _RECORDED else b""
        while (payload := self._early.pop(self._expected, None)) is not None:
            self._expected += 1
            self._add(payload)
        if self._size >= BEHIND:
            await self._write()

    def _add(self, payload: bytes) -> None:
        self._text += payload
        *lines, rest = bytes(self._text).split(b"\n")
        if len(rest) >= LONGEST_EVENT:
            lines, rest = [*lines, rest], b""
        self._text = bytearray(rest)
        for line in lines:
            for start in range(0, len(line), LONGEST_EVENT):
                self._note(line[start : start + LONGEST_EVENT])

    def _end_line(self) -> None:
        if self._text:
            self._note(bytes(self._text))
            self._text.clear()

    def _note(self, line: bytes) -> None:
        text = line.rstrip(b"\r").replace(b"\0", b"").decode(errors="replace")
        if text:
            self._events.append({"timestamp": math.floor(self._ctx.clock() * 1000), "message": text})
            self._size += len(line)

    async def _begin(self) -> None:
        if self._group is not None:
            await self._call("CreateLogStream")

    async def _keep_writing(self) -> None:
        while True:
            await anyio.sleep(EVERY)
            await self._write()

    async def _write(self) -> None:
        while self._events and self._group is not None:
            batch, self._events = self._events[:PER_CALL], self._events[PER_CALL:]
            await self._call("PutLogEvents", logEvents=batch)
        self._events, self._size = [], 0

    async def _call(self, operation: str, **params: object) -> None:
        """Call an operation of CloudWatch Logs; one that fails is the end of the transcript."""
        ctx = self._ctx
        call = Call(
            service="logs",
            operation=operation,
            params={"logGroupName": self._group, "logStreamName": self._stream, **params},
            principal=Principal(
                account_id=ctx.scope.account_id, arn=f"arn:aws:iam::{ctx.scope.account_id}:root", access_key_id=""
            ),
            region=ctx.scope.region,
            request_id=self._stream,
        )
        handle = streams.create_log_stream if operation == "CreateLogStream" else events.put_log_events
        try:
            await handle(ctx, call)
        except ApiError as error:
            log.warning("exec_transcript_lost", session=self._stream, log_group=self._group, error=error.message)
            self._group = None


def log_group(tx: Tx, cluster: Cluster, task: Task, container_name: str) -> str | None:
    """Name the log group of the transcripts of a container; None where none are kept."""
    definition = tx.get(TaskDefinition, task.task_definition_arn)
    container = definition.container(container_name) if definition is not None else None
    configuration = (cluster.configuration or {}).get("executeCommandConfiguration")
    return exec_logging.log_group(configuration, container)
