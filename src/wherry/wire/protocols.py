"""The protocols behind one door each for parsing, answering and failing; REST-JSON and CBOR join here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import msgspec

from wherry.model.errors import ApiError
from wherry.wire import awsjson, awsquery, eventstream
from wherry.wire.message import Protocol, Request, Response
from wherry.wire.models import Operation, Service


def parse(operation: Operation, protocol: Protocol, request: Request) -> dict[str, Any]:
    """The members of the operation's input shape, types and presence checked; raises `ApiError`."""
    match protocol:
        case "json":
            params = awsjson.parse(operation, request)
        case "query" | "ec2":
            params = awsquery.parse(operation, request)
        case _:
            assert_never(protocol)
    if operation.check is not None:
        operation.check(params, "")
    return params


def serialize(operation: Operation, protocol: Protocol, result: Mapping[str, Any], request_id: str) -> Response:
    """The answer that carries `result`; raises `msgspec.ValidationError` if it is not of the output shape."""
    if operation.event_stream is not None:
        return eventstream.serialize(operation, result, request_id)
    value = msgspec.convert(result, operation.output_type)
    match protocol:
        case "json":
            return awsjson.serialize(operation, value, request_id)
        case "query" | "ec2":
            return awsquery.serialize(operation, protocol, value, request_id)
        case _:
            assert_never(protocol)


def fail(service: Service | None, protocol: Protocol, error: ApiError, request_id: str) -> Response:
    """The answer that carries `error`; `service` is unknown when the request did not say."""
    match protocol:
        case "json":
            return awsjson.fail(service, error, request_id)
        case "query" | "ec2":
            return awsquery.fail(service, protocol, error, request_id)
        case _:
            assert_never(protocol)
