"""The errors of IAM and STS: a class per error of their models. The docstring is the default message."""

from __future__ import annotations

from wherry.model.errors import ApiError


class NoSuchEntityException(ApiError):
    """The resource entity does not exist."""

    status = 404


class EntityAlreadyExistsException(ApiError):
    """The entity already exists."""

    status = 409


class DeleteConflictException(ApiError):
    """Cannot delete entity, must remove what is attached to it first."""

    status = 409


class MalformedPolicyDocumentException(ApiError):
    """The policy document is not valid."""


class PackedPolicyTooLargeException(ApiError):
    """The session policies are too large."""


class InvalidInputException(ApiError):
    """The input is not valid."""


class UnmodifiableEntityException(ApiError):
    """Only the service that depends on the service-linked role can change it."""


class ValidationError(ApiError):
    """A member of the request does not satisfy its constraints."""


class AccessDenied(ApiError):
    """Access is denied."""

    status = 403


class InvalidAuthorizationMessageException(ApiError):
    """The message is no encoded authorization message."""
