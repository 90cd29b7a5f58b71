"""The errors of CloudWatch Logs that no other service has. The docstring is the default message."""

from __future__ import annotations

from wherry.model.errors import ApiError


class ResourceAlreadyExistsException(ApiError):
    """The specified resource already exists."""


class MalformedQueryException(ApiError):
    """The query string is not valid."""


class TooManyTagsException(ApiError):
    """A resource can have no more than 50 tags."""


class ServiceUnavailableException(ApiError):
    """The service cannot complete the request."""

    status = 503


class SessionTimeoutException(ApiError):
    """The session has timed out."""
