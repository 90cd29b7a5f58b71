"""Doing the same with many things at once, for callers who want the plain error and not a group of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def together(function: Callable[[T], Coroutine[Any, Any, None]], items: Iterable[T]) -> None:
    """Call `function` for all items at once; the first error ends the others and is raised as it is."""
    try:
        async with anyio.create_task_group() as group:
            for item in items:
                group.start_soon(function, item)
    except ExceptionGroup as errors:
        first: Exception = errors
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise first from None
