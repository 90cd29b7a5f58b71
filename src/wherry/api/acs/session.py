"""One agent's ACS connection: the difference between what it has acknowledged and what the store says.

The session keeps nothing that matters: it remembers only what this connection's agent has acknowledged, and a new
connection begins with a manifest and everything again. The bell wakes it; a timer does as well, so that a lost ring
costs time and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial

import anyio
import msgspec
import structlog

from wherry.api.acs import assignments as rows
from wherry.api.acs.assignments import Assignment
from wherry.api.channel import Channel
from wherry.api.context import Context
from wherry.model import payload
from wherry.model.ids import uuid
from wherry.model.instance import ContainerInstance
from wherry.model.payload import Message
from wherry.model.task import DesiredStatus

log = structlog.get_logger()

TASKS_PER_MESSAGE = 10
SILENCES_UNTIL_CLOSED = 3
"""Heartbeats that may go unanswered; ECS closes when acknowledgements stop (protocol version 2)."""


class _Sent(msgspec.Struct):
    tasks: tuple[Assignment, ...]
    at: float


class Session:
    """The connection of one instance, from upgrade to close."""

    def __init__(self, ctx: Context, channel: Channel, instance_arn: str) -> None:
        """Take the `channel` of an agent that has proved that it may speak for `instance_arn`."""
        self._ctx = ctx
        self._channel = channel
        self._instance_arn = instance_arn
        self._dirty = anyio.Event()
        self._acknowledged: dict[str, DesiredStatus] = {}
        self._in_flight: dict[str, _Sent] = {}
        self._heartbeat_answered_at = anyio.current_time()

    async def run(self) -> None:
        """Serve until either side goes away; raises `InactiveInstanceException` before anything is sent."""
        ctx = self._ctx
        instance = await ctx.store.write(rows.connect, self._instance_arn, ctx.clock())
        log.info("agent_connected", instance=self._instance_arn)
        try:
            with ctx.store.bell.subscribe(self._on_bell):
                await self._send_manifest(instance)
                async with anyio.create_task_group() as group:
                    group.start_soon(self._push)
                    group.start_soon(self._heartbeats)
                    await self._receive()
                    group.cancel_scope.cancel()
        except* (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass  # The agent went away, which is what ends a session.
        finally:
            with anyio.CancelScope(shield=True):
                await ctx.store.write(rows.disconnect, self._instance_arn, instance.agent_connected_at)
                await self._channel.aclose()
            log.info("agent_disconnected", instance=self._instance_arn)

    def _on_bell(self, keys: Iterable[tuple[str, str]]) -> None:
        if ("instance", self._instance_arn) in keys:
            self._dirty.set()

    async def _send(self, message: Message) -> None:
        await self._channel.send(payload.encode(message))

    async def _send_manifest(self, instance: ContainerInstance) -> None:
        ctx = self._ctx
        current = await ctx.store.read(rows.assignments, self._instance_arn)
        listed = tuple(payload.ManifestTask(task_arn=a.task_arn, desired_status=a.desired_status) for a in current)
        await self._send(
            payload.TaskManifestMessage(
                message_id=uuid(ctx.entropy),
                cluster_arn=instance.cluster_arn,
                container_instance_arn=self._instance_arn,
                tasks=listed,
                timeline=instance.manifest_sequence,
                generated_at=math.floor(ctx.clock() * 1000),
            )
        )

    async def _push(self) -> None:
        """Send what the agent has not acknowledged, whenever there may be something."""
        while True:
            self._dirty = anyio.Event()
            self._forget_unanswered()
            current = await self._ctx.store.read(rows.assignments, self._instance_arn)
            arns = {assignment.task_arn for assignment in current}
            self._acknowledged = {arn: status for arn, status in self._acknowledged.items() if arn in arns}
            await self._send_tasks([a for a in current if self._news(a)])
            with anyio.move_on_after(self._ctx.settings.timing.sweep):
                await self._dirty.wait()

    def _news(self, assignment: Assignment) -> bool:
        in_flight = any(assignment in sent.tasks for sent in self._in_flight.values())
        return not in_flight and self._acknowledged.get(assignment.task_arn) is not assignment.desired_status

    def _forget_unanswered(self) -> None:
        """Let what was not acknowledged for a while be sent again."""
        oldest = anyio.current_time() - self._ctx.settings.timing.sweep
        self._in_flight = {key: sent for key, sent in self._in_flight.items() if sent.at > oldest}

    async def _send_tasks(self, news: list[Assignment]) -> None:
        ctx = self._ctx
        for start in range(0, len(news), TASKS_PER_MESSAGE):
            batch = news[start : start + TASKS_PER_MESSAGE]
            translate = partial(rows.translate, region=ctx.scope.region, stop_timeout=ctx.settings.timing.stop_timeout)
            translated = await ctx.store.read(translate, [a.task_arn for a in batch])
            if not translated:
                continue
            message = payload.PayloadMessage(
                message_id=uuid(ctx.entropy),
                cluster_arn=translated[0].task_cluster_arn,
                container_instance_arn=self._instance_arn,
                tasks=tuple(translated),
                generated_at=math.floor(ctx.clock() * 1000),
            )
            sent = tuple(Assignment(task.arn, DesiredStatus(task.desired_status)) for task in translated)
            self._in_flight[message.message_id] = _Sent(sent, anyio.current_time())
            await self._send(message)

    async def _heartbeats(self) -> None:
        every = self._ctx.settings.timing.heartbeat
        while True:
            if anyio.current_time() - self._heartbeat_answered_at > SILENCES_UNTIL_CLOSED * every:
                log.warning("agent_silent", instance=self._instance_arn, seconds=SILENCES_UNTIL_CLOSED * every)
                await self._channel.aclose()
                return
            await self._send(payload.HeartbeatMessage(message_id=uuid(self._ctx.entropy), healthy=True))
            await anyio.sleep(every)

    async def _receive(self) -> None:
        while True:
            frame = await self._channel.receive()
            try:
                message = payload.decode(frame)
            except payload.ProtocolError as error:
                log.warning("agent_sent_nonsense", instance=self._instance_arn, error=str(error))
                return
            if message is not None:
                await self._handle(message)

    async def _handle(self, message: Message) -> None:
        ctx = self._ctx
        match message:
            case payload.AckRequest():
                await self._on_ack(message.message_id)
            case payload.NackRequest():
                sent = self._in_flight.pop(message.message_id, None)
                if sent is not None:
                    arns = [a.task_arn for a in sent.tasks]
                    self._acknowledged |= {a.task_arn: a.desired_status for a in sent.tasks}
                    log.warning("agent_refused_tasks", instance=self._instance_arn, reason=message.reason, tasks=arns)
                    await ctx.store.write(rows.refused, self._instance_arn, arns, message.reason, ctx.clock())
            case payload.HeartbeatAckRequest():
                self._heartbeat_answered_at = anyio.current_time()
            case payload.TaskStopVerificationMessage():
                stops = await ctx.store.read(rows.confirmed_stops, self._instance_arn, message.stop_candidates)
                await self._send(payload.TaskStopVerificationAck(message_id=message.message_id, stop_tasks=stops))
            case _:
                log.debug("agent_message_ignored", instance=self._instance_arn, type=type(message).__name__)

    async def _on_ack(self, message_id: str) -> None:
        sent = self._in_flight.pop(message_id, None)
        if sent is None:
            return
        self._acknowledged |= {a.task_arn: a.desired_status for a in sent.tasks}
        stopping = [a.task_arn for a in sent.tasks if a.desired_status is DesiredStatus.STOPPED]
        if stopping:
            ctx = self._ctx
            await ctx.store.write(rows.stop_acknowledged, self._instance_arn, stopping, ctx.clock())
