"""A registry's content in memory, and small images for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from wherry.api.registry.content import Answer, ContentUnavailableError, MissingLayersError
from wherry.model.ecr.manifest import DOCKER, OCI_INDEX

LAYER = b"a layer"
CONFIG = b"{}"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def a_manifest(*layers: bytes, config: bytes = CONFIG) -> bytes:
    """Write an image's manifest."""
    parts = [{"mediaType": "layer", "digest": digest_of(layer), "size": len(layer)} for layer in layers or (LAYER,)]
    configuration = {"mediaType": "config", "digest": digest_of(config), "size": len(config)}
    document = {"schemaVersion": 2, "mediaType": DOCKER, "config": configuration, "layers": parts}
    return json.dumps(document).encode()


def an_index(*manifests: bytes) -> bytes:
    """Write a list of images."""
    parts = [{"mediaType": DOCKER, "digest": digest_of(one), "size": len(one)} for one in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": parts}).encode()


class MemoryContent:
    """Keeps manifests; has every layer but those in `missing`. `away` lets it be unavailable."""

    def __init__(self) -> None:
        self.turn = anyio.Lock()
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.missing: set[str] = set()
        self.away = False
        self.media_type: str | None = None
        """What the last body that passed through was said to be."""

    async def put_manifest(self, repository: str, digest: str, text: bytes, media_type: str) -> None:
        assert media_type
        self._reach()
        for digest_of_layer in self.missing:
            if digest_of_layer.encode() in text:
                raise MissingLayersError(digest_of_layer)
        self.manifests[repository, digest] = text

    async def manifest(self, repository: str, digest: str) -> bytes | None:
        self._reach()
        return self.manifests.get((repository, digest))

    async def remove_manifest(self, repository: str, digest: str) -> None:
        self._reach()
        self.manifests.pop((repository, digest), None)

    @asynccontextmanager
    async def pass_on(self, method, target, headers, body) -> AsyncIterator[Answer]:
        self._reach()
        assert "authorization" not in headers
        self.media_type = headers.get("content-type")
        sent = b"".join([piece async for piece in body]) if body is not None else b""

        async def pieces():
            yield f"{method} {target} {len(sent)}".encode()

        yield Answer(status=200, headers={"x-hidden": "1", "docker-upload-uuid": "u"}, body=pieces())

    def _reach(self) -> None:
        if self.away:
            raise ContentUnavailableError("away")
