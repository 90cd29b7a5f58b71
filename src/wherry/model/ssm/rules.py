"""What PutParameter takes, how versions are counted, and which labels can be. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from wherry.model.errors import ValidationException
from wherry.model.ssm.errors import (
    ParameterMaxVersionLimitExceeded,
    ParameterVersionLabelLimitExceeded,
)
from wherry.model.ssm.parameter import Parameter, ParameterState, ParameterType, Tier

VERSIONS = 100
LABELS_PER_VERSION = 10
MAX_LENGTHS: Mapping[Tier, int] = {Tier.STANDARD: 4096, Tier.ADVANCED: 8192}

_LABEL = re.compile(r"(?!\d)(?!aws|ssm)[A-Za-z0-9_.-]{1,100}", re.IGNORECASE)


def check_value(state: ParameterState, value: str) -> None:
    """Raise ValidationException for a value that is empty, too large for its tier, or no list where it should be."""
    if not value:
        raise ValidationException(
            "1 validation error detected: Value at 'value' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1"
        )
    _check_size(state.tier, value)
    if state.type is ParameterType.STRING_LIST and "" in value.split(","):
        raise ValidationException("Parameter value: a StringList has no empty items between its commas.")


def _check_size(tier: Tier, value: str) -> None:
    if len(value.encode()) <= MAX_LENGTHS[tier]:
        return
    if tier is Tier.STANDARD:
        raise ValidationException(
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
            "parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see "
            "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
        )
    raise ValidationException("Advanced tier parameters support a maximum parameter value of 8192 characters.")


def check_change(old: ParameterState, new: ParameterState) -> None:
    """Raise ValidationException for a tier that is taken back."""
    if old.tier is Tier.ADVANCED and new.tier is Tier.STANDARD:
        raise ValidationException(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced "
            "parameter and recreate it as a standard parameter."
        )


def dropped(parameter: Parameter) -> int | None:
    """Tell which version makes room for the next one, if any; raises ParameterMaxVersionLimitExceeded."""
    oldest = parameter.latest.number - VERSIONS + 1
    if oldest < 1:
        return None
    if oldest in parameter.labels.values():
        raise ParameterMaxVersionLimitExceeded(
            f"You attempted to create a new version of {parameter.name} by calling the PutParameter API with the "
            f"overwrite flag. Version {oldest}, the oldest version, can't be deleted because it has a label associated "
            "with it. Move the label to another version of the parameter, and try again."
        )
    return oldest


def labelled(parameter: Parameter, number: int, labels: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Move labels to a version; returns all labels, and those that cannot be labels.

    Raises ParameterVersionLabelLimitExceeded.
    """
    invalid = [label for label in labels if not _LABEL.fullmatch(label)]
    moved = dict(parameter.labels) | {label: number for label in labels if label not in invalid}
    if list(moved.values()).count(number) > LABELS_PER_VERSION:
        raise ParameterVersionLabelLimitExceeded(
            "A parameter version can have a maximum of ten labels. "
            "Move one or more labels to another version and try again."
        )
    return moved, invalid


def unlabelled(parameter: Parameter, number: int, labels: Sequence[str]) -> tuple[dict[str, int], list[str], list[str]]:
    """Take labels off a version; returns the labels left, those taken off, and those that it does not have."""
    removed = [label for label in dict.fromkeys(labels) if parameter.labels.get(label) == number]
    left = {label: holder for label, holder in parameter.labels.items() if label not in removed}
    return left, removed, [label for label in dict.fromkeys(labels) if label not in removed]


def labels_of(parameter: Parameter, number: int) -> list[str]:
    """Return the labels of a version, sorted."""
    return sorted(label for label, holder in parameter.labels.items() if holder == number)
