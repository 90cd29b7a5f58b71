"""The one endpoint: identify, authenticate, parse, call, serialize."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import msgspec
import structlog
from anyio import to_thread
from starlette.types import Receive, Scope, Send

from wherry.model import ids
from wherry.model.call import Call, Handler, Principal
from wherry.model.errors import ApiError, NotImplementedException, RequestEntityTooLargeException, ServerException
from wherry.wire.asgi import BodyTooLargeError, ClientGoneError, read_request, send_response, send_stream
from wherry.wire.authenticate import authenticate
from wherry.wire.errors import WireError
from wherry.wire.identify import identify, spoken_protocol
from wherry.wire.message import Protocol, Request, Response
from wherry.wire.models import Catalog, Operation, Service, load
from wherry.wire.protocols import fail, parse, serialize
from wherry.wire.shapes import to_params, type_sentence
from wherry.wire.trust import Trust, administrator, refuse_browsers

if TYPE_CHECKING:
    from wherry.wire.forward import Forwarder

Services = Mapping[str, Mapping[str, Handler]]
"""The handlers: service id as botocore names it, then operation name."""

Authorize = Callable[[Call], Awaitable[None]]
"""Decides whether a caller who is no administrator may make a call; raises `ApiError` if not."""

MAX_BODY = 4 * 1024 * 1024
LARGE_BODY = 64 * 1024

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")

_log = structlog.get_logger(__name__)


class Gateway:
    """An ASGI application that answers AWS requests by a table of handlers."""

    def __init__(
        self,
        *,
        services: Services,
        region: str,
        account_id: str,
        trust: Trust,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
        authorize: Authorize | None = None,
        forwarder: Forwarder | None = None,
        max_body: int = MAX_BODY,
    ) -> None:
        """Serve `services`. `clock` gives epoch seconds, `entropy` that many random bytes, `max_body` is in bytes.

        Without `authorize` nobody but administrators may do anything. What is the `forwarder`'s is passed on to it.
        """
        self._services = services
        self._catalog = Catalog(services.keys() | (forwarder.services if forwarder is not None else frozenset()))
        self._region = region
        self._account_id = account_id
        self._trust = trust
        self._clock = clock
        self._entropy = entropy
        self._authorize = authorize or _only_administrators
        self._forwarder = forwarder
        self.max_body = max_body
        self._streams: set[anyio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        try:
            request = await read_request(scope, receive, self.max_body)
        except BodyTooLargeError as error:
            refusal = RequestEntityTooLargeException(f"The request body exceeds {self.max_body} bytes.")
            protocol = spoken_protocol(self._catalog, error.head)
            response = fail(None, protocol, refusal, self._new_request_id())
        except ClientGoneError:
            return
        else:
            response = await self.answer(request)
        if response.stream is None:
            await send_response(send, response, head_only=scope["method"] == "HEAD")
            return
        streaming = anyio.CancelScope()
        self._streams.add(streaming)
        try:
            await send_stream(receive, send, response, response.stream, until=streaming)
        finally:
            self._streams.discard(streaming)

    def end_streams(self) -> None:
        """End all answers that go on, so that nobody need wait for them."""
        for streaming in self._streams:
            streaming.cancel()

    def goes_on(self, request: Request) -> bool:
        """Say whether the answer would be a stream, which needs ASGI."""
        target = self._catalog.by_target(request.header("x-amz-target") or "")
        if target is None or target.operation not in target.service.operation_names:
            return False
        return target.service.operation(target.operation).event_stream is not None

    async def answer(self, request: Request) -> Response:
        """Answer one request, whatever happens: errors become answers, unexpected ones are logged here, once."""
        request_id = self._new_request_id()
        protocol = spoken_protocol(self._catalog, request)
        service: Service | None = None
        name = ""
        try:
            refuse_browsers(request.headers, self._trust)
            service, protocol, name = msgspec.structs.astuple(identify(self._catalog, request))
            operation = service.operation(name)
            principal = await self._authenticate(request, operation, protocol)
            call = Call(
                service=service.id,
                operation=name,
                params=await _parse(operation, protocol, request),
                principal=principal,
                region=self._region,
                request_id=request_id,
                source_ip=request.client,
                endpoint=reached_by(request),
                signing_name=service.signing_name,
            )
            if self._forwarder is not None and service.id in self._forwarder.services:
                await self._allow(call)
                return await self._forwarder.send(request, service)
            handler = self._handler(service.id, name)
            await self._allow(call)
            result = await handler(call)
            return serialize(operation, protocol, result, request_id)
        except ApiError as error:
            return fail(service, protocol, error, request_id)
        except Exception:  # noqa: BLE001 - the gateway is a boundary: the caller gets an answer, the log the details
            service_id = service.id if service else ""
            _log.exception("operation failed", service=service_id, operation=name, request_id=request_id)
            return fail(service, protocol, _internal(service), request_id)

    def _new_request_id(self) -> str:
        return ids.uuid(self._entropy)

    async def _authenticate(self, request: Request, operation: Operation, protocol: Protocol) -> Principal:
        return await authenticate(
            request,
            operation,
            protocol,
            trust=self._trust,
            region=self._region,
            account_id=self._account_id,
            now=self._clock(),
        )

    async def _allow(self, call: Call) -> None:
        """Let the caller make the call, or raise `ApiError`."""
        if not call.principal.is_administrator:
            await self._authorize(call)

    def _handler(self, service: str, operation: str) -> Handler:
        """Find who carries out an operation."""
        handler = self._services[service].get(operation)
        if handler is None:
            raise NotImplementedException(f"Wherry does not implement {service}:{operation}.")
        return handler


def reached_by(request: Request) -> str:
    """Tell by which URL the caller has reached us, as far as it says so itself; empty if it does not."""
    host = request.header("host") or ""
    if not _HOST.fullmatch(host):
        return ""
    # Whoever ends TLS before us says so in this header; a caller who lies harms nobody else.
    secure = (request.header("x-forwarded-proto") or "").lower() == "https"
    return f"{'https' if secure else 'http'}://{host}"


async def _parse(operation: Operation, protocol: Protocol, request: Request) -> dict[str, Any]:
    """Parse a large body on a thread: other calls need not wait for that."""
    if len(request.body) < LARGE_BODY:
        return parse(operation, protocol, request)
    return await to_thread.run_sync(parse, operation, protocol, request)


async def _only_administrators(call: Call) -> NoReturn:
    raise WireError("AccessDeniedException", f"User: {call.principal.arn} is not authorized.", status=403)


def _internal(service: Service | None) -> ApiError:
    message = ServerException.__doc__ or ""
    if service is not None and service.error_shape(ServerException.__name__) is not None:
        return ServerException(message)
    return WireError("InternalFailure", message, status=500)


async def dispatch(
    services: Services,
    service: str,
    operation: str,
    params: Mapping[str, Any] | None = None,
    *,
    principal: Principal | None = None,
    region: str = "us-east-1",
    request_id: str = "00000000-0000-4000-8000-000000000000",
) -> dict[str, Any]:
    """Call a handler in this process with the checks of the wire on both sides, without HTTP.

    Returns the output's members; raises the handler's `ApiError`, or `msgspec.ValidationError` for a result that is
    not of the output shape.
    """
    compiled = load(service).operation(operation)
    try:
        checked = to_params(msgspec.convert(params or {}, compiled.input_type))
    except msgspec.ValidationError as error:
        raise WireError("SerializationException", type_sentence(error)) from error
    if compiled.check is not None:
        compiled.check(checked, "")
    call = Call(
        service=service,
        operation=operation,
        params=checked,
        principal=principal or administrator("123456789012", ""),
        region=region,
        request_id=request_id,
    )
    result = await services[service][operation](call)
    return to_params(msgspec.convert(result, compiled.output_type))
