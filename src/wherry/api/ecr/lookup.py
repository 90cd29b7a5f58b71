"""How repositories and images are found, with the errors and the pages of ECR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.ecs import paging
from wherry.api.ecs.paging import Window
from wherry.api.registry.content import Content
from wherry.model.call import Call
from wherry.model.ecr import names
from wherry.model.ecr.errors import repository_not_found
from wherry.model.ecr.repository import Image, ImageTag, Repository, image_key, tag_key
from wherry.model.errors import InvalidParameterException, ValidationException
from wherry.store import Tx

SWITCHED_OFF = "This control plane has no registry of images. Start it with WHERRY_REGISTRY=on."


def check(call: Call) -> Mapping[str, Any]:
    """Check what a request says against the constraints of the model; raises InvalidParameterException."""
    try:
        constraints.check(call)
    except ValidationException as error:
        raise InvalidParameterException(error.message) from error
    single = call.params.get("repositoryName")
    for name in (*([] if single is None else [single]), *(call.params.get("repositoryNames") or ())):
        check_repository_name(name)
    return call.params


def check_repository_name(name: str) -> None:
    """Raise InvalidParameterException for what cannot be the name of a repository."""
    if not names.is_repository(name):
        raise InvalidParameterException(
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression "
            "'(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''"
        )


def check_tag(tag: str) -> None:
    """Raise InvalidParameterException for what cannot be a tag."""
    if not names.TAG.fullmatch(tag):
        raise InvalidParameterException(
            "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression "
            "'[a-zA-Z0-9_][a-zA-Z0-9-_.]{0,127}''"
        )


def registry_id(ctx: Context, params: Mapping[str, Any]) -> str:
    """Return the registry that is meant: the account's, unless the request names another."""
    return params.get("registryId") or ctx.scope.account_id


def repository(tx: Tx, name: str, registry: str, account_id: str) -> Repository:
    """Find a repository; raises RepositoryNotFoundException."""
    found = tx.get(Repository, name) if registry == account_id else None
    if found is None:
        raise repository_not_found(name, registry)
    return found


def image(tx: Tx, repository_name: str, *, digest: str | None = None, tag: str | None = None) -> Image | None:
    """Find an image by its tag, its digest, or both, which must then agree."""
    if tag is not None:
        tagged = tx.get(ImageTag, tag_key(repository_name, tag))
        if tagged is None or digest not in (None, tagged.image_digest):
            return None
        digest = tagged.image_digest
    return tx.get(Image, image_key(repository_name, digest or ""))


def content(ctx: Context) -> Content:
    """Return the registry; raises InvalidParameterException where there is none."""
    if ctx.registry is None:
        raise InvalidParameterException(SWITCHED_OFF)
    return ctx.registry


def window(params: Mapping[str, Any], *, order: Any = tuple[str]) -> Window:
    """Read `nextToken` and `maxResults`, whose range has been checked; raises InvalidParameterException."""
    token = params.get("nextToken")
    return Window(size=params.get("maxResults") or 100, after=paging.read_token(token, order) if token else None)
