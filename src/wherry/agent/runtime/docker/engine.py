"""The Docker Engine API as the agent uses it: aiodocker's connection, with errors in the runtime's words.

Paths and bodies are those of API 1.41, the oldest that is supported.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import aiodocker
import aiohttp

from wherry.agent.runtime.base import RuntimeUnavailableError

DEFAULT_URL = "unix:///var/run/docker.sock"

ORDINARY = aiohttp.ClientTimeout(total=240, sock_connect=5)
"""Patience for one call, in seconds; the stock agent waits 4 minutes for a create."""
UNBOUNDED = aiohttp.ClientTimeout(sock_connect=5)
"""For calls that last as long as what they watch."""

GONE = re.compile("No such container|marked for removal")
"""What the engine says when it is asked to start what is gone, or about to be."""

_NO_CONNECTION = 900  # aiodocker's status where the engine gave none


class EngineError(Exception):
    """The engine refused a call: `status` as in HTTP, `message` in its own words; status 0 if it failed on the way."""

    def __init__(self, status: int, message: str) -> None:
        """Take both from the engine's answer."""
        super().__init__(message)
        self.status = status
        self.message = message


def engine_url(environment: Mapping[str, str] = os.environ) -> str:
    """Find the engine as the docker CLI does: DOCKER_HOST, else the local socket."""
    return environment.get("DOCKER_HOST") or DEFAULT_URL


def is_local(url: str) -> bool:
    """Tell whether the engine shares this host's kernel, as far as its address can say."""
    parts = urlsplit(url)
    return parts.scheme == "unix" or parts.hostname in {"localhost", "127.0.0.1", "::1"}


class Engine(aiodocker.Docker):
    """A connection to one engine. Close it with `close`."""

    def __init__(self, url: str) -> None:
        """Make the client; nothing is sent yet. Must be called in the event loop that uses it."""
        # Any number of stops may wait at once, so there is no limit on connections.
        connector = aiohttp.UnixConnector(urlsplit(url).path, limit=0) if url.startswith("unix://") else None
        super().__init__("unix://localhost" if connector else url, connector=connector, timeout=ORDINARY)
        self._local_connector = connector

    async def close(self) -> None:
        """Close all connections."""
        await super().close()
        if self._local_connector is not None:
            await self._local_connector.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        patience: aiohttp.ClientTimeout = ORDINARY,
    ) -> Any:
        """Make one call and return its JSON. Raises `EngineError`, `RuntimeUnavailableError`."""
        with translated():
            return await self._query_json(path, method, params=_params(params), data=body, timeout=patience)

    async def info(self) -> dict[str, Any]:
        """Tell of the engine and its host; raises `RuntimeUnavailableError`."""
        try:
            info: dict[str, Any] = await self.call("GET", "info")
        except EngineError as error:
            raise RuntimeUnavailableError(error.message) from error
        return info

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        registry_auth: str | None = None,
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Make one call whose answer is a stream of JSON objects; it ends with the engine's connection."""
        headers = {"Content-Type": content_type}
        if registry_auth is not None:
            headers["X-Registry-Auth"] = registry_auth
        with translated():
            query = self._query(path, method, params=_params(params), data=body, headers=headers, timeout=UNBOUNDED)
            async with query as response:
                try:
                    yield _objects(response)
                finally:
                    response.close()

    async def progress(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        body: bytes | None = None,
        content_type: str = "application/json",
        registry_auth: str | None = None,
    ) -> None:
        """Post a call that reports progress and wait for its end. An error in the stream is an `EngineError`."""
        posted = self.stream(
            "POST", path, params=params, body=body, content_type=content_type, registry_auth=registry_auth
        )
        async with posted as messages:
            async for message in messages:
                if "error" in message:
                    raise EngineError(0, message["error"])


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client library's errors into the runtime's."""
    try:
        yield
    except aiodocker.DockerError as error:
        if error.status == _NO_CONNECTION:
            raise RuntimeUnavailableError(error.message) from error
        raise EngineError(error.status, error.message) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise RuntimeUnavailableError(f"the engine's answer broke off: {error!r}") from error


async def _objects(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    # Not line by line: the engine may put a long object, such as an image's history, into one line.
    decoder, text = json.JSONDecoder(), ""
    async for chunk in response.content.iter_any():
        text = (text + chunk.decode()).lstrip()
        while text:
            try:
                found, end = decoder.raw_decode(text)
            except ValueError:
                break
            yield found
            text = text[end:].lstrip()


def _params(params: Mapping[str, str] | None) -> dict[str, Any] | None:
    return None if params is None else dict(params)
