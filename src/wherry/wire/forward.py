"""Services that others carry out: a request is signed anew and passed on, its answer passed back, both unchanged.

The gateway has authenticated the caller and decided that the call is allowed. Nothing of the caller's signature or
credentials leaves, nothing of ours comes back. Redirects are not followed, and a request goes through one Wherry only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
import msgspec
import structlog
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import UnknownServiceError
from yarl import URL

from wherry.wire.errors import WireError
from wherry.wire.message import Request, Response
from wherry.wire.models import Service, load

MAX_ANSWER = 16 * 1024 * 1024
SECONDS = 60.0
CONNECT_SECONDS = 5.0

_PASSED_ON = ("content-type", "accept", "x-amz-target", "x-amzn-query-mode")
_PASSED_BACK = (
    "content-type",
    "x-amzn-requestid",
    "x-amz-request-id",
    "x-amzn-errortype",
    "x-amz-crc32",
    "retry-after",
)
_SIGNATURE = "x-amz-"
"""What parameters of a presigned URL begin with, in lower case."""
_PASSED_BY = "x-wherry-forwarded"
"""Marks what was passed on, so that two that forward to each other do not do so for ever."""

_log = structlog.get_logger(__name__)


class Forward(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service is, and whose name requests are signed in there; shows no credentials."""

    url: str
    region: str
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    @property
    def place(self) -> str:
        """The endpoint as callers and the log may read it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def __repr__(self) -> str:
        return f"Forward({self.place!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("place", self.place)]


class Forwarder:
    """Passes requests on; lives as long as its HTTP session."""

    def __init__(self, forwards: Mapping[str, Forward], session: aiohttp.ClientSession) -> None:
        """Take service ids, as botocore names them, with where they are."""
        self.services = frozenset(forwards)
        self._forwards = forwards
        self._session = session

    async def send(self, request: Request, service: Service) -> Response:
        """The answer of the service's endpoint; raises `WireError` (ServiceUnavailable) if there is none."""
        forward = self._forwards[service.id]
        if request.header(_PASSED_BY) is not None:
            raise WireError(
                "ServiceUnavailable", f"{service.id} is forwarded in a circle: see WHERRY_FORWARD.", status=502
            )
        signed = _signed(request, service, forward)
        try:
            async with self._session.request(
                request.method,
                URL(signed.url, encoded=True),
                data=request.body or None,
                headers={**dict(signed.headers.items()), _PASSED_BY: "1"},
                allow_redirects=False,
            ) as answer:
                return await _response(answer, service, forward)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("forward_failed", service=service.id, endpoint=forward.place, error=type(error).__name__)
            raise _unavailable(service, forward, "does not answer") from error


@asynccontextmanager
async def forwarding(forwards: Mapping[str, Forward], *, seconds: float = SECONDS) -> AsyncIterator[Forwarder]:
    """Keep connections to the endpoints open meanwhile; an answer has to be there whole after so many seconds."""
    limits = aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(timeout=limits, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Forwarder(forwards, session)


def read_places(text: str) -> dict[str, str]:
    """Read "service=URL,service=URL"; raises `ValueError` with a sentence."""
    places: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        service_id, equals, url = entry.partition("=")
        if not equals:
            raise ValueError(f"{entry!r} is no SERVICE=URL.")
        if service_id in places:
            raise ValueError(f"{service_id} is forwarded twice.")
        _check_service(service_id)
        _check_url(service_id, url)
        places[service_id] = url
    return places


def _check_service(service_id: str) -> None:
    try:
        load(service_id)
    except UnknownServiceError:
        raise ValueError(
            f"{service_id!r} is no service: write it as the AWS CLI does, such as secretsmanager."
        ) from None
    except ValueError as error:
        raise ValueError(f"{service_id} cannot be forwarded: {error}") from None


def _check_url(service_id: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not _has_host(parts):
        raise ValueError(f"The endpoint of {service_id} is no http:// or https:// URL.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"The endpoint of {service_id} takes neither credentials nor a query in its URL.")


def _has_host(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _signed(request: Request, service: Service, forward: Forward) -> Any:
    query = _query(request)
    headers = {name: value for name in _PASSED_ON if (value := request.header(name)) is not None}
    target = f"{forward.url.rstrip('/')}/{'?' if query else ''}{query}"
    outgoing = AWSRequest(method=request.method, url=target, data=request.body, headers=headers)
    credentials = Credentials(forward.access_key_id, forward.secret_access_key, forward.session_token)
    SigV4Auth(credentials, service.signing_name, forward.region).add_auth(outgoing)
    outgoing.headers["Accept-Encoding"] = "identity"
    return outgoing


def _query(request: Request) -> str:
    """The parameters that were authorized: a target has none in the query, whatever another service may read there."""
    if request.header("x-amz-target") is not None:
        return ""
    return "&".join(part for part in request.query.split("&") if part and not part.lower().startswith(_SIGNATURE))


async def _response(answer: aiohttp.ClientResponse, service: Service, forward: Forward) -> Response:
    if 300 <= answer.status < 400:
        raise _unavailable(service, forward, "answers with a redirect, which is not followed")
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > MAX_ANSWER:
            raise _unavailable(service, forward, f"answers with more than {MAX_ANSWER} bytes")
        chunks.append(chunk)
    headers = tuple((name, value) for name in _PASSED_BACK if (value := answer.headers.get(name)) is not None)
    return Response(status=answer.status, headers=headers, body=b"".join(chunks))


def _unavailable(service: Service, forward: Forward, what: str) -> WireError:
    return WireError(
        "ServiceUnavailable", f"The endpoint {forward.place} that {service.id} is forwarded to {what}.", status=502
    )
