"""What a principal may do: its policies, read from the store, and what a request tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from wherry.api.iam.entities import find_policy
from wherry.api.iam.groups import groups_of
from wherry.model import arn
from wherry.model.call import Call, Principal
from wherry.model.iam.document import parse_identity_policy
from wherry.model.iam.evaluate import Decision, Request, Source, evaluate
from wherry.model.iam.identity import Attachment, Group, Identity, Role, User
from wherry.model.iam.wildcards import Keys
from wherry.store import Tx


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """The layers of policies of a principal; a layer that is None does not limit."""

    identity: tuple[Source, ...]
    boundary: tuple[Source, ...] | None = None
    session: tuple[Source, ...] | None = None

    def decide(self, request: Request) -> Decision:
        """Decide whether a request is allowed."""
        return evaluate(request, identity=self.identity, boundary=self.boundary, session=self.session)


NOTHING = Permissions(identity=())


def permissions_of(tx: Tx, principal: Principal) -> Permissions:
    """Read the policies of a principal who is no administrator; one whose identity is gone has none."""
    identity = identity_of(tx, principal)
    if identity is None:
        return NOTHING
    session: tuple[Source, ...] | None = None
    if principal.session_policies or principal.session_policy_arns:
        inline = (Source(policy=parse_identity_policy(document)) for document in principal.session_policies)
        session = (*inline, *_managed(tx, principal.session_policy_arns))
    return msgspec.structs.replace(permissions_of_identity(tx, identity), session=session)


def permissions_of_identity(tx: Tx, identity: Identity) -> Permissions:
    """Read the policies of a role, of a user and the groups that the user is in, or of a group."""
    sources = [*_policies_of(tx, identity)]
    boundary = None
    if isinstance(identity, User):
        for group in groups_of(tx, identity.user_name):
            sources += _policies_of(tx, group)
    if isinstance(identity, Role | User) and identity.permissions_boundary is not None:
        boundary = tuple(_managed(tx, (identity.permissions_boundary,)))
    return Permissions(identity=tuple(sources), boundary=boundary)


def identity_of(tx: Tx, principal: Principal) -> Role | User | None:
    """Find the role or user that a principal acts as, None if it is gone: another of the same name is another one."""
    if principal.user_name is not None:
        user = tx.get(User, principal.user_name)
        return user if user is not None and user.user_id == principal.identity_id else None
    role = tx.get(Role, arn.last(principal.identity_arn))
    return role if role is not None and role.role_id == principal.identity_id else None


def keys_of(tx: Tx, call: Call, now: float) -> dict[str, tuple[str, ...]]:
    """Return the condition keys that every request of a caller has."""
    principal = call.principal
    identity = identity_of(tx, principal)
    keys: dict[str, tuple[str, ...]] = {
        "aws:principalarn": (principal.identity_arn or principal.arn,),
        "aws:principalaccount": (principal.account_id,),
        "aws:principaltype": (_type_of(principal),),
        "aws:userid": (principal.user_id,),
        "aws:requestedregion": (call.region,),
        "aws:currenttime": (datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),),
        "aws:epochtime": (str(int(now)),),
        "aws:securetransport": ("false",),
    }
    if call.source_ip:
        keys["aws:sourceip"] = (call.source_ip,)
    if isinstance(identity, User):
        keys["aws:username"] = (identity.user_name,)
    if principal.is_temporary:
        keys["aws:multifactorauthpresent"] = ("false",)
    if identity is not None:
        keys |= {f"aws:principaltag/{tag.key.lower()}": (tag.value,) for tag in identity.tags}
    return keys


def with_keys(keys: Keys, more: Mapping[str, str | tuple[str, ...]]) -> Keys:
    """Add condition keys, whose names are told apart without case."""
    added = {name.lower(): (value,) if isinstance(value, str) else value for name, value in more.items()}
    return {**keys, **added}


def _type_of(principal: Principal) -> str:
    if principal.is_administrator:
        return "Account"
    return "AssumedRole" if principal.user_name is None else "User"


def _policies_of(tx: Tx, identity: Identity) -> Iterator[Source]:
    kind = "role" if isinstance(identity, Role) else "group" if isinstance(identity, Group) else "user"
    for policy in identity.inline_policies:
        yield Source(policy=parse_identity_policy(policy.document), id=policy.name, type=kind)
    yield from _managed(tx, [each.policy_arn for each in tx.find(Attachment, identity_arn=identity.arn)])


def _managed(tx: Tx, arns: list[str] | tuple[str, ...]) -> Iterator[Source]:
    for policy_arn in arns:
        policy = find_policy(tx, policy_arn)
        if policy is not None:
            kind = "aws-managed" if policy.is_aws_managed else "user-managed"
            yield Source(policy=parse_identity_policy(policy.document), id=policy.policy_name, type=kind)
