"""AWS JSON 1.0 and 1.1: one operation as a parser of requests and a writer of answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from wherry.model.errors import ApiError, SerializationException
from wherry.wire.message import Request, Response
from wherry.wire.models import Operation, Service
from wherry.wire.shapes import MAX_DEPTH, refuse_deep, to_params, type_sentence

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""How JSON writes the one character that no environment, file name or database column can hold."""

_TAKES_ANY_TEXT = frozenset({("logs", "PutLogEvents")})
"""Operations that take the output of programs, in which anything may be; they check their other texts themselves."""

_encode = msgspec.json.Encoder().encode


def content_type(service: Service | None) -> str:
    """The media type of the service's answers."""
    return f"application/x-amz-json-{service.json_version if service else '1.1'}"


def parse(operation: Operation, request: Request) -> dict[str, Any]:
    """The members of the input shape; raises `SerializationException` for a body that is not such JSON."""
    body = request.body or b"{}"
    try:
        params = to_params(msgspec.json.decode(body, type=operation.input_type))
        _refuse_ambiguous(body)
        if rb"\u0000" in body and (operation.service.id, operation.name) not in _TAKES_ANY_TEXT and _NUL.search(body):
            raise SerializationException("A text has a NUL character in it, which no field takes. Remove it.")
    except msgspec.ValidationError as error:
        raise SerializationException(type_sentence(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SerializationException(f"The request body is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise SerializationException(f"The request nests deeper than {MAX_DEPTH} levels.") from error
    return params


def serialize(operation: Operation, result: msgspec.Struct, request_id: str) -> Response:
    """The answer to a call that went well."""
    return Response(
        status=200,
        headers=(("content-type", content_type(operation.service)), ("x-amzn-requestid", request_id)),
        body=_encode(result),
    )


def fail(service: Service | None, error: ApiError, request_id: str) -> Response:
    """An error answer: `__type`, the message under the name that the model gives it, and the modelled members."""
    members = service.error_members(error.code) if service else frozenset()
    body: dict[str, Any] = {"__type": error.code}
    # A message may quote what the caller sent, and that may be no text.
    body["Message" if "Message" in members else "message"] = error.message.encode(errors="replace").decode()
    body.update({name: value for name, value in error.fields.items() if name in members})
    return Response(
        status=error.status,
        headers=(
            ("content-type", content_type(service)),
            ("x-amzn-requestid", request_id),
            ("x-amzn-errortype", error.code),
        ),
        body=_encode(body),
    )


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in members if names.count(name) > 1)
        raise SerializationException(f"The member {json.dumps(twice)} occurs twice in one object.")
    return members


_pedant = json.JSONDecoder(object_pairs_hook=_unique).raw_decode


def _refuse_ambiguous(body: bytes) -> None:
    """Refuse what msgspec lets through: two members of one name, of which it takes the last, and deep nesting."""
    value, _ = _pedant(body.decode().lstrip())
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        refuse_deep(value)
