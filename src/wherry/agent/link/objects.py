"""Objects in S3, or in what speaks its language: path-style GETs, signed (Signature Version 4). Needs asyncio."""

from __future__ import annotations

from typing import Protocol, Self
from urllib.parse import quote, urlsplit

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from wherry.agent.link.base import AccessKey, UnreachableError

ANSWER_TIMEOUT = 60.0
LARGEST = 1024 * 1024
"""Bytes of an object that is read: what a program can be given as its environment is less."""


class ObjectError(Exception):
    """An object that cannot be had; the text says why."""


class ObjectStore(Protocol):
    """Where objects are."""

    async def read(self, arn: str, signer: AccessKey | None) -> bytes:
        """Read the object that an ARN names, `arn:aws:s3:::BUCKET/KEY`. Raises `ObjectError`, `UnreachableError`."""
        ...


class S3:
    """The objects at an S3 endpoint; an async context manager. See `ObjectStore`."""

    def __init__(self, url: str, *, region: str, own_key: AccessKey | None = None) -> None:
        """Read from `url`; `own_key` signs, where the endpoint does not know the roles of tasks."""
        self._url = url.rstrip("/")
        self._region = region
        self._own_key = own_key

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection pool."""
        await self._session.close()

    async def read(self, arn: str, signer: AccessKey | None) -> bytes:
        """Read an object."""
        bucket, _, key = arn.split(":", 5)[5].partition("/")
        url = f"{self._url}/{quote(bucket)}/{quote(key)}"
        try:
            # A redirect would take what is signed for this place to another.
            async with self._session.get(url, headers=self._sign(url, signer), allow_redirects=False) as response:
                content = await _content(response)
                if response.status >= 500:
                    raise UnreachableError(f"{self._url}: HTTP {response.status}")
                if response.status != 200:
                    raise ObjectError(f"{self._url} answered HTTP {response.status} {response.reason or ''}".rstrip())
                return content
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{self._url}: {error or type(error).__name__}") from error

    def _sign(self, url: str, signer: AccessKey | None) -> dict[str, str]:
        key = self._own_key or signer
        if key is None:
            raise ObjectError("the task has no execution role to read it with")
        request = AWSRequest(method="GET", url=url, headers={"Host": urlsplit(url).netloc})
        credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
        S3SigV4Auth(credentials, "s3", self._region).add_auth(request)
        return {name: value for name, value in request.headers.items() if name != "Host"}


async def _content(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > LARGEST:
            raise ObjectError(f"it is larger than {LARGEST} bytes")
    return bytes(content)
