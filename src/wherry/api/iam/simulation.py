"""The policy simulator: what would be decided, without doing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from wherry.api.context import Context
from wherry.api.iam import paging
from wherry.api.iam.entities import group as named_group
from wherry.api.iam.entities import role as named_role
from wherry.api.iam.entities import user as named_user
from wherry.api.iam.permissions import Permissions, permissions_of_identity
from wherry.model import arn
from wherry.model.call import Call
from wherry.model.iam.document import parse_identity_policy
from wherry.model.iam.errors import InvalidInputException, NoSuchEntityException
from wherry.model.iam.evaluate import Decision, Request, Source
from wherry.model.iam.identity import Identity
from wherry.model.iam.wildcards import Keys
from wherry.store import Tx

_REFUSED = {
    "ResourcePolicy": "Wherry evaluates no resource-based policies but the trust policies of roles. Remove it.",
    "ResourceOwner": "Wherry has one account, which owns everything. Remove it.",
    "ResourceHandlingOption": "Wherry simulates no scenarios of EC2. Remove it.",
    "PolicyExclusionList": "Wherry cannot leave policies of the principal out. Use SimulateCustomPolicy.",
}


async def simulate_custom_policy(_: Context, call: Call) -> dict[str, Any]:
    """SimulateCustomPolicy: what the policies in the request would allow."""
    _check(call)
    given = _sources(call.params["PolicyInputList"], "PolicyInputList")
    permissions = Permissions(identity=given, boundary=_boundary(call))
    return _answer(call, permissions, _keys(call, call.params.get("CallerArn")))


async def simulate_principal_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """SimulatePrincipalPolicy: what the policies of a user, group or role would allow, with further ones if given."""
    _check(call)
    source_arn = call.params["PolicySourceArn"]
    stored = await ctx.store.read(_stored, source_arn)
    given = _sources(call.params.get("PolicyInputList") or (), "PolicyInputList")
    permissions = msgspec.structs.replace(
        stored,
        identity=(*stored.identity, *given),
        boundary=_boundary(call) or stored.boundary,
    )
    return _answer(call, permissions, _keys(call, call.params.get("CallerArn") or source_arn))


def _check(call: Call) -> None:
    for member, sentence in _REFUSED.items():
        if call.params.get(member):
            raise InvalidInputException(f"{member} is not supported: {sentence}")


def _sources(documents: Iterable[str], name: str) -> tuple[Source, ...]:
    return tuple(
        Source(policy=parse_identity_policy(document), id=f"{name}.{number}")
        for number, document in enumerate(documents, 1)
    )


def _boundary(call: Call) -> tuple[Source, ...] | None:
    name = "PermissionsBoundaryPolicyInputList"
    return _sources(call.params[name], name) if call.params.get(name) else None


def _stored(tx: Tx, source_arn: str) -> Permissions:
    return permissions_of_identity(tx, _identity(tx, source_arn))


def _identity(tx: Tx, source_arn: str) -> Identity:
    name = arn.last(source_arn)
    identity: Identity
    match arn.resource(source_arn).partition("/")[0]:
        case "role":
            identity = named_role(tx, name)
        case "user":
            identity = named_user(tx, name)
        case "group":
            identity = named_group(tx, name)
        case _:
            raise InvalidInputException(
                f"Invalid Entity Arn: {source_arn} does not clearly define entity type and name."
            )
    if identity.arn != source_arn:
        raise NoSuchEntityException(f"The entity {source_arn} cannot be found.")
    return identity


def _keys(call: Call, caller: str | None) -> Keys:
    keys = {
        entry["ContextKeyName"].lower(): tuple(entry.get("ContextKeyValues") or ())
        for entry in call.params.get("ContextEntries") or ()
        if entry.get("ContextKeyName")
    }
    if caller is not None:
        keys = {"aws:principalarn": (caller,)} | keys
        if ":user/" in caller:
            keys = {"aws:username": (arn.last(caller),)} | keys
    return keys


def _answer(call: Call, permissions: Permissions, keys: Keys) -> dict[str, Any]:
    actions: Sequence[str] = call.params["ActionNames"]
    resources: Sequence[str] = call.params.get("ResourceArns") or ["*"]
    requests = [Request(action=action, resource=resource, keys=keys) for action in actions for resource in resources]
    numbered = [(f"{number:06}", request) for number, request in enumerate(requests)]
    missing = _missing(permissions, keys)

    def view(item: tuple[str, Request]) -> Mapping[str, Any]:
        decision = permissions.decide(item[1])
        return _result(item[1], decision, permissions, missing)

    window = paging.window(call)
    return paging.cut(numbered, window, member="EvaluationResults", key=lambda item: item[0], view=view)


def _result(request: Request, decision: Decision, permissions: Permissions, missing: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "EvalActionName": request.action,
        "EvalResourceName": request.resource,
        "EvalDecision": decision.verdict,
        "MatchedStatements": [
            {"SourcePolicyId": source.id, "SourcePolicyType": source.type} for source in decision.matched
        ],
        "MissingContextValues": missing,
    }
    if permissions.boundary is not None:
        within = not (decision.layer == "permissions boundary" and not decision.is_allowed)
        result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": within}
    return result


def _missing(permissions: Permissions, keys: Keys) -> list[str]:
    """Name the condition keys that the policies ask for and the request does not have."""
    asked = {
        condition.key
        for source in (*permissions.identity, *(permissions.boundary or ()))
        for statement in source.policy.statements
        for condition in statement.conditions
    }
    return sorted(asked - set(keys))
