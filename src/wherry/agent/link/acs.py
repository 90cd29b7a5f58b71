"""ACS: the control plane says what this host is to run, the agent acknowledges what it has written down.

Reference §15.2; semantics after aws/amazon-ecs-agent ecs-agent/acs/session.
"""

from __future__ import annotations

from typing import Any

import anyio
import structlog

from wherry.agent.assignments.tasks import names_a_task
from wherry.agent.backoff import fraction
from wherry.agent.credentials import RoleType
from wherry.agent.exec.executor import Executor
from wherry.agent.journal import Journal, JournalError
from wherry.agent.link.base import Channel
from wherry.agent.link.session import Conversation
from wherry.agent.roster import Roster
from wherry.model.ids import Entropy
from wherry.model.protocol import acs
from wherry.model.protocol.frames import Message, ProtocolError, decode, encode
from wherry.model.protocol.task import RoleCredentials

log = structlog.get_logger()

SILENCE = 60.0
"""Seconds without any frame after which the agent hangs up, and as many again by chance."""
LIFETIME = 1800.0
"""Seconds after which the agent connects anew, and up to five minutes more by chance."""


class AcsSession:
    """One conversation on ACS, speaking for one container instance."""

    def __init__(
        self,
        channel: Channel,
        *,
        roster: Roster,
        executor: Executor,
        journal: Journal,
        cluster: str,
        instance_arn: str,
        entropy: Entropy,
    ) -> None:
        """Converse on `channel` as `instance_arn` of the cluster (an ARN too)."""
        self._channel = channel
        self._roster = roster
        self._executor = executor
        self._journal = journal
        self._cluster = cluster
        self._instance_arn = instance_arn
        self._entropy = entropy
        self._asked: tuple[str, frozenset[str]] | None = None

    async def run(self, conversation: Conversation) -> None:
        """Converse until either side hangs up."""
        with anyio.move_on_after(LIFETIME + fraction(self._entropy) * 300):
            while True:
                frame: dict[str, Any] | None = None
                with anyio.move_on_after(SILENCE * (1 + fraction(self._entropy))):
                    frame = await self._channel.receive()
                if frame is None:
                    log.warning("control_plane_silent", instance=self._instance_arn)
                    return
                conversation.heard = True
                try:
                    if not await self._take(frame):
                        return
                except JournalError as error:
                    # Not acknowledged, so it comes again: a full disk takes no new tasks, and ends none that run.
                    log.warning("journal_failed", type=frame.get("type"), error=str(error))

    async def _take(self, frame: dict[str, Any]) -> bool:
        """Take one frame; False ends the conversation."""
        try:
            message = decode(frame)
        except ProtocolError as error:
            await self._refuse(frame, str(error))
            return True
        match message:
            case acs.PayloadMessage():
                await self._on_payload(message)
            case acs.IAMRoleCredentialsMessage():
                await self._on_credentials(message)
            case acs.HeartbeatMessage():
                await self._send(acs.HeartbeatAckRequest(message_id=message.message_id))
            case acs.TaskManifestMessage():
                await self._on_manifest(message)
            case acs.TaskStopVerificationAck():
                self._on_verified(message)
            case acs.ExecuteCommandMessage():
                self._executor.begin(message)
            case acs.CloseMessage():
                log.info("control_plane_closes", reason=message.message)
                return False
            case _:
                log.info("message_ignored", type=frame.get("type"))
        return True

    async def _on_payload(self, message: acs.PayloadMessage) -> None:
        if message.container_instance_arn != self._instance_arn:
            await self._nack(message.message_id, f"this is {self._instance_arn}")
            return
        if strangers := [task.arn for task in message.tasks if not names_a_task(task.arn)]:
            await self._nack(message.message_id, f"not the ARN of a task: {strangers[0]!r}")
            return
        self._roster.assign(message.tasks)
        await self._ack(message.message_id)
        for task in message.tasks:
            for credentials in (task.role_credentials, task.execution_role_credentials):
                if credentials is not None:
                    await self._ack_credentials(message.message_id, credentials)

    async def _on_credentials(self, message: acs.IAMRoleCredentialsMessage) -> None:
        if message.role_type not in set(RoleType):
            await self._nack(message.message_id, f"roleType {message.role_type!r} is not known")
        elif not self._roster.refresh(message.task_arn, RoleType(message.role_type), message.role_credentials):
            await self._nack(message.message_id, f"this agent has no task {message.task_arn}")
        else:
            await self._ack_credentials(message.message_id, message.role_credentials)

    async def _on_manifest(self, message: acs.TaskManifestMessage) -> None:
        """Compare with what runs here; what is too much is asked about before it is stopped."""
        if message.container_instance_arn != self._instance_arn or message.timeline <= self._journal.timeline:
            log.info("manifest_is_old", timeline=message.timeline)
            return
        self._journal.set_timeline(message.timeline)
        await self._ack(message.message_id)
        self._roster.clear_leftovers(message.tasks)
        candidates = tuple(
            acs.StopCandidate(task_arn=stray.arn, task_cluster_arn=stray.spec.cluster)
            for stray in self._roster.strays(message.tasks)
        )
        if candidates:
            self._asked = message.message_id, frozenset(candidate.task_arn for candidate in candidates)
            await self._send(acs.TaskStopVerificationMessage(message_id=message.message_id, stop_candidates=candidates))

    def _on_verified(self, message: acs.TaskStopVerificationAck) -> None:
        """Stop what was asked about and nothing else; an answer counts once."""
        if self._asked is not None and message.message_id == self._asked[0]:
            candidates, self._asked = self._asked[1], None
            self._roster.stop({task.task_arn for task in message.stop_tasks} & candidates)

    async def _refuse(self, frame: dict[str, Any], reason: str) -> None:
        """Refuse a frame that cannot be read, if it says at least which it is."""
        body = frame.get("message")
        message_id = body.get("messageId") if isinstance(body, dict) else None
        log.warning("message_malformed", type=frame.get("type"), error=reason)
        if isinstance(message_id, str):
            await self._nack(message_id, reason)

    async def _ack(self, message_id: str) -> None:
        await self._send(
            acs.AckRequest(message_id=message_id, cluster=self._cluster, container_instance=self._instance_arn)
        )

    async def _ack_credentials(self, message_id: str, credentials: RoleCredentials) -> None:
        await self._send(
            acs.IAMRoleCredentialsAckRequest(
                message_id=message_id,
                credentials_id=credentials.credentials_id,
                expiration=credentials.expiration,
            )
        )

    async def _nack(self, message_id: str, reason: str) -> None:
        await self._send(
            acs.NackRequest(
                message_id=message_id, reason=reason, cluster=self._cluster, container_instance=self._instance_arn
            )
        )

    async def _send(self, message: Message) -> None:
        await self._channel.send(encode(message))
