"""The filters of DescribeParameters and GetParametersByPath.

Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from wherry.model.base import Value
from wherry.model.errors import ValidationException
from wherry.model.ssm.errors import InvalidFilterKey, InvalidFilterOption, InvalidFilterValue
from wherry.model.ssm.parameter import Parameter

DESCRIBE = ("Path", "Name", "Type", "KeyId", "Tier", "DataType", "Label")
BY_PATH = ("Type", "KeyId", "Label")

_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "Path": ("Recursive", "OneLevel"),
    "Name": ("BeginsWith", "Contains", "Equals"),
    "tag": ("Equals",),
    "Label": ("Equals",),
}
_BEGINS_OR_EQUALS = ("BeginsWith", "Equals")
_EQUALS_ONLY = ("Type", "Tier", "DataType")


class Filter(Value, frozen=True, rename="pascal"):
    """Parameters of which one value must match in the way of the option."""

    key: str
    option: str = ""
    values: tuple[str, ...] = ()


def check(filters: Sequence[Filter], keys: Collection[str], *, tags: bool) -> None:
    """Raise what AWS raises for filters that the operation does not have."""
    seen: set[str] = set()
    for one in filters:
        kind = _kind(one)
        if kind not in keys and not (tags and kind == "tag"):
            allowed = [*keys, *(["tag:"] if tags else [])]
            raise InvalidFilterKey(
                f"The following filter key is not valid: {one.key}. Valid filter keys include: [{', '.join(allowed)}]."
            )
        if one.key in seen:
            raise ValidationException("The following filters contain the same key. Keys must be unique.")
        seen.add(one.key)
        if one.option and one.option not in _options(one):
            raise InvalidFilterOption(
                f"The following filter option is not valid: {one.option}. "
                f"Valid options include: [{', '.join(_options(one))}]."
            )
        if not one.values and kind != "tag":
            raise InvalidFilterValue(f"The following filter values are missing : null for filter key {one.key}.")
        if kind == "Path" and not all(value.startswith("/") for value in one.values):
            raise InvalidFilterValue("A path begins with a forward slash.")


def matches(parameter: Parameter, filters: Sequence[Filter]) -> bool:
    """Tell whether a parameter passes every filter."""
    return all(_passes(parameter, one) for one in filters)


def _passes(parameter: Parameter, wanted: Filter) -> bool:
    option = wanted.option or _options(wanted)[-1]
    if not wanted.values:
        return any(tag.key == wanted.key.removeprefix("tag:") for tag in parameter.tags)
    return any(_compare(text, value, option) for text in _texts(parameter, wanted) for value in wanted.values)


def _compare(text: str, value: str, option: str) -> bool:
    match option:
        case "Recursive":
            return text.startswith(f"{value.rstrip('/')}/")
        case "OneLevel":
            return text.rpartition("/")[0] == value.rstrip("/")
        case "BeginsWith":
            return text.startswith(value)
        case "Contains":
            return value in text
        case _:
            return text == value


def _texts(parameter: Parameter, wanted: Filter) -> Iterable[str]:
    """Return the texts of a parameter that a filter looks at."""
    latest = parameter.latest
    match _kind(wanted):
        case "Path":
            return [f"/{parameter.name.removeprefix('/')}"]
        case "tag":
            return [tag.value for tag in parameter.tags if tag.key == wanted.key.removeprefix("tag:")]
        case "Label":
            return parameter.labels
        case "Name":
            return [parameter.name]
        case kind:
            texts = {"Type": latest.type, "KeyId": latest.key_id, "Tier": latest.tier, "DataType": latest.data_type}
            return [str(text)] if (text := texts[kind]) is not None else []


def _options(wanted: Filter) -> tuple[str, ...]:
    """Return the options of a filter; the last is the default."""
    kind = _kind(wanted)
    return ("Equals",) if kind in _EQUALS_ONLY else _OPTIONS.get(kind, _BEGINS_OR_EQUALS)


def _kind(wanted: Filter) -> str:
    return "tag" if wanted.key.startswith("tag:") else wanted.key
