"""Images: listed, described, read, put and deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wherry.api.context import Context
from wherry.api.ecr import changes, lookup
from wherry.api.registry.content import ContentUnavailableError
from wherry.model.call import Call
from wherry.model.ecr import manifest as manifests
from wherry.model.ecr import names
from wherry.model.ecr.errors import (
    ImageAlreadyExistsException,
    ImageDigestDoesNotMatchException,
    ImageNotFoundException,
)
from wherry.model.ecr.repository import Image, ImageTag, by_digest
from wherry.model.errors import InvalidParameterException, ServerException
from wherry.store import Tx


async def list_images(ctx: Context, call: Call) -> dict[str, Any]:
    """ListImages: an entry for each tag, and one for each image without any."""
    params = lookup.check(call)
    window = lookup.window(params, order=tuple[str, str])
    wanted = _tag_status(params)

    def read(tx: Tx) -> list[tuple[str, str]]:
        found = _contents(tx, ctx, params)
        entries = ((image.image_digest, tag) for image, tags in found for tag in tags or [""])
        return sorted(entry for entry in entries if wanted in ("ANY", "TAGGED" if entry[1] else "UNTAGGED"))

    entries = await ctx.store.read(read)
    rest = [entry for entry in entries if window.after is None or entry > window.after]
    page, token = window.cut(rest[: window.limit], lambda entry: entry)
    return {"imageIds": [_identifier(digest, tag or None) for digest, tag in page], "nextToken": token}


async def describe_images(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeImages: those that are named, or all, with their tags and sizes."""
    params = lookup.check(call)
    asked = params.get("imageIds")
    if asked and (params.get("nextToken") or params.get("maxResults") or params.get("filter")):
        raise InvalidParameterException("nextToken, maxResults and filter cannot be used together with imageIds.")
    window, wanted = lookup.window(params), _tag_status(params)

    def read(tx: Tx) -> list[tuple[Image, list[str]]]:
        found = _contents(tx, ctx, params)
        if not asked:
            return [one for one in found if wanted in ("ANY", "TAGGED" if one[1] else "UNTAGGED")]
        digests = {_required(tx, params, one, ctx.scope.account_id).image_digest for one in asked}
        return [one for one in found if one[0].image_digest in digests]

    found = await ctx.store.read(read)
    if asked:
        return {"imageDetails": [_detail(ctx, image, tags) for image, tags in found]}
    rest = [one for one in found if window.after is None or (one[0].image_digest,) > window.after]
    page, token = window.cut(rest[: window.limit], lambda one: (one[0].image_digest,))
    return {"imageDetails": [_detail(ctx, image, tags) for image, tags in page], "nextToken": token}


async def batch_get_image(ctx: Context, call: Call) -> dict[str, Any]:
    """BatchGetImage: the manifests of images."""
    params = lookup.check(call)
    content, accepted = lookup.content(ctx), params.get("acceptedMediaTypes")
    images, failures = [], []
    for asked in params["imageIds"]:
        failure = _malformed(asked)
        found = None if failure else await ctx.store.read(_find, ctx, params, asked)
        text = None
        if found is not None and (not accepted or found.media_type in accepted):
            try:
                text = await content.manifest(found.repository_name, found.image_digest)
            except ContentUnavailableError as error:
                raise ServerException("The registry does not answer. Try again in a moment.") from error
        if found is None or text is None:
            failures.append(failure or _failure(asked, "ImageNotFound", "Requested image not found"))
            continue
        images.append(_image(ctx, found, text.decode(), asked.get("imageTag")))
    return {"images": images, "failures": failures}


