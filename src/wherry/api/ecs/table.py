"""Every operation of the ECS model in one table: done, or refused with a sentence that says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from wherry.api.context import Context
from wherry.model.call import Call

Operation = Callable[[Context, Call], Awaitable[dict[str, Any]]]


class Refused(msgspec.Struct, frozen=True):
    """An operation that Wherry does not carry out; `sentence` says what to do instead."""

    sentence: str


OPERATIONS: Mapping[str, Operation | Refused] = {}
