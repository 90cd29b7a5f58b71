"""The decision whether a request is allowed, in AWS's order: any deny wins; then each layer must have an allow.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from wherry.model.base import Value
from wherry.model.iam.conditions import holds
from wherry.model.iam.document import Policy, Statement
from wherry.model.iam.wildcards import Keys, matches, substitute

Layer = Literal["identity-based policy", "permissions boundary", "session policy"]
Verdict = Literal["allowed", "explicitDeny", "implicitDeny"]


class Request(Value, frozen=True):
    """What is asked: an action such as "ecs:RunTask" on the ARN of a resource, or on "*", with condition keys."""

    action: str
    resource: str
    keys: Keys


class Source(Value, frozen=True):
    """A policy with its name and type, as the simulator shows where a decision comes from."""

    policy: Policy
    id: str = ""
    type: str = "none"


class Decision(Value, frozen=True):
    """What was decided; for a denial `layer` is the one that decided. `matched` are the policies that spoke."""

    verdict: Verdict
    layer: Layer = "identity-based policy"
    matched: tuple[Source, ...] = ()

    @property
    def is_allowed(self) -> bool:
        """Whether the request may be carried out."""
        return self.verdict == "allowed"

    def sentence(self, principal_arn: str, request: Request) -> str:
        """Say why a request is denied, in AWS's words."""
        on = f" on resource: {request.resource}" if request.resource != "*" else ""
        article = "an" if self.layer.startswith("i") else "a"
        why = (
            f"with an explicit deny in {article} {self.layer}"
            if self.verdict == "explicitDeny"
            else f"because no {self.layer} allows the {request.action} action"
        )
        return f"User: {principal_arn} is not authorized to perform: {request.action}{on} {why}"


def evaluate(
    request: Request,
    *,
    identity: Sequence[Source],
    boundary: Sequence[Source] | None = None,
    session: Sequence[Source] | None = None,
) -> Decision:
    """Decide by the policies of an identity, within its boundary and its session policies where there are some."""
    layers: list[tuple[Layer, Sequence[Source]]] = [("identity-based policy", identity)]
    if boundary is not None:
        layers.append(("permissions boundary", boundary))
    if session is not None:
        layers.append(("session policy", session))
    spoken = [(layer, *_spoken(request, sources)) for layer, sources in layers]
    for layer, _, denying in spoken:
        if denying:
            return Decision(verdict="explicitDeny", layer=layer, matched=denying)
    for layer, allowing, _ in spoken:
        if not allowing:
            return Decision(verdict="implicitDeny", layer=layer)
    return Decision(verdict="allowed", matched=tuple(source for _, allowing, _ in spoken for source in allowing))


def trusts(policy: Policy, request: Request, principals: Collection[tuple[str, str]]) -> Literal["yes", "no", "denied"]:
    """Tell whether a trust policy lets one of the `principals`, all of whom call, assume the role."""
    names = {*principals, ("AWS", "*")} if any(kind == "AWS" for kind, _ in principals) else set(principals)
    applying = [
        statement
        for statement in policy.statements
        if names.intersection(statement.principals)
        and _is_about_action(statement, request.action)
        and _conditions_hold(statement, request)
    ]
    if not all(statement.allows for statement in applying):
        return "denied"
    return "yes" if applying else "no"


def _spoken(request: Request, sources: Iterable[Source]) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Return the sources that allow and those that deny."""
    allowing: list[Source] = []
    denying: list[Source] = []
    for source in sources:
        effects = {statement.allows for statement in source.policy.statements if applies(statement, request)}
        if True in effects:
            allowing.append(source)
        if False in effects:
            denying.append(source)
    return tuple(allowing), tuple(denying)


def applies(statement: Statement, request: Request) -> bool:
    """Tell whether a statement of an identity's policy is about a request."""
    return (
        _is_about_action(statement, request.action)
        and _is_about_resource(statement, request)
        and _conditions_hold(statement, request)
    )


def _is_about_action(statement: Statement, action: str) -> bool:
    named = any(matches(pattern.lower(), action.lower()) for pattern in statement.actions)
    return named != statement.negated_actions


def _is_about_resource(statement: Statement, request: Request) -> bool:
    patterns = [substitute(pattern, request.keys) for pattern in statement.resources]
    if statement.negated_resources and None in patterns:
        return not statement.allows  # what cannot be told apart is not allowed by it, and denied by it
    named = any(pattern is not None and matches(pattern, request.resource) for pattern in patterns)
    return named != statement.negated_resources


def _conditions_hold(statement: Statement, request: Request) -> bool:
    return all(holds(condition, request.keys) for condition in statement.conditions)
