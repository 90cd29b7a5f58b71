"""One verified, parsed request, as every operation gets it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls: `arn` is what AWS would put into `registeredBy` and `createdBy`."""

    account_id: str
    arn: str
    access_key_id: str


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose shape is already right.

    `params` has the members of the operation's input shape under their AWS names: structures and maps are dicts, lists
    are lists, timestamps are float epoch seconds, blobs are bytes. Members that the model does not know are gone.
    """

    service: str
    operation: str
    params: dict[str, Any]
    principal: Principal
    region: str
    request_id: str


Handler = Callable[[Call], Awaitable[Mapping[str, Any]]]
"""Carries out one operation; returns the members of the output shape; raises `ApiError`."""
