"""Query and EC2-Query: one operation as a parser of requests and a writer of answers."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.model.errors import ApiError
from wherry.wire.form import parameters, tree_of
from wherry.wire.message import Protocol, Request, Response
from wherry.wire.models import Operation, Service
from wherry.wire.shapes import to_params
from wherry.wire.xml import compile_writer, element_name, text_of


def parse(operation: Operation, request: Request) -> dict[str, Any]:
    """The members of the input shape; raises `MalformedQueryString` or `InvalidParameterValue`."""
    params: dict[str, Any] = operation.reader(tree_of(parameters(request)), "")
    return params


def serialize(operation: Operation, protocol: Protocol, result: msgspec.Struct, request_id: str) -> Response:
    """The answer to a call that went well."""
    parts: list[str] = []
    if operation.writer is not None:
        wrapper = operation.output_shape.serialization.get("resultWrapper", "")
        operation.writer(wrapper, to_params(result), parts)
    if protocol == "ec2":
        document = f"<requestId>{request_id}</requestId>{''.join(parts)}"
    else:
        document = f"{''.join(parts)}<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    element = f"{operation.name}Response"
    return _response(200, f"<{element}{_namespace(operation.service)}>{document}</{element}>", request_id)


def fail(service: Service | None, protocol: Protocol, error: ApiError, request_id: str) -> Response:
    """An error answer with the code, the status and the members that the model gives the error."""
    shape = service.error_shape(error.code) if service else None
    modelled = shape.metadata.get("error", {}) if shape else {}
    status = modelled.get("httpStatusCode", error.status)
    parts = [f"<Code>{text_of(modelled.get('code', error.code))}</Code><Message>{text_of(error.message)}</Message>"]
    for name, member in shape.members.items() if shape else ():
        if (value := error.fields.get(name)) is not None:
            compile_writer(member)(element_name(name, member), value, parts)
    inner = "".join(parts)
    if protocol == "ec2":
        document = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    else:
        blame = "Sender" if status < 500 else "Receiver"
        document = (
            f"<ErrorResponse{_namespace(service)}><Error><Type>{blame}</Type>{inner}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return _response(status, document, request_id)


def _namespace(service: Service | None) -> str:
    return f' xmlns="{service.xml_namespace}"' if service and service.xml_namespace else ""


def _response(status: int, document: str, request_id: str) -> Response:
    return Response(
        status=status,
        headers=(("content-type", "text/xml;charset=UTF-8"), ("x-amzn-requestid", request_id)),
        body=f'<?xml version="1.0" encoding="UTF-8"?>\n{document}'.encode(),
    )
