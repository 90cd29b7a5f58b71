"""Conditions of policy statements: every one must hold; each compares a key of the request with the policy's values.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from wherry.model.base import Value
from wherry.model.iam.errors import MalformedPolicyDocumentException
from wherry.model.iam.wildcards import Keys, matches, plain, substitute

Comparison = Callable[[str, str], bool]
"""Compares a request's value with a pattern of the policy, whose variables have their values."""


class Condition(Value, frozen=True):
    """A condition on one key, in lower case. `quantifier` is "ForAllValues", "ForAnyValue" or empty."""

    comparison: str
    negated: bool
    quantifier: str
    if_exists: bool
    key: str
    values: tuple[str, ...]


def read_conditions(raw: Any, *, literal: bool) -> tuple[Condition, ...]:
    """Read the `Condition` element; raises `MalformedPolicyDocumentException`. `literal`: `$` begins no variable."""
    if not isinstance(raw, Mapping):
        raise _malformed("Syntax errors in policy.")
    conditions: list[Condition] = []
    for operator, keys in raw.items():
        if not isinstance(keys, Mapping):
            raise _malformed("Syntax errors in policy.")
        conditions += (_condition(operator, key, values, literal=literal) for key, values in keys.items())
    return tuple(conditions)


def holds(condition: Condition, keys: Keys) -> bool:
    """Tell whether a request with these keys meets a condition."""
    found = keys.get(condition.key)
    if condition.comparison == "Null":
        return any((found is None) == (value.lower() == "true") for value in condition.values)
    if found is None:
        return (
            condition.if_exists
            or condition.quantifier == "ForAllValues"
            or (condition.negated and condition.quantifier != "ForAnyValue")
        )
    compare = _COMPARISONS[condition.comparison]
    patterns = [pattern for value in condition.values if (pattern := substitute(value, keys)) is not None]

    def fits(value: str) -> bool:
        return any(compare(value, pattern) for pattern in patterns) != condition.negated

    if condition.quantifier == "ForAllValues" or (condition.negated and not condition.quantifier):
        return all(fits(value) for value in found)
    return any(fits(value) for value in found)


def _condition(operator: str, key: str, raw: Any, *, literal: bool) -> Condition:
    quantifier, colon, rest = operator.rpartition(":")
    if_exists = rest.endswith("IfExists")
    name = rest.removesuffix("IfExists")
    known = _OPERATORS.get(name)
    if known is None or (colon and quantifier not in ("ForAllValues", "ForAnyValue")) or (name == "Null" and if_exists):
        raise _malformed(f"Invalid Condition type : {operator}.")
    if ":" not in key:
        raise _malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    values = tuple(_text(value) for value in (raw if isinstance(raw, list) else [raw]))
    comparison, negated = known
    for value in values:
        _check_value(comparison, value)
    return Condition(
        comparison=comparison,
        negated=negated,
        quantifier=quantifier,
        if_exists=if_exists,
        key=key.lower(),
        values=tuple(value.replace("$", "${$}") if literal else value for value in values),
    )


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return str(value)
        case _:
            raise _malformed("Syntax errors in policy.")


def _check_value(comparison: str, value: str) -> None:
    """Refuse a value that its operator could never compare; one with a variable is known only later."""
    if "${" in value:
        return
    if comparison == "IpAddress" and _network(value) is None:
        raise _malformed(f"Invalid IP address in the condition: {value}.")
    if comparison.startswith("Numeric") and _number(value) is None:
        raise _malformed(f"Invalid number in the condition: {value}.")
    if comparison.startswith("Date") and _moment(value) is None:
        raise _malformed(f"Invalid date in the condition: {value}.")
    if comparison in ("Bool", "Null") and value.lower() not in ("true", "false"):
        raise _malformed(f"Invalid boolean in the condition: {value}.")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _in_network(value: str, pattern: str) -> bool:
    network, address = _network(plain(pattern)), _network(value)
    return (
        network is not None
        and address is not None
        and network.version == address.version
        and address.network_address in network
        and address.prefixlen >= network.prefixlen
    )


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _moment(text: str) -> float | None:
    """Epoch seconds of an ISO 8601 date, or of a number of them."""
    if re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]+)?", text):
        return float(text)
    try:
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _ordered(read: Callable[[str], Any], holds_for: Callable[[Any, Any], bool]) -> Comparison:
    def compare(value: str, pattern: str) -> bool:
        left, right = read(value), read(plain(pattern))
        return left is not None and right is not None and holds_for(left, right)

    return compare


def _arn_like(value: str, pattern: str) -> bool:
    parts, wanted = value.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(wanted) == 6 and all(map(matches, wanted, parts))


_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda left, right: left == right,
    "LessThan": lambda left, right: left < right,
    "LessThanEquals": lambda left, right: left <= right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanEquals": lambda left, right: left >= right,
}

_COMPARISONS: Mapping[str, Comparison] = {
    "StringEquals": lambda value, pattern: value == plain(pattern),
    "StringEqualsIgnoreCase": lambda value, pattern: value.casefold() == plain(pattern).casefold(),
    "StringLike": lambda value, pattern: matches(pattern, value),
    "Bool": lambda value, pattern: value.lower() == plain(pattern).lower(),
    "BinaryEquals": lambda value, pattern: value == plain(pattern),
    "IpAddress": _in_network,
    "ArnLike": _arn_like,
    **{f"Numeric{name}": _ordered(_number, relation) for name, relation in _RELATIONS.items()},
    **{f"Date{name}": _ordered(_moment, relation) for name, relation in _RELATIONS.items()},
}

_NEGATIONS: Mapping[str, str] = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotLike": "ArnLike",
    "ArnNotEquals": "ArnLike",
}

_OPERATORS: Mapping[str, tuple[str, bool]] = {
    **{name: (name, False) for name in _COMPARISONS},
    **{name: (comparison, True) for name, comparison in _NEGATIONS.items()},
    "ArnEquals": ("ArnLike", False),
    "Null": ("Null", False),
}
"""Operator -> the comparison that it makes, and whether none of the values may fit."""

OPERATORS = frozenset(_OPERATORS)


def _malformed(sentence: str) -> MalformedPolicyDocumentException:
    return MalformedPolicyDocumentException(sentence)