async def put_image(ctx: Context, call: Call) -> dict[str, Any]:
    """PutImage: a manifest whose layers have been pushed, such as that of an image which gets another tag."""
    params = lookup.check(call)
    text, tag = params["imageManifest"].encode(), params.get("imageTag")
    if tag is not None:
        lookup.check_tag(tag)
    try:
        manifest = manifests.read(text, params.get("imageManifestMediaType"))
    except manifests.ManifestError as error:
        raise InvalidParameterException(
            f"Invalid parameter at 'ImageManifest' failed to satisfy constraint: '{error}'"
        ) from error
    if params.get("imageDigest") not in (None, manifest.digest):
        raise ImageDigestDoesNotMatchException(
            f"The digest {params['imageDigest']} does not match that of the image, {manifest.digest}."
        )
    name = params["repositoryName"]
    await ctx.store.read(lookup.repository, name, lookup.registry_id(ctx, params), ctx.scope.account_id)
    try:
        image = await changes.push(ctx, name, manifest, text, tag=tag)
    except changes.Unchanged:
        raise ImageAlreadyExistsException(
            f"Image with digest '{manifest.digest}' and tag '{tag}' already exists in the repository with name "
            f"'{name}' in registry with id '{ctx.scope.account_id}'"
        ) from None
    return {"image": _image(ctx, image, params["imageManifest"], tag)}


async def batch_delete_image(ctx: Context, call: Call) -> dict[str, Any]:
    """BatchDeleteImage: images by their digests, tags by their names; with its last tag an image goes."""
    params = lookup.check(call)
    content = lookup.content(ctx)
    name = params["repositoryName"]

    def delete(tx: Tx) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
        lookup.repository(tx, name, lookup.registry_id(ctx, params), ctx.scope.account_id)
        deleted: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        gone: list[str] = []
        # Lists first: what only they name may go with them.
        for asked in sorted(params["imageIds"], key=lambda one: not _is_list(tx, name, one)):
            if failure := _malformed(asked) or _undeletable(tx, name, asked):
                failures.append(failure)
            else:
                deleted += _delete(tx, name, asked, gone)
        return deleted, failures, gone

    async with content.turn:
        deleted, failures, gone = await ctx.store.write(delete)
        await changes.forget(content, name, gone)
    return {"imageIds": deleted, "failures": failures}


def _contents(tx: Tx, ctx: Context, params: Mapping[str, Any]) -> list[tuple[Image, list[str]]]:
    """Read all images of a repository with their tags, in the order of their digests."""
    name = params["repositoryName"]
    lookup.repository(tx, name, lookup.registry_id(ctx, params), ctx.scope.account_id)
    tags = by_digest(tx.find(ImageTag, repository_name=name))
    images = tx.find(Image, repository_name=name, order="image_digest")
    return [(image, tags.get(image.image_digest, [])) for image in images]


def _tag_status(params: Mapping[str, Any]) -> str:
    chosen = params.get("filter") or {}
    if chosen.get("imageStatus", "ACTIVE") not in ("ACTIVE", "ANY"):
        raise InvalidParameterException("Wherry archives no images: imageStatus is ACTIVE or ANY.")
    return str(chosen.get("tagStatus") or "ANY")


def _find(tx: Tx, ctx: Context, params: Mapping[str, Any], asked: Mapping[str, Any]) -> Image | None:
    name = params["repositoryName"]
    lookup.repository(tx, name, lookup.registry_id(ctx, params), ctx.scope.account_id)
    return lookup.image(tx, name, digest=asked.get("imageDigest"), tag=asked.get("imageTag"))


def _required(tx: Tx, params: Mapping[str, Any], asked: Mapping[str, Any], account_id: str) -> Image:
    if (failure := _malformed(asked)) is not None:
        raise InvalidParameterException(failure["failureReason"])
    name, digest, tag = params["repositoryName"], asked.get("imageDigest"), asked.get("imageTag")
    found = lookup.image(tx, name, digest=digest, tag=tag)
    if found is None:
        said = ", ".join(f"{key}:'{value}'" for key, value in (("imageDigest", digest), ("imageTag", tag)))
        raise ImageNotFoundException(
            f"The image with imageId {{{said.replace('None', 'null')}}} does not exist within the repository with name "
            f"'{name}' in the registry with id '{account_id}'"
        )
    return found


