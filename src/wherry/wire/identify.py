"""Which operation a request asks for, and in which protocol to answer when that cannot be said."""

from __future__ import annotations

from wherry.model.errors import ApiError, SerializationException, UnknownOperationException
from wherry.wire.errors import WireError
from wherry.wire.form import parameters
from wherry.wire.message import Protocol, Request
from wherry.wire.models import Catalog, Target
from wherry.wire.sigv4 import scope_of

_JSON_TYPES = frozenset({"application/x-amz-json-1.0", "application/x-amz-json-1.1", "application/json"})
_METHODS = frozenset({"GET", "POST"})
_FORM_TYPE = "application/x-www-form-urlencoded"


def spoken_protocol(catalog: Catalog, request: Request) -> Protocol:
    """The protocol that the caller expects an answer in, whatever else is wrong with the request."""
    if request.header("x-amz-target") is not None or request.media_type in _JSON_TYPES:
        return "json"
    _, signing_name = scope_of(request)
    services = (service for service in catalog.services.values() if service.signing_name == signing_name)
    return "ec2" if any("ec2" in service.protocols for service in services) else "query"


def identify(catalog: Catalog, request: Request) -> Target:
    """The target of `X-Amz-Target`, or of a form's `Action`; raises `ApiError`.

    A JSON body must say that it is JSON: a web form can send JSON as text/plain to any machine.
    """
    if request.method not in _METHODS:
        raise WireError("MethodNotAllowed", "Use POST, or GET for a presigned request.", status=405)
    if (encoding := request.header("content-encoding")) not in (None, "", "identity"):
        raise SerializationException(f"The Content-Encoding {encoding!r} is not supported: send the body as it is.")
    if (name := request.header("x-amz-target")) is not None:
        return _json_target(catalog, request, name)
    if request.media_type in _JSON_TYPES:
        raise UnknownOperationException("The request needs the header X-Amz-Target, as in PREFIX.ListClusters.")
    if request.body and request.media_type != _FORM_TYPE:
        raise WireError("MalformedInput", f"The Content-Type must be {_FORM_TYPE}, not {request.media_type!r}.")
    return _form_target(catalog, request)


def _json_target(catalog: Catalog, request: Request, name: str) -> Target:
    if request.method != "POST":
        raise UnknownOperationException(f"{request.method} cannot carry an operation: use POST.")
    if request.media_type not in _JSON_TYPES:
        raise SerializationException(
            f"The Content-Type must be application/x-amz-json-1.1, not {request.media_type!r}."
        )
    target = catalog.by_target(name)
    if target is None:
        known = ", ".join(sorted(catalog.services))
        raise UnknownOperationException(f"No service here knows the operation {name[:256]!r}: Wherry has {known}.")
    if target.operation not in target.service.operation_names:
        raise UnknownOperationException(f"The operation {name[:256]!r} is not known here.")
    return target


def _form_target(catalog: Catalog, request: Request) -> Target:
    found = parameters(request)
    action = found.get("Action", "")
    if not action:
        raise WireError("MissingAction", "The request must contain the parameter Action.")
    target = catalog.by_action(action, version=found.get("Version"), signing_name=scope_of(request)[1])
    if target is None or action not in target.service.operation_names:
        raise invalid_action(action)
    return target


def invalid_action(action: str) -> ApiError:
    """Query's error for an operation that does not exist."""
    return WireError("InvalidAction", f"The action {action[:256]} is not valid for this web service.")
