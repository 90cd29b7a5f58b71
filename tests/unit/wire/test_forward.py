"""Forwarding against a small HTTP server: what goes out, what comes back, and what does not."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
from aiohttp import web

from wherry.wire import sigv4
from wherry.wire.errors import WireError
from wherry.wire.forward import MAX_ANSWER, Forward, forwarding, read_places
from wherry.wire.message import Request
from wherry.wire.models import load
from wherry.wire.sigv4 import canonical_request

pytestmark = pytest.mark.anyio

BODY = b'{"SecretId":"prod/db"}'
ASKED = Request(
    method="POST",
    path="/",
    headers=(
        ("host", "127.0.0.1:4566"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "secretsmanager.GetSecretValue"),
        ("authorization", "AWS4-HMAC-SHA256 Credential=AKIACALLER/20261126/us-east-1/secretsmanager/aws4_request, ..."),
        ("x-amz-date", "20261126T000000Z"),
        ("x-amz-security-token", "the caller's token"),
        ("x-amz-content-sha256", "0" * 64),
        ("cookie", "a=b"),
        ("x-forwarded-for", "10.0.0.1"),
    ),
    body=BODY,
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(answer: Any) -> AsyncIterator[tuple[str, list[Any]]]:
    """Serve HTTP; yields the URL and what is asked for, as (method, path and query, headers, body)."""
    asked: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked.append((request.method, request.path_qs, headers, await request.read()))
        return await answer(request) if callable(answer) else answer

    server = web.Server(handle)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


def a_forward(url: str, **changes: Any) -> Forward:
    return Forward(
        **{
            "url": url,
            "region": "eu-west-1",
            "access_key_id": "AKIAFORWARD",
            "secret_access_key": "forward-secret",
            "session_token": "forward-token",
        }
        | changes
    )


async def send(url: str, request: Request = ASKED, service: str = "secretsmanager", **limits: float) -> Any:
    async with forwarding({service: a_forward(url)}, **limits) as forwarder:
        return await forwarder.send(request, load(service))


async def refusal(url: str, request: Request = ASKED, **limits: float) -> str:
    with pytest.raises(WireError) as caught:
        await send(url, request, **limits)
    assert (caught.value.code, caught.value.status) == ("ServiceUnavailable", 502)
    for secret in ("forward-secret", "forward-token", "AKIAFORWARD"):
        assert secret not in caught.value.message
    return caught.value.message


async def test_body_and_answer_are_passed_on_unchanged() -> None:
    answer = web.Response(
        status=400,
        body=b'{"__type":"ResourceNotFoundException"}',
        headers={"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "r1", "Set-Cookie": "a=b"},
    )
    async with serving(answer) as (url, asked):
        response = await send(url)
    [(method, path, headers, body)] = asked
    assert (method, path, body) == ("POST", "/", BODY)
    assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert response.status == 400
    assert response.body == b'{"__type":"ResourceNotFoundException"}'
    assert dict(response.headers) == {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": "r1"}


async def test_the_request_is_signed_anew_and_nothing_of_the_caller_leaves() -> None:
    async with serving(web.Response(body=b"{}")) as (url, asked):
        await send(url)
    [(_, _, headers, _)] = asked
    sent = Request(method="POST", path="/", headers=tuple(headers.items()), body=BODY)
    claim = sigv4.read(sent)
    assert (claim.access_key_id, claim.region, claim.service) == ("AKIAFORWARD", "eu-west-1", "secretsmanager")
    assert sent.header("x-amz-security-token") == "forward-token"
    assert {"host", "x-amz-date", "x-amz-target"} <= set(claim.signed_headers)
    payload = hashlib.sha256(BODY).hexdigest()
    assert claim.signature == signature(claim, canonical_request(sent, claim.signed_headers, payload))
    for foreign in ("AKIACALLER", "the caller's token", "20261126T000000Z", "a=b", "10.0.0.1", "127.0.0.1:4566"):
        assert foreign not in str(headers)


def signature(claim: sigv4.Claim, canonical: str) -> str:
    """Compute what the endpoint would."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"{sigv4.ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{digest}"
    key = b"AWS4forward-secret"
    for part in (claim.date, claim.region, claim.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


async def test_the_signature_of_a_presigned_url_stays_behind() -> None:
    query = "Action=ListQueues&X-Amz-Signature=abc&X-Amz-Credential=AKIACALLER&Version=2012-11-05"
    async with serving(web.Response(body=b"<x/>")) as (url, asked):
        await send(f"{url}/below/", Request(method="GET", path="/", query=query), "sqs")
    [(method, path, _, _)] = asked
    assert (method, path) == ("GET", "/below/?Action=ListQueues&Version=2012-11-05")


async def test_the_query_of_a_request_with_a_target_stays_behind() -> None:
    async with serving(web.Response(body=b"{}")) as (url, asked):
        await send(url, msgspec.structs.replace(ASKED, query="Action=DeleteQueue&Version=2012-11-05"))
    assert [path for _, path, _, _ in asked] == ["/"]


async def test_a_redirect_is_not_followed() -> None:
    async with serving(web.Response(status=200)) as (elsewhere, asked):
        moved = web.Response(status=307, headers={"Location": elsewhere})
        async with serving(moved) as (url, _):
            assert "redirect" in await refusal(url)
    assert asked == []


async def test_an_answer_without_end_is_cut_off() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(MAX_ANSWER // 2**20 + 8):
            await response.write(bytes(2**20))
        return response

    async with serving(endless) as (url, _):
        assert f"more than {MAX_ANSWER} bytes" in await refusal(url)


async def test_a_dead_endpoint_is_said_to_be_dead() -> None:
    async with serving(web.Response()) as (url, _):
        pass
    message = await refusal(url)
    assert message == f"The endpoint {url} that secretsmanager is forwarded to does not answer."


async def test_an_endpoint_that_does_not_answer_in_time_is_given_up() -> None:
    async def sleepy(_: web.Request) -> web.StreamResponse:
        await anyio.sleep(0.5)
        return web.Response()

    async with serving(sleepy) as (url, _):
        assert "does not answer" in await refusal(url, seconds=0.05)


async def test_two_that_forward_to_each_other_do_so_once() -> None:
    async with serving(web.Response()) as (url, asked):
        await send(url)
        [(_, _, headers, _)] = asked
        again = tuple(headers.items())
        assert "in a circle" in await refusal(url, Request(method="POST", path="/", headers=again, body=BODY))


def test_a_forward_shows_no_credentials() -> None:
    shown = repr(a_forward("https://aws.example/path")) + str(a_forward("https://aws.example").__rich_repr__())
    assert "https://aws.example" in shown
    assert "forward-" not in shown
    assert "AKIAFORWARD" not in shown


def test_places_are_read() -> None:
    text = " secretsmanager=https://secretsmanager.eu-west-1.amazonaws.com, sqs=http://[::1]:4510/x ,"
    assert read_places(text) == {
        "secretsmanager": "https://secretsmanager.eu-west-1.amazonaws.com",
        "sqs": "http://[::1]:4510/x",
    }
    assert read_places("") == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("secretsmanager", "is no SERVICE=URL"),
        ("nonsense=http://a", "is no service"),
        ("s3=http://a", "cannot be forwarded: s3 speaks rest-xml"),
        ("ssm=ftp://a", "is no http:// or https:// URL"),
        ("ssm=http://", "is no http:// or https:// URL"),
        ("ssm=http://a:x", "is no http:// or https:// URL"),
        ("ssm=http://user:password@a", "takes neither credentials nor a query"),
        ("ssm=http://a?b=c", "takes neither credentials nor a query"),
        ("ssm=http://a,ssm=http://b", "forwarded twice"),
    ],
)
def test_a_place_that_cannot_be_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as caught:
        read_places(text)
    assert sentence in str(caught.value)
    assert "password" not in str(caught.value)
