"""What comes into a repository and what goes: rows and content change together, whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from msgspec import structs

from wherry.api.context import Context
from wherry.api.ecr import lookup
from wherry.api.registry.content import Content, ContentUnavailableError, MissingLayersError
from wherry.model.ecr.errors import LayersNotFoundException, tag_is_immutable
from wherry.model.ecr.manifest import Manifest
from wherry.model.ecr.repository import Image, ImageTag, Repository, image_key, tag_key
from wherry.model.errors import ServerException
from wherry.store import Tx

log = structlog.get_logger()


class Unchanged(Exception):  # noqa: N818 - no error: what is to be there is there
    """The image is there already, under that tag if one was given."""


async def push(ctx: Context, name: str, manifest: Manifest, text: bytes, *, tag: str | None) -> Image:
    """Keep an image whose layers are there, and let the tag mean it. Raises `Unchanged` and errors of ECR."""
    content = lookup.content(ctx)
    account = ctx.scope.account_id
    async with content.turn:
        size = await ctx.store.read(_check, name, manifest, tag=tag, account_id=account)
        await _keep(content, name, manifest, text)
        image = Image(
            key=image_key(name, manifest.digest),
            repository_name=name,
            image_digest=manifest.digest,
            media_type=manifest.media_type,
            artifact_media_type=manifest.artifact_media_type,
            size=size,
            children=manifest.children,
            pushed_at=ctx.clock(),
        )
        return await ctx.store.write(_push, image, tag=tag, account_id=account)


async def forget(content: Content, name: str, digests: Iterable[str]) -> None:
    """Remove what no row names any more. What cannot be removed now stays on the disk and harms nobody."""
    for digest in digests:
        try:
            await content.remove_manifest(name, digest)
        except ContentUnavailableError as error:
            log.warning("image_content_stays", repository=name, digest=digest, error=str(error))


async def _keep(content: Content, name: str, manifest: Manifest, text: bytes) -> None:
    try:
        await content.put_manifest(name, manifest.digest, text, manifest.media_type)
    except MissingLayersError as error:
        raise LayersNotFoundException(
            f"Layers of the image do not exist in the '{name}' repository: {error}"
        ) from error
    except ContentUnavailableError as error:
        raise ServerException("The registry does not answer. Try again in a moment.") from error


def _check(tx: Tx, name: str, manifest: Manifest, *, tag: str | None, account_id: str) -> int:
    """Refuse what could not be kept before anything is; returns the size of the image."""
    repository = lookup.repository(tx, name, account_id, account_id)
    _check_tag(tx, repository, manifest.digest, tag)
    sizes = [manifest.size]
    for digest in manifest.children:
        child = tx.get(Image, image_key(name, digest))
        if child is None:
            raise LayersNotFoundException(f"The image {digest} of the list does not exist in the '{name}' repository.")
        sizes.append(child.size)
    return max(sizes)


def _check_tag(tx: Tx, repository: Repository, digest: str, tag: str | None) -> None:
    tagged = tx.get(ImageTag, tag_key(repository.repository_name, tag)) if tag is not None else None
    if tagged is not None and tagged.image_digest != digest and not repository.lets_move(tagged.tag):
        raise tag_is_immutable(repository.repository_name, tagged.tag)


def _push(tx: Tx, image: Image, *, tag: str | None, account_id: str) -> Image:
    name = image.repository_name
    _check_tag(tx, lookup.repository(tx, name, account_id, account_id), image.image_digest, tag)
    known = tx.get(Image, image.key)
    tagged = tx.get(ImageTag, tag_key(name, tag)) if tag is not None else None
    if known is not None and (tag is None or (tagged is not None and tagged.image_digest == image.image_digest)):
        raise Unchanged
    if tag is not None:
        wanted = tagged or ImageTag(key=tag_key(name, tag), repository_name=name, tag=tag, image_digest="")
        tx.put(structs.replace(wanted, image_digest=image.image_digest))
    return known or tx.put(image)
