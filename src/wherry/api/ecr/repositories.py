"""Repositories: made, described, changed and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import structs

from wherry.api.context import Context
from wherry.api.ecr import changes, lookup, tags
from wherry.model.call import Call
from wherry.model.ecr import names
from wherry.model.ecr.errors import RepositoryAlreadyExistsException, RepositoryNotEmptyException
from wherry.model.ecr.repository import Image, ImageTag, Repository
from wherry.model.errors import InvalidParameterException
from wherry.store import Tx


async def create_repository(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateRepository: a place for images under a name."""
    params = lookup.check(call)
    _refuse_unsupported(params)
    if lookup.registry_id(ctx, params) != ctx.scope.account_id:
        raise InvalidParameterException("Repositories can be created in the registry of your own account only.")
    wanted = Repository(
        repository_name=params["repositoryName"],
        created_at=ctx.clock(),
        tags=tags.check(params.get("tags")),
        **_mutability(params),
    )
    created = await ctx.store.write(_create, wanted, account_id=ctx.scope.account_id)
    return {"repository": view(ctx, call, created)}


async def describe_repositories(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeRepositories: those that are named, or all, in the order of their names."""
    params = lookup.check(call)
    registry = lookup.registry_id(ctx, params)
    if asked := params.get("repositoryNames"):
        if params.get("nextToken") or params.get("maxResults"):
            raise InvalidParameterException("nextToken and maxResults cannot be used together with repositoryNames.")
        found = await ctx.store.read(_named, asked, registry, ctx.scope.account_id)
        return {"repositories": [view(ctx, call, one) for one in found]}
    window = lookup.window(params)
    listed = await ctx.store.read(Tx.find, Repository, limit=window.limit, after=window.after)
    page, token = window.cut(listed, lambda one: (one.repository_name,))
    return {"repositories": [view(ctx, call, one) for one in page], "nextToken": token}


async def delete_repository(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteRepository: one that is empty, or by `force` any with its images."""
    params = lookup.check(call)
    name, registry, force = params["repositoryName"], lookup.registry_id(ctx, params), bool(params.get("force"))

    def delete(tx: Tx) -> tuple[Repository, list[str]]:
        found = lookup.repository(tx, name, registry, ctx.scope.account_id)
        return found, _delete(tx, found, registry, force=force)

    if ctx.registry is None:
        gone, _ = await ctx.store.write(delete)
        return {"repository": view(ctx, call, gone)}
    async with ctx.registry.turn:
        gone, digests = await ctx.store.write(delete)
        await changes.forget(ctx.registry, name, digests)
    return {"repository": view(ctx, call, gone)}


async def put_image_tag_mutability(ctx: Context, call: Call) -> dict[str, Any]:
    """PutImageTagMutability: whether tags may come to mean another image."""
    params = lookup.check(call)
    name, registry, changes = params["repositoryName"], lookup.registry_id(ctx, params), _mutability(params)

    def change(tx: Tx) -> Repository:
        found = lookup.repository(tx, name, registry, ctx.scope.account_id)
        return tx.put(structs.replace(found, **changes))

    changed = await ctx.store.write(change)
    shown = view(ctx, call, changed)
    members = ("registryId", "repositoryName", "imageTagMutability", "imageTagMutabilityExclusionFilters")
    return {member: shown[member] for member in members}


async def put_image_scanning_configuration(ctx: Context, call: Call) -> dict[str, Any]:
    """PutImageScanningConfiguration: that images are not scanned; that they are is refused."""
    params = lookup.check(call)
    _refuse_unsupported(params)
    registry = lookup.registry_id(ctx, params)
    found = await ctx.store.read(lookup.repository, params["repositoryName"], registry, ctx.scope.account_id)
    shown = view(ctx, call, found)
    return {member: shown[member] for member in ("registryId", "repositoryName", "imageScanningConfiguration")}


def view(ctx: Context, call: Call, found: Repository) -> dict[str, Any]:
    """Show a repository. Its URI has the host by which the caller has reached us: there the registry is."""
    filters = [{"filterType": "WILDCARD", "filter": pattern} for pattern in found.exclusions]
    return {
        "repositoryArn": names.repository_arn(ctx.scope, found.repository_name),
        "registryId": ctx.scope.account_id,
        "repositoryName": found.repository_name,
        "repositoryUri": f"{registry_host(ctx, call)}/{found.repository_name}",
        "createdAt": found.created_at,
        "imageTagMutability": found.image_tag_mutability,
        "imageTagMutabilityExclusionFilters": filters or None,
        "imageScanningConfiguration": {"scanOnPush": False},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }


def registry_host(ctx: Context, call: Call) -> str:
    """Tell at which host, with its port, the caller finds the registry."""
    return urlsplit(call.endpoint or ctx.settings.base_url).netloc


def make(tx: Tx, wanted: Repository) -> Repository:
    """Store a new repository, or return the one that is there."""
    return tx.get(Repository, wanted.repository_name) or tx.put(wanted)


def _create(tx: Tx, wanted: Repository, *, account_id: str) -> Repository:
    if tx.get(Repository, wanted.repository_name) is not None:
        raise RepositoryAlreadyExistsException(
            f"The repository with name '{wanted.repository_name}' already exists in the registry with id '{account_id}'"
        )
    return tx.put(wanted)


def _named(tx: Tx, asked: list[str], registry: str, account_id: str) -> list[Repository]:
    return [lookup.repository(tx, name, registry, account_id) for name in dict.fromkeys(asked)]


def _delete(tx: Tx, found: Repository, registry: str, *, force: bool) -> list[str]:
    """Delete a repository with everything in it; returns the digests of its images."""
    images = tx.find(Image, repository_name=found.repository_name)
    if images and not force:
        raise RepositoryNotEmptyException(
            f"The repository with name '{found.repository_name}' in registry with id '{registry}' cannot be deleted "
            "because it still contains images"
        )
    for entity in (*tx.find(ImageTag, repository_name=found.repository_name), *images):
        tx.delete(entity)
    tx.delete(found)
    return [image.image_digest for image in images]


def _mutability(params: Mapping[str, Any]) -> dict[str, Any]:
    mutability = params.get("imageTagMutability") or "MUTABLE"
    exclusions = tuple(one["filter"] for one in params.get("imageTagMutabilityExclusionFilters") or ())
    if bool(exclusions) != mutability.endswith("_WITH_EXCLUSION"):
        raise InvalidParameterException(
            "imageTagMutabilityExclusionFilters go with IMMUTABLE_WITH_EXCLUSION and MUTABLE_WITH_EXCLUSION, "
            "which need at least one."
        )
    return {"image_tag_mutability": mutability, "exclusions": exclusions}


def _refuse_unsupported(params: Mapping[str, Any]) -> None:
    if (params.get("imageScanningConfiguration") or {}).get("scanOnPush"):
        raise InvalidParameterException(
            "Wherry does not scan images. Remove scanOnPush, and scan where images are built."
        )
    kind = (params.get("encryptionConfiguration") or {}).get("encryptionType") or "AES256"
    if kind != "AES256":
        raise InvalidParameterException(
            f"Wherry has no KMS: encryptionType {kind} is not supported. Leave it out; encrypt the disk."
        )
