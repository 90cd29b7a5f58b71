"""Where manifests and layers are: the seam between what ECR knows of images and the registry that keeps them.

Everything in there is found by its digest. Tags are rows of the store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import anyio
import msgspec


class MissingLayersError(Exception):
    """A manifest names layers that have not been uploaded; the text says which."""


class ContentUnavailableError(Exception):
    """The registry does not answer: it is being started again."""


class Answer(msgspec.Struct, frozen=True):
    """The head of the registry's answer and its body, in pieces. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


class Content(Protocol):
    """The registry behind the front. All methods raise `ContentUnavailableError`.

    Who changes manifests together with rows holds the `turn` meanwhile.
    """

    turn: anyio.Lock

    async def put_manifest(self, repository: str, digest: str, text: bytes, media_type: str) -> None:
        """Keep a manifest; raises `MissingLayersError`."""
        ...

    async def manifest(self, repository: str, digest: str) -> bytes | None:
        """Read a manifest; None if it is not there."""
        ...

    async def remove_manifest(self, repository: str, digest: str) -> None:
        """Forget a manifest; what belonged to it alone goes when the registry is next started."""
        ...

    def pass_on(
        self, method: str, target: str, headers: Mapping[str, str], body: AsyncIterator[bytes] | None
    ) -> AbstractAsyncContextManager[Answer]:
        """Carry out a request for layers; `target` is its path with the query, as on the wire."""
        ...
