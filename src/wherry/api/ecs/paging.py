"""Pages of a list: where one begins, how long it is, and the opaque token that names the next."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from wherry.model.errors import InvalidParameterException
from wherry.store.schema import Scalar

T = TypeVar("T")

Position = tuple[Scalar, ...]
"""The place of an item in its order, as `Tx.find` takes it for `after`."""


class Window(msgspec.Struct, frozen=True):
    """The page that a caller asks for: at most `size` items that come `after` a position, or the first ones."""

    size: int
    after: Position | None

    @property
    def limit(self) -> int:
        """How many items to read: one more than a page, to know whether there is another."""
        return self.size + 1

    def cut(self, found: Sequence[T], position: Callable[[T], Position]) -> tuple[list[T], str | None]:
        """Return this page of `found`, which are at most `limit` items, and the token of the next, None at the end."""
        items = list(found[: self.size])
        return items, (write_token(position(items[-1])) if len(found) > self.size else None)


def window(
    token: str | None, max_results: int | None, *, default: int = 100, maximum: int = 100, order: Any = tuple[str]
) -> Window:
    """Read `nextToken` and `maxResults`; raises InvalidParameterException for a bad one.

    `order` is the type of the list's positions, so that the token of another list is refused.
    """
    if max_results is not None and not 1 <= max_results <= maximum:
        raise InvalidParameterException(f"maxResults should be between 1 and {maximum}.")
    return Window(size=max_results or default, after=read_token(token, order) if token else None)


def write_token(position: Position) -> str:
    """Make the opaque token of a position."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode()


def read_token(token: str, order: Any = tuple[str]) -> Position:
    """Return the position inside a token; raises InvalidParameterException if it is no position of type `order`."""
    try:
        position: Position = msgspec.json.decode(base64.urlsafe_b64decode(token), type=order)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise InvalidParameterException("Invalid token. Use the nextToken of the previous answer unchanged.") from None
    return position
