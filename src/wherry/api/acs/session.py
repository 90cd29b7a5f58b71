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
from wherry.api.acs import credentials
from wherry.api.acs.assignments import Assignment
from wherry.api.acs.credentials import Assumed
from wherry.api.acs.payload import Terms
from wherry.api.acs.registry_auth import registry_names
from wherry.api.channel import Channel
from wherry.api.context import Context
from wherry.api.ecs import roles
from wherry.model.ids import uuid
from wherry.model.instance import ContainerInstance
from wherry.model.protocol import acs
from wherry.model.protocol.frames import Message, ProtocolError, decode, encode
from wherry.model.protocol.task import PayloadTask
from wherry.model.task import DesiredStatus

log = structlog.get_logger()

TASKS_PER_MESSAGE = 10
SILENCES_UNTIL_CLOSED = 3
"""Heartbeats that may go unanswered; ECS closes when acknowledgements stop (protocol version 2)."""
CLOSING = 5.0
"""Seconds that saying goodbye may take."""


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
        self._awaited: set[Assignment] = set()
        self._changed: set[str] = set()
        self._heartbeat_answered_at = anyio.current_time()
        self._custom = roles.custom(ctx)
        self._terms = Terms(
            region=ctx.scope.region,
            stop_timeout=ctx.settings.timing.stop_timeout,
            endpoint_url=ctx.settings.endpoint_for_tasks,
            registry=registry_names(ctx.settings, ctx.scope),
        )

    async def run(self) -> None:
        """Serve until either side goes away, or a newer connection of the instance has taken over."""
        ctx = self._ctx
        try:
            instance = await ctx.store.write(rows.connect, self._instance_arn, ctx.clock())
        except rows.InactiveInstanceException:
            await self._close()  # It was given up between the upgrade and now; the next upgrade is told so.
            return
        log.info("agent_connected", instance=self._instance_arn)
        try:
            with ctx.store.bell.subscribe(self._on_bell):
                await self._serve(instance)
        except* (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass  # The agent went away, which is what ends a session.
        finally:
            with anyio.CancelScope(shield=True):
                await ctx.store.write(rows.disconnect, self._instance_arn, instance.manifest_sequence, ctx.clock())
            await self._close()
            log.info("agent_disconnected", instance=self._instance_arn)

    async def _serve(self, instance: ContainerInstance) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            await self._send_manifest(instance)
            group.start_soon(self._push, instance.manifest_sequence)
            group.start_soon(self._heartbeats)
            group.start_soon(self._pass_commands)
            group.start_soon(self._refresh_credentials)
            await self._receive()
            group.cancel_scope.cancel()

    async def _close(self) -> None:
        # A peer that has vanished without a word must not hold up whoever hangs up on it.
        with anyio.move_on_after(CLOSING, shield=True):
            await self._channel.aclose()

    def _on_bell(self, keys: Iterable[tuple[str, str]]) -> None:
        if ("instance", self._instance_arn) in keys:
            self._changed.update(name for kind, name in keys if kind == "task")
            self._dirty.set()

    async def _send(self, message: Message) -> None:
        await self._channel.send(encode(message))

    async def _send_manifest(self, instance: ContainerInstance) -> None:
        ctx = self._ctx
        current = await ctx.store.read(rows.assignments, self._instance_arn)
        listed = tuple(acs.ManifestTask(task_arn=a.task_arn, desired_status=a.desired_status) for a in current)
        await self._send(
            acs.TaskManifestMessage(
                message_id=uuid(ctx.entropy),
                cluster_arn=instance.cluster_arn,
                container_instance_arn=self._instance_arn,
                tasks=listed,
                timeline=instance.manifest_sequence,
                generated_at=math.floor(ctx.clock() * 1000),
            )
        )

    async def _push(self, connection: int) -> None:
        """Send what the agent has not acknowledged: of what changed at once, of everything with each sweep."""
        sweep = self._ctx.settings.timing.sweep
        swept_at = -math.inf
        while True:
            self._dirty = anyio.Event()
            await self._hold(connection)
            self._forget_unanswered()
            changed, self._changed = self._changed, set()
            if anyio.current_time() >= swept_at + sweep:
                swept_at = anyio.current_time()
                current = await self._ctx.store.read(rows.assignments, self._instance_arn)
                gone = self._acknowledged.keys() - {assignment.task_arn for assignment in current}
            else:
                current = await self._ctx.store.read(rows.assignments, self._instance_arn, changed)
                gone = changed - {assignment.task_arn for assignment in current}
            for task_arn in gone:
                self._acknowledged.pop(task_arn, None)
            await self._send_tasks([a for a in current if self._news(a)])
            with anyio.move_on_at(swept_at + sweep):
                await self._dirty.wait()

    async def _hold(self, connection: int) -> None:
        """End the session if it is not the instance's any more: two at once would both give tasks out."""
        instance = await self._ctx.store.read(rows.holds, self._instance_arn, connection)
        if instance is None:
            log.info("agent_connection_superseded", instance=self._instance_arn)
            raise anyio.ClosedResourceError
        if not instance.agent_connected:
            await self._ctx.store.write(rows.reconnect, self._instance_arn, connection)

    def _news(self, assignment: Assignment) -> bool:
        return (
            assignment not in self._awaited
            and self._acknowledged.get(assignment.task_arn) is not assignment.desired_status
        )

    def _forget_unanswered(self) -> None:
        """Let what was not acknowledged for a while be sent again."""
        oldest = anyio.current_time() - self._ctx.settings.timing.sweep
        for message_id in [key for key, sent in self._in_flight.items() if sent.at <= oldest]:
            self._answered(message_id)

    def _answered(self, message_id: str) -> tuple[Assignment, ...]:
        """Stop waiting for the answer to a message; returns what it assigned, nothing if there is none to wait for."""
        sent = self._in_flight.pop(message_id, None)
        if sent is None:
            return ()
        self._awaited.difference_update(sent.tasks)
        return sent.tasks

    async def _send_tasks(self, news: list[Assignment]) -> None:
        ctx = self._ctx
        for start in range(0, len(news), TASKS_PER_MESSAGE):
            batch = news[start : start + TASKS_PER_MESSAGE]
            translate = partial(rows.translate, terms=self._terms, custom=self._custom)
            found = await ctx.store.read(translate, [a.task_arn for a in batch])
            translated = [credentials.equipped(ctx, task, own) for task, own in found if _can_begin(task, own)]
            for task, own in found:
                if not _can_begin(task, own):
                    why = roles.not_assumed(own.missing or "")
                    await ctx.store.write(rows.not_assumed, self._instance_arn, task.arn, why, ctx.clock())
            if not translated:
                continue
            message = acs.PayloadMessage(
                message_id=uuid(ctx.entropy),
                cluster_arn=translated[0].task_cluster_arn,
                container_instance_arn=self._instance_arn,
                tasks=tuple(translated),
                generated_at=math.floor(ctx.clock() * 1000),
            )
            sent = tuple(Assignment(task.arn, DesiredStatus(task.desired_status)) for task in translated)
            self._in_flight[message.message_id] = _Sent(sent, anyio.current_time())
            self._awaited.update(sent)
            await self._send(message)

    async def _heartbeats(self) -> None:
        while True:
            await self._send(acs.HeartbeatMessage(message_id=uuid(self._ctx.entropy), healthy=True))
            await anyio.sleep(self._ctx.settings.timing.heartbeat)

    async def _refresh_credentials(self) -> None:
        """Send fresh credentials of every role before half of the old ones' time is over, as long as they come."""
        ctx = self._ctx
        while True:
            await anyio.sleep(ctx.settings.timing.role_session / 2)
            running = await ctx.store.read(partial(rows.roles_of, custom=self._custom), self._instance_arn)
            for task_arn, own in running:
                for fresh in credentials.minted(ctx, task_arn, own):
                    await self._send(
                        acs.IAMRoleCredentialsMessage(
                            message_id=uuid(ctx.entropy),
                            task_arn=task_arn,
                            role_type=fresh.role_type,
                            role_credentials=fresh,
                        )
                    )

    async def _pass_commands(self) -> None:
        with self._ctx.exec_sessions.listen(self._instance_arn) as commands:
            async for command in commands:
                await self._send(command)

    async def _watch(self) -> None:
        """End the session of an agent that answers no heartbeats, also while it keeps us from sending any."""
        patience = SILENCES_UNTIL_CLOSED * self._ctx.settings.timing.heartbeat
        deadline = self._heartbeat_answered_at + patience
        while anyio.current_time() < deadline:
            await anyio.sleep_until(deadline)
            deadline = self._heartbeat_answered_at + patience
        log.warning("agent_silent", instance=self._instance_arn, seconds=patience)
        raise anyio.ClosedResourceError

    async def _receive(self) -> None:
        while True:
            frame = await self._channel.receive()
            try:
                message = decode(frame)
            except ProtocolError as error:
                log.warning("agent_sent_nonsense", instance=self._instance_arn, error=str(error))
                return
            if message is not None:
                await self._handle(message)

    async def _handle(self, message: Message) -> None:
        ctx = self._ctx
        match message:
            case acs.AckRequest():
                await self._on_ack(message.message_id)
            case acs.NackRequest():
                if refused := self._answered(message.message_id):
                    arns = [a.task_arn for a in refused]
                    self._acknowledged |= {a.task_arn: a.desired_status for a in refused}
                    log.warning("agent_refused_tasks", instance=self._instance_arn, reason=message.reason, tasks=arns)
                    why = f"ResourceInitializationError: {message.reason}"
                    await ctx.store.write(rows.refused, self._instance_arn, arns, why, ctx.clock())
            case acs.HeartbeatAckRequest():
                self._heartbeat_answered_at = anyio.current_time()
            case acs.TaskStopVerificationMessage():
                stops = await ctx.store.read(rows.confirmed_stops, self._instance_arn, message.stop_candidates)
                await self._send(acs.TaskStopVerificationAck(message_id=message.message_id, stop_tasks=stops))
            case _:
                log.debug("agent_message_ignored", instance=self._instance_arn, type=type(message).__name__)

    async def _on_ack(self, message_id: str) -> None:
        taken = self._answered(message_id)
        self._acknowledged |= {a.task_arn: a.desired_status for a in taken}
        stopping = [a.task_arn for a in taken if a.desired_status is DesiredStatus.STOPPED]
        if stopping:
            ctx = self._ctx
            await ctx.store.write(rows.stop_acknowledged, self._instance_arn, stopping, ctx.clock())


def _can_begin(task: PayloadTask, own: Assumed) -> bool:
    """Tell whether a task may go to its host: one that is to begin needs every role that it names."""
    return own.missing is None or task.started or task.desired_status == DesiredStatus.STOPPED
