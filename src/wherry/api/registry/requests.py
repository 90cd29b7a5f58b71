"""What a client of the distribution specification asks for. Pure.

Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#endpoints
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import unquote

import msgspec

Kind = Literal["manifests", "blobs", "uploads", "tags"]

_PATHS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("uploads", re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<reference>[A-Za-z0-9_-]*)")),
    ("blobs", re.compile(r"/v2/(?P<name>.+)/blobs/(?P<reference>[a-z0-9]+:[0-9a-f]+)")),
    ("manifests", re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")),
    ("tags", re.compile(r"/v2/(?P<name>.+)/tags/(?P<reference>list)")),
)

_OPERATIONS: dict[tuple[Kind, str], str] = {
    ("manifests", "GET"): "BatchGetImage",
    ("manifests", "HEAD"): "BatchGetImage",
    ("manifests", "PUT"): "PutImage",
    ("blobs", "GET"): "GetDownloadUrlForLayer",
    ("blobs", "HEAD"): "BatchCheckLayerAvailability",
    ("uploads", "POST"): "InitiateLayerUpload",
    ("uploads", "GET"): "UploadLayerPart",
    ("uploads", "PATCH"): "UploadLayerPart",
    ("uploads", "DELETE"): "UploadLayerPart",
    ("uploads", "PUT"): "CompleteLayerUpload",
    ("tags", "GET"): "ListImages",
}
"""What each request is in the words of ECR, whose permissions it needs. Nothing is deleted by this way, as on AWS."""


class Wanted(msgspec.Struct, frozen=True):
    """A part of a repository: `reference` is a tag or digest, the id of an upload, or nothing. `query` is raw."""

    kind: Kind
    repository: str
    reference: str
    operation: str
    query: str = ""

    @property
    def begins_a_push(self) -> bool:
        """Whether it is the first that a client who pushes asks of a repository."""
        return self.operation in {"InitiateLayerUpload", "PutImage"}

    @property
    def target(self) -> str:
        """The path and query of the registry behind."""
        kind = "blobs/uploads" if self.kind == "uploads" else self.kind
        path = f"/v2/{self.repository}/{kind}/{self.reference}"
        return f"{path}?{self.query}" if self.query else path


def understand(method: str, path: str, query: str) -> Wanted | None:
    """Read a request; None for what a registry of ECR does not do. `path` and `query` are percent-encoded."""
    for kind, pattern in _PATHS:
        found = pattern.fullmatch(unquote(path))
        if found is not None:
            operation = _OPERATIONS.get((kind, method))
            return None if operation is None else Wanted(kind, found["name"], found["reference"], operation, query)
    return None
