"""Whom policies are about: roles, users and groups; and what belongs to them."""

from __future__ import annotations

from typing import Literal

from wherry.model.base import Entity, Tag, Value


class InlinePolicy(Value, frozen=True):
    """A policy that is part of its identity."""

    name: str
    document: str


class Identity(Entity, frozen=True, kw_only=True):
    """What roles, users and groups have in common. `path` begins and ends with a slash."""

    arn: str
    path: str
    created_at: float
    inline_policies: tuple[InlinePolicy, ...] = ()

    def inline(self, name: str) -> InlinePolicy | None:
        """Return the inline policy of that name."""
        return next((policy for policy in self.inline_policies if policy.name == name), None)


class Role(Identity, frozen=True, kw_only=True):
    """A role. `max_session_duration` is in seconds; key: `role_name`."""

    role_name: str
    role_id: str
    assume_role_policy_document: str
    description: str | None = None
    max_session_duration: int = 3600
    permissions_boundary: str | None = None
    tags: tuple[Tag, ...] = ()

    @property
    def folded_name(self) -> str:
        """The name without case, by which names are told apart."""
        return self.role_name.lower()

    @property
    def is_service_linked(self) -> bool:
        """Whether it belongs to a service, which alone changes it."""
        return self.path.startswith("/aws-service-role/")


class User(Identity, frozen=True, kw_only=True):
    """A user. Key: `user_name`."""

    user_name: str
    user_id: str
    permissions_boundary: str | None = None
    tags: tuple[Tag, ...] = ()

    @property
    def folded_name(self) -> str:
        """The name without case, by which names are told apart."""
        return self.user_name.lower()


class Group(Identity, frozen=True, kw_only=True):
    """A group of users. Key: `group_name`."""

    group_name: str
    group_id: str

    @property
    def folded_name(self) -> str:
        """The name without case, by which names are told apart."""
        return self.group_name.lower()


class Membership(Entity, frozen=True, kw_only=True):
    """That a user is in a group. Key: `key` = "group/user"."""

    group_name: str
    user_name: str

    @property
    def key(self) -> str:
        """Both names; neither can have a slash."""
        return f"{self.group_name}/{self.user_name}"


class Attachment(Entity, frozen=True, kw_only=True):
    """That a managed policy is attached to an identity. Key: `key` = "identity-arn policy-arn"."""

    identity_arn: str
    policy_arn: str

    @property
    def key(self) -> str:
        """Both ARNs."""
        return f"{self.identity_arn} {self.policy_arn}"


class AccessKey(Entity, frozen=True, kw_only=True):
    """A user's access key. Key: `access_key_id`; `sealed_secret` is sealed for it."""

    access_key_id: str
    user_name: str
    sealed_secret: str
    created_at: float
    status: Literal["Active", "Inactive"] = "Active"

    def __repr__(self) -> str:
        """Show no secret, not even sealed."""
        return f"AccessKey({self.access_key_id})"


class InstanceProfile(Entity, frozen=True, kw_only=True):
    """What passes a role to a container instance. Key: `instance_profile_name`."""

    instance_profile_name: str
    instance_profile_id: str
    arn: str
    path: str
    created_at: float
    role_name: str | None = None
    tags: tuple[Tag, ...] = ()

    @property
    def folded_name(self) -> str:
        """The name without case, by which names are told apart."""
        return self.instance_profile_name.lower()
