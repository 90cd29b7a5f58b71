"""The frames of both channels, `{"type": <name of the shape>, "message": {...}}`, and every message that is in one."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.model.protocol import acs, tcs

Message = (
    acs.PayloadMessage
    | acs.AckRequest
    | acs.NackRequest
    | acs.IAMRoleCredentialsMessage
    | acs.IAMRoleCredentialsAckRequest
    | acs.HeartbeatMessage
    | acs.HeartbeatAckRequest
    | acs.TaskManifestMessage
    | acs.TaskStopVerificationMessage
    | acs.TaskStopVerificationAck
    | acs.ExecuteCommandMessage
    | acs.CloseMessage
    | tcs.PublishHealthRequest
    | tcs.PublishMetricsRequest
    | tcs.AckPublishHealth
    | tcs.AckPublishMetric
)

_SHAPES: dict[str, type[Any]] = {shape.__name__: shape for shape in Message.__args__}


class ProtocolError(ValueError):
    """A frame that is not of the protocol; the text says why."""


def encode(message: Message) -> dict[str, Any]:
    """Wrap a message into its frame."""
    return {"type": type(message).__name__, "message": msgspec.to_builtins(message)}


def decode(frame: object) -> Message | None:
    """Read a frame; None for a type that this side does not know, which is then to be ignored."""
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise ProtocolError("a frame is an object with a type and a message")
    shape = _SHAPES.get(frame["type"])
    if shape is None:
        return None
    try:
        decoded: Message = msgspec.convert(frame.get("message"), shape)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"{frame['type']}: {error}") from None
    return decoded
