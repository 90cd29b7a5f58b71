"""The filters of ListSecrets and BatchGetSecretValue.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_search-secret.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from wherry.model.base import Value
from wherry.model.secretsmanager.secret import Secret

_WORD = re.compile(r"[^\W_]+")


class Filter(Value, frozen=True, rename="pascal"):
    """Secrets of which one value must match; a value that begins with "!" must not."""

    key: str = ""
    values: tuple[str, ...] = ()


def matches(secret: Secret, filters: Sequence[Filter]) -> bool:
    """Tell whether a secret passes every filter."""
    return all(_passes(secret, one) for one in filters)


def _passes(secret: Secret, wanted: Filter) -> bool:
    forbidden = [value[1:] for value in wanted.values if value.startswith("!")]
    allowed = [value for value in wanted.values if not value.startswith("!")]
    if any(_has(secret, wanted.key, value) for value in forbidden):
        return False
    return not allowed or any(_has(secret, wanted.key, value) for value in allowed)


def _has(secret: Secret, key: str, value: str) -> bool:
    match key:
        case "name":
            return secret.name.startswith(value)
        case "description":
            return (secret.description or "").lower().startswith(value.lower())
        case "tag-key":
            return any(tag.key.startswith(value) for tag in secret.tags)
        case "tag-value":
            return any(tag.value.startswith(value) for tag in secret.tags)
        case "all":
            return _mentions(secret, value)
        case _:
            return False  # "primary-region" and "owning-service": no secret is a replica or belongs to a service.


def _mentions(secret: Secret, value: str) -> bool:
    """Tell whether every word of `value` begins a word of the secret's name, description or tags."""
    tags = (text for tag in secret.tags for text in (tag.key, tag.value))
    there = {word.lower() for text in (secret.name, secret.description or "", *tags) for word in _WORD.findall(text)}
    wanted = [word.lower() for word in _WORD.findall(value)]
    return all(any(word.startswith(beginning) for word in there) for beginning in wanted)
