"""Errors of ECR; those that it shares with other services are in `wherry.model.errors`.

The docstring is the default message.
"""

from __future__ import annotations

from wherry.model.errors import ApiError


class RepositoryNotFoundException(ApiError):
    """The specified repository could not be found."""


class RepositoryAlreadyExistsException(ApiError):
    """The specified repository already exists in the specified registry."""


class RepositoryNotEmptyException(ApiError):
    """The specified repository contains images. To delete it, you must force the deletion with the force parameter."""


class RepositoryPolicyNotFoundException(ApiError):
    """The specified repository and registry combination does not have an associated repository policy."""


class LifecyclePolicyNotFoundException(ApiError):
    """The lifecycle policy could not be found, and no policy is set to the repository."""


class RegistryPolicyNotFoundException(ApiError):
    """The registry doesn't have an associated registry policy."""


class ImageNotFoundException(ApiError):
    """The image requested does not exist in the specified repository."""


class ImageAlreadyExistsException(ApiError):
    """The specified image has already been pushed, and there were no changes to the manifest or image tag."""


class ImageTagAlreadyExistsException(ApiError):
    """The specified image is tagged with a tag that already exists. The repository is configured for immutability."""


class ImageDigestDoesNotMatchException(ApiError):
    """The specified image digest does not match the digest that is calculated for the image."""


class LayersNotFoundException(ApiError):
    """The specified layers could not be found, or the specified layer is not valid for this repository."""


class InvalidTagParameterException(ApiError):
    """An invalid parameter has been specified. Tag keys can have at most 128 characters, and values at most 256."""


class TooManyTagsException(ApiError):
    """The list of tags on the repository is over the limit of 50 tags."""


def repository_not_found(name: str, registry_id: str) -> RepositoryNotFoundException:
    """Say that there is no such repository."""
    return RepositoryNotFoundException(
        f"The repository with name '{name}' does not exist in the registry with id '{registry_id}'"
    )


def tag_is_immutable(repository: str, tag: str) -> ImageTagAlreadyExistsException:
    """Say that a tag stays where it is."""
    return ImageTagAlreadyExistsException(
        f"The image tag '{tag}' already exists in the '{repository}' repository and cannot be overwritten because the "
        "tag is immutable."
    )
