"""One verified, parsed request, as every operation gets it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls: `arn` is what AWS would put into `registeredBy` and `createdBy`, `user_id` its unique id.

    For all but the account's root `identity_arn` and `identity_id` are the user or role whose policies decide, within
    the session policies of temporary credentials.
    """

    account_id: str
    arn: str
    access_key_id: str
    user_id: str = ""
    identity_arn: str = ""
    identity_id: str = ""
    session_policies: tuple[str, ...] = ()
    session_policy_arns: tuple[str, ...] = ()

    @property
    def is_administrator(self) -> bool:
        """Whether this is the account's root, who may do everything."""
        return self.arn == f"arn:aws:iam::{self.account_id}:root"

    @property
    def user_name(self) -> str | None:
        """The name of the user who calls; None for root and roles, whatever their sessions are called."""
        kind, _, rest = self.identity_arn.partition("/")
        return rest.rpartition("/")[2] if kind.endswith(":user") else None

    @property
    def is_temporary(self) -> bool:
        """Whether it calls with temporary credentials."""
        return self.access_key_id.startswith("ASIA")


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
    source_ip: str = ""
    endpoint: str = ""
    """The URL by which the caller has reached us: "http://localhost:4566"; empty if there was no HTTP."""
    signing_name: str = ""
    """The name for which requests to the service are signed, where it is not `service`: "states" of stepfunctions."""


Handler = Callable[[Call], Awaitable[Mapping[str, Any]]]
"""Carries out one operation; returns the members of the output shape; raises `ApiError`."""
