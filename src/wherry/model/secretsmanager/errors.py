"""Errors of Secrets Manager; those that it shares with ECS are in `wherry.model.errors`.

The docstring is the default message.
"""

from __future__ import annotations

from wherry.model.errors import ApiError, ResourceNotFoundException


class InvalidRequestException(ApiError):
    """A parameter value is not valid for the current state of the resource."""


class InvalidNextTokenException(ApiError):
    """The NextToken value is invalid."""


class ResourceExistsException(ApiError):
    """A resource with the ID you requested already exists."""


class DecryptionFailure(ApiError):
    """Secrets Manager can't decrypt the protected secret text."""


def secret_not_found() -> ApiError:
    """Say that a secret is not there, or that its name or ARN cannot be one."""
    return ResourceNotFoundException("Secrets Manager can't find the specified secret.")
