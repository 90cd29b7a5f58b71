"""What every Describe operation of EC2 has in common: a dry run, filters, and pages.

A filter matches if any of its values does, with `*` and `?` as wildcards; all filters must match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from wherry.api.ec2.errors import Ec2Error, invalid_value
from wherry.api.ecs import paging
from wherry.model.base import Tag
from wherry.model.errors import InvalidParameterException

T = TypeVar("T")

Texts = Callable[[T], Iterable[str]]
"""The texts of an item that a filter compares its values with."""

_ESCAPED_OR_WILD = re.compile(r"\\(.)|([*?])|(.)", re.DOTALL)


def check_dry_run(params: Mapping[str, Any]) -> None:
    """Raise DryRunOperation if the caller only wants to know whether it may."""
    if params.get("DryRun"):
        raise Ec2Error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)


def select(items: Iterable[T], params: Mapping[str, Any], filters: Mapping[str, Texts[T]]) -> list[T]:
    """Return the items that match the `Filters` of a request; raises InvalidParameterValue for a filter not known.

    Items with a `tags` attribute can be found by `tag:KEY` and `tag-key` besides.
    """
    chosen = list(items)
    for raw in params.get("Filters") or ():
        texts = _texts_of(raw.get("Name") or "", filters)
        patterns = [_pattern(value) for value in raw.get("Values") or ()]
        chosen = [item for item in chosen if any(p.fullmatch(text) for p in patterns for text in texts(item))]
    return chosen


def page(items: Sequence[T], params: Mapping[str, Any], *, key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """Return the page of `items` that a request asks for, in the order of `key`, and the token of the next."""
    size = params.get("MaxResults")
    if size is not None and not 5 <= size <= 1000:
        raise invalid_value(
            f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
        )
    token = params.get("NextToken")
    try:
        window = paging.Window(size=size or 1000, after=paging.read_token(token) if token else None)
    except InvalidParameterException:
        raise Ec2Error(
            "InvalidNextToken", "The NextToken is invalid. Use that of the previous answer unchanged."
        ) from None
    after = str(window.after[0]) if window.after else ""
    ordered = sorted((item for item in items if key(item) > after), key=key)
    return window.cut(ordered[: window.limit], lambda item: (key(item),))


def view_tags(tags: Iterable[Tag]) -> list[dict[str, str]]:
    """Show tags as EC2 does."""
    return [{"Key": tag.key, "Value": tag.value} for tag in tags]


def _texts_of(name: str, filters: Mapping[str, Texts[T]]) -> Texts[T]:
    if name in filters:
        return filters[name]
    if name == "tag-key":
        return lambda item: [tag.key for tag in _tags(item)]
    if name.startswith("tag:"):
        return lambda item: [tag.value for tag in _tags(item) if tag.key == name.removeprefix("tag:")]
    raise invalid_value(f"The filter '{name}' is invalid")


def _tags(item: object) -> Iterable[Tag]:
    return getattr(item, "tags", ())


def _pattern(value: str) -> re.Pattern[str]:
    def translate(match: re.Match[str]) -> str:
        escaped, wild, plain = match.groups()
        return {"*": ".*", "?": "."}[wild] if wild else re.escape(escaped or plain)

    return re.compile(_ESCAPED_OR_WILD.sub(translate, value), re.DOTALL)