def _malformed(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    digest, tag = asked.get("imageDigest"), asked.get("imageTag")
    if digest is None and tag is None:
        return _failure(asked, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
    if digest is not None and not names.DIGEST.fullmatch(digest):
        text = "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
        return _failure(asked, "InvalidImageDigest", text)
    if tag is not None and not names.TAG.fullmatch(tag):
        return _failure(asked, "InvalidImageTag", "Invalid request parameters: the image tag is not a tag")
    return None


def _is_list(tx: Tx, name: str, asked: Mapping[str, Any]) -> bool:
    if _malformed(asked):
        return False
    found = lookup.image(tx, name, digest=asked.get("imageDigest"), tag=asked.get("imageTag"))
    return found is not None and bool(found.children)


def _undeletable(tx: Tx, name: str, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    digest, tag = asked.get("imageDigest"), asked.get("imageTag")
    found = lookup.image(tx, name, digest=digest, tag=tag)
    if found is None:
        if digest and tag and lookup.image(tx, name, tag=tag) is not None:
            return _failure(asked, "ImageTagDoesNotMatchDigest", "Requested image tag does not match the digest")
        return _failure(asked, "ImageNotFound", "Requested image not found")
    if not _goes(tx, found, asked):
        return None
    lists = [one.image_digest for one in tx.find(Image, repository_name=name) if found.image_digest in one.children]
    if lists:
        text = f"Requested image referenced by manifest list: [{', '.join(lists)}]"
        return _failure(asked, "ImageReferencedByManifestList", text)
    return None


def _goes(tx: Tx, image: Image, asked: Mapping[str, Any]) -> bool:
    """Tell whether the image itself goes, not just a tag of several."""
    tags = tx.count(ImageTag, repository_name=image.repository_name, image_digest=image.image_digest)
    return asked.get("imageTag") is None or tags == 1


def _delete(tx: Tx, name: str, asked: Mapping[str, Any], gone: list[str]) -> Iterable[dict[str, Any]]:
    found = lookup.image(tx, name, digest=asked.get("imageDigest"), tag=asked.get("imageTag"))
    if found is None:
        return
    tags = tx.find(ImageTag, repository_name=name, image_digest=found.image_digest, order="tag")
    if _goes(tx, found, asked):
        tx.delete(found)
        gone.append(found.image_digest)
    else:
        tags = [tag for tag in tags if tag.tag == asked["imageTag"]]
    for tag in tags:
        tx.delete(tag)
        yield _identifier(found.image_digest, tag.tag)
    if not tags:
        yield _identifier(found.image_digest, None)


def _identifier(digest: str, tag: str | None) -> dict[str, Any]:
    return {"imageDigest": digest, "imageTag": tag}


def _failure(asked: Mapping[str, Any], code: str, reason: str) -> dict[str, Any]:
    return {"imageId": dict(asked), "failureCode": code, "failureReason": reason}


def _image(ctx: Context, image: Image, text: str, tag: str | None) -> dict[str, Any]:
    return {
        "registryId": ctx.scope.account_id,
        "repositoryName": image.repository_name,
        "imageId": _identifier(image.image_digest, tag),
        "imageManifest": text,
        "imageManifestMediaType": image.media_type,
    }


def _detail(ctx: Context, image: Image, tags: list[str]) -> dict[str, Any]:
    return {
        "registryId": ctx.scope.account_id,
        "repositoryName": image.repository_name,
        "imageDigest": image.image_digest,
        "imageTags": tags or None,
        "imageSizeInBytes": image.size,
        "imagePushedAt": image.pushed_at,
        "imageManifestMediaType": image.media_type,
        "artifactMediaType": image.artifact_media_type,
        "imageStatus": "ACTIVE",
    }
