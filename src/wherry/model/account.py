"""What belongs to the account: settings and remembered requests."""

from __future__ import annotations

from wherry.model.base import Entity


class AccountSetting(Entity, frozen=True):
    """A setting that somebody chose. Key: `key` = "principal-or-default/name".

    `principal_arn` None: the account's default.
    """

    key: str
    name: str
    value: str
    principal_arn: str | None = None


class IdempotencyToken(Entity, frozen=True):
    """A client token and what the first request with it made. Key: `key` = "operation/cluster-arn/token".

    `fingerprint` is a digest of the parameters; `resource_arns` are what it answered with; dropped at `expires_at`.
    """

    key: str
    fingerprint: str
    resource_arns: tuple[str, ...]
    expires_at: float


class Meta(Entity, frozen=True):
    """One fact about this installation, such as the region that its ARNs carry. Key: `name`."""

    name: str
    value: str
