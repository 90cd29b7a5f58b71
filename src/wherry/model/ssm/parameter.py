"""A parameter and its versions, as they are stored: the values of secure strings are sealed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from wherry.model.base import Entity, Tag, Value


class ParameterType(StrEnum):
    """What a value is."""

    STRING = "String"
    STRING_LIST = "StringList"
    SECURE_STRING = "SecureString"


class Tier(StrEnum):
    """How large a value may be."""

    STANDARD = "Standard"
    ADVANCED = "Advanced"


class ParameterState(Value, frozen=True):
    """What one PutParameter said of a parameter, apart from the value."""

    number: int
    type: ParameterType
    last_modified_date: float
    last_modified_user: str
    tier: Tier = Tier.STANDARD
    description: str | None = None
    allowed_pattern: str | None = None
    data_type: str = "text"
    key_id: str | None = None


class Parameter(Entity, frozen=True):
    """A parameter. Key: `arn`, in which the name's leading slash is that of the ARN.

    `parent` is the path that it lies in, "" for one outside any hierarchy; `latest` its newest version; `labels` maps
    each label to the number of the version that has it.
    """

    arn: str
    name: str
    parent: str
    latest: ParameterState
    labels: Mapping[str, int] = {}
    tags: tuple[Tag, ...] = ()


class ParameterVersion(Entity, frozen=True):
    """A value that a parameter has or had. Key: `key` = "parameter-arn:number".

    `value` is plain, or sealed for `key` where the type is SecureString.
    """

    key: str
    parameter_arn: str
    state: ParameterState
    value: str

    @property
    def number(self) -> int:
        """The number that counts the versions of one parameter."""
        return self.state.number

    @property
    def is_secure(self) -> bool:
        """Whether the value is sealed."""
        return self.state.type is ParameterType.SECURE_STRING

    def __repr__(self) -> str:
        """Show which version it is and nothing of the value."""
        return f"ParameterVersion({self.key!r})"


def version_key(parameter_arn: str, number: int) -> str:
    """Return the key of a version."""
    return f"{parameter_arn}:{number}"
