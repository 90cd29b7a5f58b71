"""Errors of SSM Parameter Store, whose codes are its own. The docstring is the default message."""

from __future__ import annotations

from wherry.model.errors import ApiError


class ParameterNotFound(ApiError):
    """The parameter couldn't be found. Verify the name and try again."""

    def __init__(self, message: str = "") -> None:
        """Say nothing but the code, as AWS does, unless there is something to add."""
        super().__init__(message)


class ParameterAlreadyExists(ApiError):
    """The parameter already exists. To overwrite this value, set the overwrite option in the request to true."""


class ParameterVersionNotFound(ApiError):
    """The specified parameter version wasn't found. Verify the parameter name and version, and try again."""


class ParameterMaxVersionLimitExceeded(ApiError):
    """The oldest version of the parameter can't be deleted because it has a label."""


class ParameterVersionLabelLimitExceeded(ApiError):
    """A parameter version can have a maximum of ten labels."""


class ParameterPatternMismatchException(ApiError):
    """The parameter value doesn't match the parameter's allowed pattern."""


class InvalidAllowedPatternException(ApiError):
    """The request doesn't meet the regular expression requirement."""


class HierarchyLevelLimitExceededException(ApiError):
    """A hierarchy can have a maximum of 15 levels."""


class InvalidKeyId(ApiError):
    """The query key ID isn't valid."""


class InvalidFilterKey(ApiError):
    """The specified key isn't valid."""


class InvalidFilterOption(ApiError):
    """The specified filter option isn't valid. Valid options are Equals and BeginsWith."""


class InvalidFilterValue(ApiError):
    """The filter value isn't valid. Verify the value and try again."""


class InvalidNextToken(ApiError):
    """The specified token isn't valid."""


class InvalidResourceId(ApiError):
    """The resource ID isn't valid. Verify that you entered the correct ID and try again."""


class InvalidResourceType(ApiError):
    """The resource type isn't valid. Wherry has tags of resources of the type Parameter."""


class TooManyTagsError(ApiError):
    """A parameter has at most 50 tags. Remove some with RemoveTagsFromResource first."""
