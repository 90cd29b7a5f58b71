"""Taking to the control plane what the spool holds. What CloudWatch Logs answers there decides about a batch."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec
import structlog

from wherry.agent.link.base import AccessKey, ControlPlane, RefusedError
from wherry.agent.logs.spool import Batch
from wherry.agent.logs.stream import Stream

log = structlog.get_logger()

SERVICE = "logs"
MISSING, EXISTS = "ResourceNotFoundException", "ResourceAlreadyExistsException"

_PASSING = frozenset(
    {
        "ThrottlingException",
        "ServiceUnavailableException",
        "InternalFailure",
        "OperationAbortedException",
        "LimitExceededException",
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
    }
)
_MENDABLE = frozenset({MISSING, "AccessDeniedException"})


class Verdict(Enum):
    """What a refusal means for a batch."""

    PASSES = "passes"
    """It would be taken a little later."""
    MENDABLE = "mendable"
    """Somebody must do something about it: make the log group, or allow the role to log."""
    FINAL = "final"
    """It will never be taken."""


def verdict(refusal: RefusedError) -> Verdict:
    """Judge a refusal by its name."""
    if refusal.code in _PASSING:
        return Verdict.PASSES
    return Verdict.MENDABLE if refusal.code in _MENDABLE else Verdict.FINAL


class Forwarder:
    """Speaks to CloudWatch Logs in the name of a task's execution role.

    `execution_role` finds its credentials by the task's ARN; for a task without any, or one that is over, the agent's
    own sign. It raises `UnreachableError` while they have not come. All methods raise that, and `RefusedError`.
    """

    def __init__(self, control_plane: ControlPlane, execution_role: Callable[[str], AccessKey | None]) -> None:
        """Speak to `control_plane`."""
        self._control_plane = control_plane
        self._execution_role = execution_role

    async def send(self, stream: Stream, batch: Batch) -> None:
        """Take one batch there; a stream that is not there is made first."""
        if batch.events == b"[]":
            await self.make(stream)
            return
        try:
            await self._put(stream, batch)
        except RefusedError as refusal:
            if refusal.code != MISSING:
                raise
            await self.make(stream)
            await self._put(stream, batch)

    async def make(self, stream: Stream) -> None:
        """Make the stream, and its group if the container's options say so; that they are there is as good."""
        try:
            await self._there(self.create_stream(stream))
        except RefusedError as refusal:
            if refusal.code != MISSING or not stream.creates_group:
                raise
            await self._there(self.create_group(stream))
            await self._there(self.create_stream(stream))

    async def create_stream(self, stream: Stream) -> None:
        """CreateLogStream."""
        await self._call("CreateLogStream", stream, {"logGroupName": stream.group, "logStreamName": stream.name})

    async def create_group(self, stream: Stream) -> None:
        """CreateLogGroup."""
        await self._call("CreateLogGroup", stream, {"logGroupName": stream.group})

    async def _there(self, creation: Any) -> None:
        try:
            await creation
        except RefusedError as refusal:
            if refusal.code != EXISTS:
                raise

    async def _put(self, stream: Stream, batch: Batch) -> None:
        where = {"logGroupName": stream.group, "logStreamName": stream.name}
        answer = await self._call("PutLogEvents", stream, where | {"logEvents": msgspec.Raw(batch.events)})
        if rejected := answer.get("rejectedLogEventsInfo"):
            log.warning("log_events_rejected", group=stream.group, stream=stream.name, **rejected)

    async def _call(self, operation: str, stream: Stream, parameters: dict[str, Any]) -> dict[str, Any]:
        signer = self._execution_role(stream.task_arn)
        return await self._control_plane.call(operation, parameters, service=SERVICE, signer=signer)
