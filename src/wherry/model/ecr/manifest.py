"""What a manifest says: of which kind it is, what belongs to it, and how large that is.

Sources: https://github.com/opencontainers/image-spec and Docker's image manifest, version 2, schema 2.
"""

from __future__ import annotations

import hashlib

import msgspec

from wherry.model.base import Value

MAX_BYTES = 4 * 1024 * 1024
"""A larger manifest is no manifest: so it is with ECR, and with registries."""

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
KINDS = (DOCKER, DOCKER_LIST, OCI, OCI_INDEX)
"""What is taken. Docker's schema 1 is not: nobody has pushed it since 2017."""


class ManifestError(ValueError):
    """Not a manifest that is taken; the text says why."""


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    size: int = 0
    media_type: str = ""


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int
    media_type: str = ""
    config: _Descriptor | None = None
    layers: tuple[_Descriptor, ...] = ()
    manifests: tuple[_Descriptor, ...] = ()


class Manifest(Value, frozen=True):
    """A manifest that was read. `size` in bytes is 0 for a list, whose `children` have one each."""

    digest: str
    media_type: str
    size: int
    artifact_media_type: str | None
    children: tuple[str, ...]


def digest_of(text: bytes) -> str:
    """Return the digest under which a registry knows a manifest."""
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def read(text: bytes, media_type: str | None) -> Manifest:
    """Read a manifest; `media_type` is what its sender calls it, if anything. Raises `ManifestError`."""
    if len(text) > MAX_BYTES:
        raise ManifestError(f"A manifest has at most {MAX_BYTES} bytes.")
    try:
        document = msgspec.json.decode(text, type=_Document)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ManifestError(f"The manifest cannot be read: {error}") from error
    kind = media_type or document.media_type or _guess(document)
    if kind not in KINDS or document.schema_version != 2:
        raise ManifestError(f"Manifests of the type {kind!r} are not taken. Push one of {', '.join(KINDS)}.")
    if document.media_type not in ("", kind):
        raise ManifestError(f"The manifest says that it is {document.media_type!r}, its sender {kind!r}.")
    parts = document.layers if document.config is None else (document.config, *document.layers)
    return Manifest(
        digest=digest_of(text),
        media_type=kind,
        size=sum(part.size for part in parts),
        artifact_media_type=document.config.media_type if document.config is not None else None,
        children=tuple(child.digest for child in document.manifests),
    )


def _guess(document: _Document) -> str:
    return OCI_INDEX if document.manifests else OCI
