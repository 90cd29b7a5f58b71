"""A secret and its versions, as they are stored: the values are sealed."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.model.base import Entity, Tag


class Secret(Entity, frozen=True):
    """A secret. Key: `arn`, which ends with six characters of chance after the name.

    `stages` maps each staging label to the id of the version that has it. `deletion_date` is the moment at which a
    secret that was deleted goes for good, `deleted_date` the one at which it was deleted; both None while it lives.
    """

    arn: str
    name: str
    created_date: float
    last_changed_date: float
    description: str | None = None
    kms_key_id: str | None = None
    tags: tuple[Tag, ...] = ()
    stages: Mapping[str, str] = {}
    deleted_date: float | None = None
    deletion_date: float | None = None

    @property
    def is_deleted(self) -> bool:
        """Whether it only waits for the end of its recovery window."""
        return self.deletion_date is not None


class SecretVersion(Entity, frozen=True):
    """A value that a secret has or had. Key: `key` = "secret-arn/version-id".

    `sealed` is the value, sealed for `key`: a text, or base64 of the bytes if `is_binary`.
    """

    key: str
    secret_arn: str
    version_id: str
    created_date: float
    sealed: str
    is_binary: bool = False

    def __repr__(self) -> str:
        """Show which version it is and nothing of the value."""
        return f"SecretVersion({self.key!r})"


def version_key(secret_arn: str, version_id: str) -> str:
    """Return the key of a version."""
    return f"{secret_arn}/{version_id}"
