"""Pages of IAM: `Marker` and `MaxItems` in, `IsTruncated` and `Marker` out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from wherry.api.ecs.paging import Window, read_token
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException
from wherry.model.iam.errors import ValidationError
from wherry.store.schema import Range

T = TypeVar("T")

_DEFAULT = 100


def window(call: Call) -> Window:
    """Read the page that a call asks for; raises ValidationError for a marker that no answer had."""
    marker, size = call.params.get("Marker"), call.params.get("MaxItems") or _DEFAULT
    if marker is None:
        return Window(size, None)
    try:
        return Window(size, read_token(marker))
    except InvalidParameterException as error:
        raise ValidationError("Invalid Marker. Use the Marker of the previous answer unchanged.") from error


def page(
    found: Sequence[T], asked: Window, *, member: str, key: Callable[[T], str], view: Callable[[T], Any]
) -> dict[str, Any]:
    """Answer with one page of what was found from its position on, one more than a page."""
    items, marker = asked.cut(found, lambda item: (key(item),))
    return {member: [view(item) for item in items], "IsTruncated": marker is not None, "Marker": marker}


def cut(
    everything: Iterable[T], asked: Window, *, member: str, key: Callable[[T], str], view: Callable[[T], Any]
) -> dict[str, Any]:
    """Answer with one page of a short list that is at hand as a whole, in the order of its keys."""
    rest = sorted((item for item in everything if asked.after is None or (key(item),) > asked.after), key=key)
    return page(rest, asked, member=member, key=key, view=view)


def below(call: Call) -> Range:
    """Read `PathPrefix` as the range of the paths that begin so."""
    prefix = call.params.get("PathPrefix") or "/"
    return Range(start=prefix, end=prefix[:-1] + chr(ord(prefix[-1]) + 1))


__all__ = ["Window", "below", "cut", "page", "window"]
