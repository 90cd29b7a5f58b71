"""Answers that go on: application/vnd.amazon.eventstream, a frame an event.

A frame is a prelude (both lengths and their checksum), headers, the payload, and a checksum over everything.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any
from zlib import crc32

import msgspec
import structlog

from wherry.model.errors import ApiError, ServerException
from wherry.wire.message import Response
from wherry.wire.models import Operation

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7  # the type of a header's value
_PRELUDE = struct.Struct("!II")
_CHECKSUM = struct.Struct("!I")

_log = structlog.get_logger(__name__)


def serialize(operation: Operation, result: Mapping[str, Any], request_id: str) -> Response:
    """The answer whose one member yields pairs of an event's name and its members, for as long as it likes."""
    return Response(
        status=200,
        headers=(("content-type", CONTENT_TYPE), ("x-amzn-requestid", request_id)),
        body=b"",
        stream=_frames(operation, result[operation.event_stream or ""], request_id),
    )


async def _frames(
    operation: Operation, events: AsyncIterator[tuple[str, Mapping[str, Any]]], request_id: str
) -> AsyncIterator[bytes]:
    """A stream that breaks says so in its last frame: its head has been sent with status 200."""
    yield frame(_event("initial-response"), b"{}")
    try:
        async with aclosing(events) as source:  # type: ignore[type-var]  # every handler's is a generator
            async for name, members in source:
                value = msgspec.convert({name: members}, operation.event_type)
                [payload] = [part for part in msgspec.structs.astuple(value) if part is not None]
                yield frame(_event(name), msgspec.json.encode(payload))
    except ApiError as error:
        yield _exception(error)
    except Exception:  # noqa: BLE001 - a boundary, as the gateway is: the caller gets an answer, the log the details
        _log.exception("stream failed", service=operation.service.id, operation=operation.name, request_id=request_id)
        yield _exception(ServerException())


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame; `headers` have texts for values."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    total = _PRELUDE.size + _CHECKSUM.size + len(head) + len(payload) + _CHECKSUM.size
    prelude = _PRELUDE.pack(total, len(head))
    message = prelude + _CHECKSUM.pack(crc32(prelude)) + head + payload
    return message + _CHECKSUM.pack(crc32(message))


def _event(name: str) -> dict[str, str]:
    return {":message-type": "event", ":event-type": name, ":content-type": "application/json"}


def _exception(error: ApiError) -> bytes:
    headers = {":message-type": "exception", ":exception-type": error.code, ":content-type": "application/json"}
    return frame(headers, msgspec.json.encode({"message": error.message}))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return bytes([len(key)]) + key + bytes([_STRING]) + struct.pack("!H", len(text)) + text
