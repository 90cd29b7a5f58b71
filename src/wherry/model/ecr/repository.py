"""Repositories, the images in them, and the tags of these.

The registry keeps manifests and layers by their digests alone. Which tag means which digest is said here.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal

from wherry.model.base import Entity, Tag

Mutability = Literal["MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"]


class Repository(Entity, frozen=True):
    """A repository. Key: `repository_name`.

    `exclusions` are patterns of tags, with `*`, to which the opposite of `image_tag_mutability` applies.
    """

    repository_name: str
    created_at: float
    image_tag_mutability: Mutability = "MUTABLE"
    exclusions: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()

    def lets_move(self, tag: str) -> bool:
        """Tell whether a tag may come to mean another image."""
        excluded = any(fnmatchcase(tag, pattern) for pattern in self.exclusions)
        return self.image_tag_mutability.startswith("MUTABLE") != excluded


class Image(Entity, frozen=True):
    """An image, or a list of images for several platforms. Key: `key` = "repository@digest".

    `size` in bytes: of its layers and configuration, of a list the largest image in it. `children` are the digests
    that a list names.
    """

    key: str
    repository_name: str
    image_digest: str
    media_type: str
    size: int
    pushed_at: float
    artifact_media_type: str | None = None
    children: tuple[str, ...] = ()


class ImageTag(Entity, frozen=True):
    """A tag, and the image that it means. Key: `key` = "repository:tag"."""

    key: str
    repository_name: str
    tag: str
    image_digest: str


def image_key(repository_name: str, digest: str) -> str:
    """Return the key of an image."""
    return f"{repository_name}@{digest}"


def tag_key(repository_name: str, tag: str) -> str:
    """Return the key of a tag."""
    return f"{repository_name}:{tag}"


def by_digest(tags: Iterable[ImageTag]) -> dict[str, list[str]]:
    """Collect the tags of each image, sorted."""
    found: dict[str, list[str]] = {}
    for tag in tags:
        found.setdefault(tag.image_digest, []).append(tag.tag)
    return {digest: sorted(names) for digest, names in found.items()}
