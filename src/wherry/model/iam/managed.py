"""Managed policies, which have an ARN of their own and versions."""

from __future__ import annotations

from wherry.model.base import Entity, Tag, Value


class PolicyVersion(Value, frozen=True):
    """A version of a managed policy; `number` 3 is "v3"."""

    number: int
    document: str
    created_at: float

    @property
    def version_id(self) -> str:
        """The version as callers name it."""
        return f"v{self.number}"


class ManagedPolicy(Entity, frozen=True, kw_only=True):
    """A managed policy. Key: `arn`; `versions` in the order of their numbers."""

    arn: str
    policy_name: str
    policy_id: str
    path: str
    created_at: float
    updated_at: float
    versions: tuple[PolicyVersion, ...]
    default_number: int = 1
    last_number: int = 1
    description: str | None = None
    tags: tuple[Tag, ...] = ()

    @property
    def folded_name(self) -> str:
        """The name without case, by which names are told apart."""
        return self.policy_name.lower()

    @property
    def is_aws_managed(self) -> bool:
        """Whether AWS made it: nobody changes it."""
        return self.arn.startswith("arn:aws:iam::aws:")

    @property
    def document(self) -> str:
        """The document of the default version."""
        return next(version.document for version in self.versions if version.number == self.default_number)

    def find_version(self, version_id: str) -> PolicyVersion | None:
        """Return the version that a caller names."""
        return next((version for version in self.versions if version.version_id == version_id), None)
