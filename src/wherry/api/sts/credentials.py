"""Temporary credentials: of a role for whom it trusts, and of the caller itself."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from wherry.api.context import Context
from wherry.api.iam.entities import find_policy
from wherry.api.iam.permissions import NOTHING, keys_of, permissions_of, with_keys
from wherry.api.iam.roles import find_role
from wherry.api.sts import sessions
from wherry.api.sts.sessions import SessionCredentials, assumed_role_arn
from wherry.model.call import Call, Principal
from wherry.model.iam.document import parse_identity_policy, parse_trust_policy
from wherry.model.iam.errors import AccessDenied, PackedPolicyTooLargeException, ValidationError
from wherry.model.iam.evaluate import Decision, Request, Source, trusts
from wherry.model.iam.identity import Role
from wherry.store import Tx

_SESSION_POLICY_SIZE = 2_048
_CHAINED = 3_600
_ROOT_SESSION = 3_600
_REFUSED = {
    "Tags": "Wherry has no session tags. Tag the role, and use aws:PrincipalTag.",
    "TransitiveTagKeys": "Wherry has no session tags. Tag the role, and use aws:PrincipalTag.",
    "SerialNumber": "Wherry has no MFA devices.",
    "TokenCode": "Wherry has no MFA devices.",
    "SourceIdentity": "Wherry does not carry source identities.",
    "ProvidedContexts": "Wherry has no context providers.",
    "MinimumSessionTokenSize": "Session tokens are as long as what is in them.",
}
_PATTERNS = {"RoleSessionName": r"[\w+=,.@-]*", "ExternalId": r"[\w+=,.@:\/-]*"}
_GRANTED = Source(
    policy=parse_identity_policy('{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}')
)
"""What a trust policy grants to a principal that it names: as if the principal had this policy itself."""


async def assume_role(ctx: Context, call: Call) -> dict[str, Any]:
    """AssumeRole: credentials that act as a role, for a caller whom its trust policy and the caller's own let."""
    params = call.params
    _refuse(call)
    _check_patterns(call)
    policy, arns = params.get("Policy"), tuple(each.get("arn") or "" for each in params.get("PolicyArns") or ())
    _check_session_policy(policy)
    role = await ctx.store.read(_assumable, ctx, call, arns)
    seconds = _duration(call, role)
    credentials = sessions.mint(
        ctx.keyring,
        role_arn=role.arn,
        role_id=role.role_id,
        session_name=params["RoleSessionName"],
        expires_at=ctx.clock() + seconds,
        entropy=ctx.entropy,
        policies=(policy,) if policy else (),
        policy_arns=arns,
    )
    used = len(policy or "") + sum(map(len, arns))
    return {
        "Credentials": _view(credentials),
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role.role_id}:{params['RoleSessionName']}",
            "Arn": assumed_role_arn(role.arn, params["RoleSessionName"]),
        },
        "PackedPolicySize": min(100, -(-100 * used // _SESSION_POLICY_SIZE)) if used else None,
    }


async def get_session_token(ctx: Context, call: Call) -> dict[str, Any]:
    """GetSessionToken: temporary credentials of a user, or of the account's root, which lasts an hour at most."""
    _refuse(call)
    principal = call.principal
    if principal.is_temporary:
        raise AccessDenied("Cannot call GetSessionToken with session credentials")
    seconds = call.params.get("DurationSeconds", 43_200)
    credentials = sessions.mint_for_caller(
        ctx.keyring,
        principal_arn=principal.arn,
        user_id=principal.user_id,
        expires_at=ctx.clock() + (min(seconds, _ROOT_SESSION) if principal.is_administrator else seconds),
        entropy=ctx.entropy,
    )
    return {"Credentials": _view(credentials)}


def _view(credentials: SessionCredentials) -> dict[str, Any]:
    return {
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "SessionToken": credentials.session_token,
        "Expiration": credentials.expires_at,
    }


def _refuse(call: Call) -> None:
    for member, sentence in _REFUSED.items():
        if call.params.get(member):
            raise ValidationError(f"{member} is not supported: {sentence}")


def _check_patterns(call: Call) -> None:
    """Refuse what could be taken for more than a name where it becomes part of ARNs and conditions."""
    for member, pattern in _PATTERNS.items():
        given = call.params.get(member)
        if given is not None and not re.fullmatch(pattern, given, re.ASCII):
            raise ValidationError(
                f"1 validation error detected: Value '{given}' at '{member[:1].lower()}{member[1:]}' failed to satisfy "
                f"constraint: Member must satisfy regular expression pattern: {pattern}"
            )


def _check_session_policy(policy: str | None) -> None:
    if policy is None:
        return
    parse_identity_policy(policy)
    if len(policy) > _SESSION_POLICY_SIZE:
        raise PackedPolicyTooLargeException(
            f"The session policy has {len(policy)} characters; {_SESSION_POLICY_SIZE} are allowed."
        )


def _duration(call: Call, role: Role) -> int:
    seconds: int = call.params.get("DurationSeconds", 3_600)
    if call.principal.user_name is None and not call.principal.is_administrator and seconds > _CHAINED:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    if seconds > role.max_session_duration:
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return seconds


def _assumable(tx: Tx, ctx: Context, call: Call, policy_arns: tuple[str, ...]) -> Role:
    """Find the role if the caller may assume it; who may not learns no more than that."""
    role_arn, principal = call.params["RoleArn"], call.principal
    role = find_role(tx, role_arn, ctx.scope) if role_arn.startswith("arn:") else None
    if role is None or not _may_assume(tx, ctx, call, role):
        raise AccessDenied(
            f"User: {principal.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
        )
    for policy_arn in policy_arns:
        if find_policy(tx, policy_arn) is None:
            raise ValidationError(f"The managed policy {policy_arn} of PolicyArns does not exist.")
    return role


def _may_assume(tx: Tx, ctx: Context, call: Call, role: Role) -> bool:
    """Decide as within one account: the trust policy names the caller, or the account, which then decides itself."""
    principal = call.principal
    keys: dict[str, str | tuple[str, ...]] = {"sts:RoleSessionName": call.params["RoleSessionName"]}
    if call.params.get("ExternalId"):
        keys["sts:ExternalId"] = call.params["ExternalId"]
    keys |= {f"aws:ResourceTag/{tag.key}": tag.value for tag in role.tags}
    context = with_keys(keys_of(tx, call, ctx.clock()), keys)
    request = Request(action="sts:AssumeRole", resource=role.arn, keys=context)
    trust = parse_trust_policy(role.assume_role_policy_document)
    by_name = trusts(trust, request, _names(principal))
    by_account = trusts(trust, request, _accounts(principal))
    if "denied" in (by_name, by_account) or "yes" not in (by_name, by_account):
        return False
    return principal.is_administrator or _allows(tx, principal, request, granted=by_name == "yes").is_allowed


def _allows(tx: Tx, principal: Principal, request: Request, *, granted: bool) -> Decision:
    permissions = permissions_of(tx, principal)
    if granted and permissions is not NOTHING:
        permissions = msgspec.structs.replace(permissions, identity=(*permissions.identity, _GRANTED))
    return permissions.decide(request)


def _names(principal: Principal) -> list[tuple[str, str]]:
    return [("AWS", principal.arn), ("AWS", principal.identity_arn or principal.arn)]


def _accounts(principal: Principal) -> list[tuple[str, str]]:
    return [("AWS", principal.account_id), ("AWS", f"arn:aws:iam::{principal.account_id}:root")]
