"""A registry of the distribution specification, reached by a socket in the file system. Needs asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp
import anyio
import msgspec
from yarl import URL

from wherry.api.registry.content import Answer, ContentUnavailableError, MissingLayersError
from wherry.model.ecr.manifest import KINDS

PATIENCE = aiohttp.ClientTimeout(sock_connect=5, sock_read=300)
"""A layer may take as long as it takes, but not stand still."""

_ORIGIN = "http://registry"
_ACCEPT = {"accept": ", ".join(KINDS)}
"""Whoever does not name what it takes is given no list of images."""


class Distribution:
    """The client of a registry that listens on `socket`; an async context manager. See `content.Content`."""

    def __init__(self, socket: Path, *, garbage: Path) -> None:
        """Speak by `socket`; `garbage` is a file that tells the next start that something was removed."""
        self.turn = anyio.Lock()
        self._socket = socket
        self._garbage = garbage

    async def __aenter__(self) -> Self:
        """Make the client; nothing is sent yet."""
        connector = aiohttp.UnixConnector(str(self._socket), limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=PATIENCE, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self._session.close()

    async def answers(self) -> bool:
        """Tell whether the registry is there."""
        try:
            async with self.pass_on("GET", "/v2/", {}, None) as answer:
                return answer.status == 200
        except ContentUnavailableError:
            return False

    async def put_manifest(self, repository: str, digest: str, text: bytes, media_type: str) -> None:
        """Keep a manifest; raises `MissingLayersError`."""
        target = _manifest(repository, digest)
        async with self.pass_on("PUT", target, {"content-type": media_type}, _once(text)) as answer:
            if answer.status == 201:
                return
            said = await _read(answer)
        if 400 <= answer.status < 500:
            raise MissingLayersError(_sentence(said))
        raise ContentUnavailableError(f"HTTP {answer.status}")

    async def manifest(self, repository: str, digest: str) -> bytes | None:
        """Read a manifest; None if it is not there."""
        async with self.pass_on("GET", _manifest(repository, digest), _ACCEPT, None) as answer:
            text = await _read(answer)
        if answer.status == 200:
            return text
        if answer.status == 404:
            return None
        raise ContentUnavailableError(f"HTTP {answer.status}")

    async def remove_manifest(self, repository: str, digest: str) -> None:
        """Forget a manifest; what belonged to it alone goes when the registry is next started."""
        await anyio.Path(self._garbage).touch()
        async with self.pass_on("DELETE", _manifest(repository, digest), {}, None) as answer:
            if answer.status not in {202, 404}:
                raise ContentUnavailableError(f"HTTP {answer.status}")

    @asynccontextmanager
    async def pass_on(
        self, method: str, target: str, headers: Mapping[str, str], body: AsyncIterator[bytes] | None
    ) -> AsyncIterator[Answer]:
        """Carry out a request for layers; `target` is its path with the query, as on the wire."""
        url = URL(f"{_ORIGIN}{target}", encoded=True)
        try:
            request = self._session.request(method, url, headers=headers, data=body, allow_redirects=False)
            async with request as response:
                yield Answer(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=_pieces(response),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ContentUnavailableError(str(error) or type(error).__name__) from error


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for piece in response.content.iter_any():
            yield piece
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ContentUnavailableError(str(error) or type(error).__name__) from error


def _manifest(repository: str, digest: str) -> str:
    return f"/v2/{repository}/manifests/{digest}"


async def _once(text: bytes) -> AsyncIterator[bytes]:
    yield text


async def _read(answer: Answer) -> bytes:
    return b"".join([piece async for piece in answer.body])


def _sentence(said: bytes) -> str:
    """Read what a registry says of an error: its code, and the digest that it is about."""
    try:
        errors = msgspec.json.decode(said)["errors"]
        return "; ".join(f"{error['code']}: {error.get('detail') or error.get('message')}" for error in errors)
    except (msgspec.MsgspecError, KeyError, TypeError):
        return "the registry does not take it"
