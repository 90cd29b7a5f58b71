"""How every operation finds what it names, and what names, paths and ARNs may be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.iam.aws_managed import AWS_MANAGED
from wherry.model.iam.errors import (
    AccessDenied,
    EntityAlreadyExistsException,
    NoSuchEntityException,
    UnmodifiableEntityException,
    ValidationError,
)
from wherry.model.iam.identity import Group, Identity, InstanceProfile, Role, User
from wherry.model.iam.managed import ManagedPolicy
from wherry.store import Tx

_NAME = re.compile(r"[\w+=,.@-]+", re.ASCII)
_PATH = re.compile(r"/|/[\x21-\x7e]+/")
Named = TypeVar("Named", Role, User, Group, InstanceProfile, ManagedPolicy)


class Noun(msgspec.Struct, frozen=True):
    """A kind of identity: the member that names one, how to find it, and how long its inline policies may be."""

    kind: str
    member: str
    find: Callable[[Tx, str], Identity]
    inline_limit: int

    def changeable(self, tx: Tx, name: str) -> Identity:
        """Find one that is to be changed; raises NoSuchEntity, and UnmodifiableEntity for a service's own role."""
        found = self.find(tx, name)
        if isinstance(found, Role):
            check_changeable(found)
        return found


def role(tx: Tx, name: str) -> Role:
    """Find a role; raises NoSuchEntity."""
    if (found := tx.get(Role, name)) is None:
        raise NoSuchEntityException(f"The role with name {name} cannot be found.")
    return found


def user(tx: Tx, name: str) -> User:
    """Find a user; raises NoSuchEntity."""
    if (found := tx.get(User, name)) is None:
        raise NoSuchEntityException(f"The user with name {name} cannot be found.")
    return found


def group(tx: Tx, name: str) -> Group:
    """Find a group; raises NoSuchEntity."""
    if (found := tx.get(Group, name)) is None:
        raise NoSuchEntityException(f"The group with name {name} cannot be found.")
    return found


def instance_profile(tx: Tx, name: str) -> InstanceProfile:
    """Find an instance profile; raises NoSuchEntity."""
    if (found := tx.get(InstanceProfile, name)) is None:
        raise NoSuchEntityException(f"Instance Profile {name} cannot be found.")
    return found


def find_policy(tx: Tx, arn: str) -> ManagedPolicy | None:
    """Find a managed policy, AWS's own or the account's."""
    return AWS_MANAGED.get(arn) or tx.get(ManagedPolicy, arn)


def policy(tx: Tx, arn: str) -> ManagedPolicy:
    """Find a managed policy, AWS's own or the account's; raises NoSuchEntity."""
    if not arn.startswith("arn:aws:iam::"):
        raise ValidationError(f"ARN {arn} is not valid.")
    if (found := find_policy(tx, arn)) is None:
        raise NoSuchEntityException(f"Policy {arn} was not found.")
    return found


def customer_policy(tx: Tx, arn: str) -> ManagedPolicy:
    """Find a managed policy that is to be changed; raises NoSuchEntity, AccessDenied for one of AWS's own."""
    found = policy(tx, arn)
    if found.is_aws_managed:
        raise AccessDenied(
            "Policies that AWS manages cannot be changed. Create a policy of your own with its document."
        )
    return found


ROLE = Noun("role", "RoleName", role, 10_240)
USER = Noun("user", "UserName", user, 2_048)
GROUP = Noun("group", "GroupName", group, 5_120)


def check_changeable(found: Role) -> None:
    """Raise UnmodifiableEntity for a service-linked role."""
    if found.is_service_linked:
        raise UnmodifiableEntityException(
            f"Cannot perform the operation on the protected role '{found.role_name}' - this role is only modifiable "
            "by AWS"
        )


def check_free(tx: Tx, type_: type[Named], name: str, sentence: str) -> None:
    """Raise EntityAlreadyExists with the sentence if a name is taken; case does not tell names apart."""
    if tx.count(type_, folded_name=name.lower()):
        raise EntityAlreadyExistsException(sentence)


def new_name(call: Call, member: str) -> str:
    """Read the name of what is to be made; raises ValidationError."""
    name: str = call.params[member]
    if not _NAME.fullmatch(name):
        shown = member[:1].lower() + member[1:]
        raise ValidationError(
            f"The specified value for {shown} is invalid. It must contain only alphanumeric characters and/or the "
            "following: +=,.@_-"
        )
    return name


def new_path(call: Call, member: str = "Path") -> str:
    """Read the path of what is to be made; raises ValidationError."""
    path: str = call.params.get(member) or "/"
    if not _PATH.fullmatch(path):
        raise ValidationError(
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric "
            "characters and/or / characters."
        )
    return path


def arn_of(scope: Scope, kind: str, path: str, name: str) -> str:
    """Name an entity of IAM; `kind` is the word of its ARNs, such as "role"."""
    return f"arn:aws:iam::{scope.account_id}:{kind}{path}{name}"


def encoded(document: str) -> str:
    """Write a policy document as IAM answers it: by RFC 3986."""
    return quote(document, safe="")


def boundary_view(arn: str | None) -> dict[str, Any] | None:
    """Show a permissions boundary."""
    return {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": arn} if arn else None
