"""Files of variables: how a line is read, and which of several wins."""

from __future__ import annotations

import pytest
from aiohttp import web

from wherry.agent.link.base import AccessKey, UnreachableError
from wherry.agent.link.objects import LARGEST, S3, ObjectError
from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.spec import ContainerSpec, TaskSpec
from wherry.agent.supplies.environment_files import fetch, given, variables

KEY = AccessKey(access_key_id="ASIAROLE", secret_access_key="secret", session_token="token")
ARN = "arn:aws:s3:::bucket/folder/app one.env"


def a_task(*arns: str, **environment: str) -> TaskSpec:
    container = ContainerSpec(name="app", image="app", environment_files=arns, environment=environment)
    return TaskSpec(arn="arn", cluster="c", family="f", version="1", containers=(container,))


def test_a_line_is_split_at_its_first_equals_sign() -> None:
    text = b"# comment=1\nA=1\nB=x=y=z\n\nC\nD=\n=E\n  F = spaced \nA=2\n#G=7\r\nH=8\r\n"
    assert variables(text) == {"A": "1", "B": "x=y=z", "  F ": " spaced ", "H": "8"}


def test_only_a_line_feed_ends_a_line() -> None:
    text = "A=one\u2028two\nB=form\x0cfeed\x85\nC=a\rb\r\n".encode()
    assert variables(text) == {"A": "one\u2028two", "B": "form\x0cfeed\x85", "C": "a\rb"}


def test_what_is_no_text_is_an_error() -> None:
    with pytest.raises(ObjectError, match="UTF-8"):
        variables(b"A=\xff")


def test_the_first_file_wins_and_environment_over_all_of_them() -> None:
    container = a_task("one", "two", C="environment").containers[0]
    files = {"one": {"A": "one", "C": "one"}, "two": {"A": "two", "B": "two"}}
    assert given(container, files).environment == {"A": "one", "B": "two", "C": "environment"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Bucket:
    """An S3 endpoint with one object."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body
        self.requests: list[web.Request] = []

    async def __aenter__(self) -> str:
        async def answer(request: web.Request) -> web.Response:
            self.requests.append(request)
            return web.Response(status=self.status, body=self.body)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


@pytest.mark.anyio
async def test_a_file_is_read_by_a_path_style_get_that_the_execution_role_signs() -> None:
    bucket = Bucket(200, b"A=1\n")
    async with bucket as url, S3(url, region="eu-west-1") as store:
        assert await fetch(a_task(ARN), store, KEY) == {ARN: {"A": "1"}}
    (request,) = bucket.requests
    assert (request.method, request.raw_path) == ("GET", "/bucket/folder/app%20one.env")
    signed = request.headers["Authorization"]
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=ASIAROLE/")
    assert (
        "/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token" in signed
    )
    assert request.headers["X-Amz-Security-Token"] == "token"


@pytest.mark.anyio
async def test_a_key_of_the_store_itself_signs_where_there_is_one() -> None:
    bucket = Bucket(200, b"")
    own = AccessKey(access_key_id="MINIO", secret_access_key="secret")
    async with bucket as url, S3(url, region="eu-west-1", own_key=own) as store:
        await fetch(a_task(ARN), store, None)
    assert "Credential=MINIO/" in bucket.requests[0].headers["Authorization"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, b"", "answered HTTP 404 Not Found"),
        (403, b"", "answered HTTP 403 Forbidden"),
        (200, b"x" * (LARGEST + 1), "it is larger than"),
    ],
)
async def test_a_file_that_cannot_be_had_is_a_fault(status: int, body: bytes, reason: str) -> None:
    async with Bucket(status, body) as url, S3(url, region="eu-west-1") as store:
        with pytest.raises(RuntimeFault) as failed:
            await fetch(a_task(ARN), store, KEY)
    assert str(failed.value).startswith(f"ResourceInitializationError: failed to download env files: {ARN}: ")
    assert reason in str(failed.value)


@pytest.mark.anyio
async def test_a_store_in_trouble_is_asked_again() -> None:
    async with Bucket(503, b"") as url, S3(url, region="eu-west-1") as store:
        with pytest.raises(UnreachableError, match="HTTP 503"):
            await fetch(a_task(ARN), store, KEY)


@pytest.mark.anyio
async def test_without_a_role_or_a_store_there_is_nothing_to_read_it_with() -> None:
    with pytest.raises(RuntimeFault, match="set WHERRY_S3_ENDPOINT_URL"):
        await fetch(a_task(ARN), None, KEY)
    async with Bucket(200, b"") as url, S3(url, region="eu-west-1") as store:
        with pytest.raises(RuntimeFault, match="no execution role"):
            await fetch(a_task(ARN), store, None)
