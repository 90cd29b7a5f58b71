"""The one tree of errors that become AWS error answers; the mapping to the wire exists once, in `wherry.wire`.

A class per code of the ECS model. The docstring is the default message.
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """The request could not be carried out."""

    status: int = 400

    def __init__(self, message: str | None = None, **fields: Any) -> None:
        """Take the `message` for the caller and any modelled extra members (`resourceIds`) as `fields`."""
        super().__init__(message if message is not None else (self.__doc__ or "").strip())
        self.fields = fields

    @property
    def code(self) -> str:
        """The error code of the wire: the class name, which is the name of the modelled shape."""
        return type(self).__name__

    @property
    def message(self) -> str:
        """The sentence that the caller reads."""
        return str(self.args[0])


class ServerException(ApiError):
    """The server could not complete the request. Try again; the server's log has the details."""

    status = 500


class ClientException(ApiError):
    """The request is not valid."""


class InvalidParameterException(ApiError):
    """The specified parameter isn't valid. Review the available parameters for the API request."""


class UnsupportedFeatureException(ApiError):
    """The specified task isn't supported in this Region."""


class ClusterNotFoundException(ApiError):
    """Cluster not found."""


class ServiceNotFoundException(ApiError):
    """Service not found."""


class ServiceNotActiveException(ApiError):
    """Service was not ACTIVE."""


class ServiceDeploymentNotFoundException(ApiError):
    """The service deployment was not found."""


class ResourceNotFoundException(ApiError):
    """The specified resource wasn't found."""


class ResourceInUseException(ApiError):
    """The specified resource is in-use and can't be removed."""


class ConflictException(ApiError):
    """The request could not be processed because of conflict in the current state of the resource."""


class LimitExceededException(ApiError):
    """The limit for the resource was exceeded."""


class ClusterContainsServicesException(ApiError):
    """The Cluster cannot be deleted while Services are active."""


class ClusterContainsTasksException(ApiError):
    """The Cluster cannot be deleted while Tasks are active."""


class ClusterContainsContainerInstancesException(ApiError):
    """The Cluster cannot be deleted while Container Instances are active or draining."""


class TargetNotConnectedException(ApiError):
    """The execute command failed due to an internal error. Try again later."""


class PlatformUnknownException(ApiError):
    """The specified platform version doesn't exist."""


class NamespaceNotFoundException(ApiError):
    """The specified namespace wasn't found."""


class ValidationException(ApiError):
    """The input fails to satisfy the constraints specified by an Amazon Web Services service."""


class UnknownOperationException(ApiError):
    """The operation is not known to this service."""


class SerializationException(ApiError):
    """The request body could not be read."""


class RequestEntityTooLargeException(ApiError):
    """The request body is too large."""

    status = 413


class NotImplementedException(ApiError):
    """Wherry does not implement this operation."""

    status = 501
