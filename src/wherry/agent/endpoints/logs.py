"""CloudWatch Logs as the engine's awslogs driver finds it: http://169.254.170.2/logs/TOKEN, for the host alone.

The driver signs with credentials that are nobody's: who it is, its token says. What it sends is taken by the relay.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio.to_thread
import msgspec
import structlog
from aiohttp import web

from wherry.agent.endpoints.answers import UnknownIdError, json_answer
from wherry.agent.endpoints.callers import caller
from wherry.agent.link.base import RefusedError
from wherry.agent.logs.relay import Relay, UnknownStreamError
from wherry.agent.logs.spool import SpoolError
from wherry.agent.logs.stream import Event
from wherry.agent.runtime.base import RuntimeUnavailableError
from wherry.model.ids import Entropy, uuid

log = structlog.get_logger()

MOST_BODY = 8 * 1024 * 1024
"""Bytes of a request: a MiB of events, in which the driver writes some characters with six."""

_CREDENTIALS = {"AccessKeyId": "container", "SecretAccessKey": "container", "Token": ""}


class _Names(msgspec.Struct, frozen=True, rename="camel"):
    log_group_name: str
    log_stream_name: str = ""


class _Put(msgspec.Struct, frozen=True, rename="camel"):
    log_group_name: str
    log_stream_name: str
    log_events: tuple[Event, ...]


def routes(relay: Relay | None, entropy: Entropy) -> list[web.RouteDef]:
    """Serve the relay, if there is one."""
    if relay is None:
        return []
    handler = _Handler(relay, entropy)
    return [
        web.get("/logs/{token}/credentials", handler.credentials),
        web.post("/logs/{token}", handler.operation),
        web.post("/logs/{token}/", handler.operation),
    ]


class _Handler:
    def __init__(self, relay: Relay, entropy: Entropy) -> None:
        self._relay = relay
        self._entropy = entropy

    async def credentials(self, request: web.Request) -> web.Response:
        self._known(request)
        return json_answer(_CREDENTIALS)

    async def operation(self, request: web.Request) -> web.Response:
        token = self._known(request)
        name = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        body = await _read(request)
        try:
            answer = await self._carry_out(token, name, body)
        except RefusedError as refusal:
            return self._error(400, refusal.code, refusal.message)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return self._error(400, "SerializationException", str(error))
        except UnknownStreamError as error:
            raise _unknown() from error
        except (SpoolError, RuntimeUnavailableError) as error:
            log.warning("log_batch_not_taken", error=str(error))
            return self._error(503, "ServiceUnavailableException", str(error))
        return self._answer(200, answer)

    async def _carry_out(self, token: str, operation: str, body: bytes) -> dict[str, Any]:
        match operation:
            case "PutLogEvents":
                put = await anyio.to_thread.run_sync(partial(msgspec.json.decode, body, type=_Put))
                if not put.log_events:
                    raise RefusedError("InvalidParameterException", "Log events must not be empty.")
                await self._relay.put(token, put.log_group_name, put.log_stream_name, put.log_events)
                return {"nextSequenceToken": uuid(self._entropy)}
            case "CreateLogStream":
                names = msgspec.json.decode(body, type=_Names)
                await self._relay.create_stream(token, names.log_group_name, names.log_stream_name)
            case "CreateLogGroup":
                await self._relay.create_group(token, msgspec.json.decode(body, type=_Names).log_group_name)
            case _:
                raise RefusedError("UnknownOperationException", f"Log drivers have no use for {operation!r}.")
        return {}

    def _known(self, request: web.Request) -> str:
        token = request.match_info["token"]
        if not caller(request).is_host or not self._relay.knows(token):
            raise _unknown()
        return token

    def _error(self, status: int, code: str, message: str) -> web.Response:
        return self._answer(status, {"__type": code, "message": message})

    def _answer(self, status: int, body: dict[str, Any]) -> web.Response:
        answer = json_answer(body, status)
        answer.content_type = "application/x-amz-json-1.1"
        answer.headers["x-amzn-RequestId"] = uuid(self._entropy)
        return answer


def _unknown() -> UnknownIdError:
    """Say what the driver tries again after: the agent that knows the token may be about to start."""
    text = "No container that is known here has this token."
    return UnknownIdError(503, {"__type": "ServiceUnavailableException", "message": text})


async def _read(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MOST_BODY:
            raise web.HTTPRequestEntityTooLarge(MOST_BODY, len(body))
    return bytes(body)
