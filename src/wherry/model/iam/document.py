"""Policy documents: read from JSON, checked as IAM does, with IAM's words for what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

from wherry.model.base import Value
from wherry.model.iam.conditions import Condition, read_conditions
from wherry.model.iam.errors import MalformedPolicyDocumentException

LATEST = "2012-10-17"
_VERSIONS = ("2008-10-17", LATEST)
_DOCUMENT = frozenset({"Version", "Id", "Statement"})
_STATEMENT = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_SID = re.compile(r"[A-Za-z0-9]*")
_VENDOR = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_PRINCIPALS = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})
_SYNTAX = "Syntax errors in policy."


class Statement(Value, frozen=True):
    """A statement. A list that is negated names what it is not about; `principals` are pairs of kind and value."""

    allows: bool
    actions: tuple[str, ...]
    negated_actions: bool = False
    resources: tuple[str, ...] = ()
    negated_resources: bool = False
    principals: tuple[tuple[str, str], ...] = ()
    conditions: tuple[Condition, ...] = ()
    sid: str = ""


class Policy(Value, frozen=True):
    """A policy document that IAM would take."""

    statements: tuple[Statement, ...]


@lru_cache(maxsize=1024)
def parse_identity_policy(text: str) -> Policy:
    """Read a policy of a role, user, group or session; raises `MalformedPolicyDocumentException`."""
    return Policy(statements=_statements(text, trust=False))


@lru_cache(maxsize=256)
def parse_trust_policy(text: str) -> Policy:
    """Read a policy that says who may assume a role; raises `MalformedPolicyDocumentException`."""
    return Policy(statements=_statements(text, trust=True))


def size_of(text: str) -> int:
    """Count the characters of a document that IAM counts: all but white space."""
    return len(re.sub(r"\s", "", text))


def _statements(text: str, *, trust: bool) -> tuple[Statement, ...]:
    document = _decode(text)
    version = document.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        _refuse("The policy must contain a valid version string" if trust else _SYNTAX)
    raw = document.get("Statement")
    items = [raw] if isinstance(raw, Mapping) else raw
    if not isinstance(items, list) or not items:
        _refuse(_SYNTAX)
    read = tuple(_statement(item, trust=trust, literal=version != LATEST) for item in items)
    sids = [statement.sid for statement in read if statement.sid]
    if len(set(sids)) < len(sids):
        _refuse("Statement IDs (SID) in a single policy must be unique.")
    return read


def _decode(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        _refuse(_SYNTAX if text.lstrip().startswith("{") else "This policy contains invalid Json")
    if not isinstance(document, Mapping) or set(document) - _DOCUMENT or not isinstance(document.get("Id", ""), str):
        _refuse(_SYNTAX)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError
    return members


def _statement(raw: Any, *, trust: bool, literal: bool) -> Statement:
    if not isinstance(raw, Mapping) or set(raw) - _STATEMENT:
        _refuse(_SYNTAX)
    sid, effect = raw.get("Sid", ""), raw.get("Effect")
    if not isinstance(sid, str) or effect not in ("Allow", "Deny"):
        _refuse(_SYNTAX)
    if not _SID.fullmatch(sid):
        _refuse("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression")
    actions = _texts(raw, "Action", "NotAction", "Policy statement must contain actions.", literal=False)
    _check_actions(actions, trust=trust)
    resources: tuple[str, ...] = ()
    if trust:
        _refuse_members(raw, ("Resource", "NotResource"), "Has prohibited field Resource")
        _refuse_members(raw, ("NotPrincipal",), "AssumeRolepolicy contained an invalid principal: NotPrincipal.")
    else:
        _refuse_members(raw, ("Principal", "NotPrincipal"), "Policy document should not specify a principal.")
        missing = "Policy statement must contain resources."
        resources = _texts(raw, "Resource", "NotResource", missing, literal=literal)
        _check_resources(resources)
    return Statement(
        sid=sid,
        allows=effect == "Allow",
        actions=actions,
        negated_actions="NotAction" in raw,
        resources=resources,
        negated_resources="NotResource" in raw,
        principals=_principals(raw) if trust else (),
        conditions=read_conditions(raw.get("Condition", {}), literal=literal),
    )


def _texts(raw: Mapping[str, Any], name: str, negated: str, missing: str, *, literal: bool) -> tuple[str, ...]:
    if name in raw and negated in raw:
        _refuse(_SYNTAX)
    found = raw.get(name, raw.get(negated, []))
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        _refuse(_SYNTAX)
    if not texts:
        _refuse(missing)
    # A document of 2008 knows no variables: its dollar signs are nothing but that.
    return tuple(text.replace("$", "${$}") if literal else text for text in texts)


def _check_actions(actions: tuple[str, ...], *, trust: bool) -> None:
    for action in actions:
        if action != "*" and not _VENDOR.fullmatch(action):
            _refuse("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        if trust and not action.lower().startswith("sts:"):
            _refuse("AssumeRole policy may only specify STS AssumeRole actions.")


def _check_resources(resources: tuple[str, ...]) -> None:
    for resource in resources:
        if resource != "*" and (not resource.startswith("arn:") or resource.count(":") < 5) and "*" not in resource:
            _refuse(f'Resource {resource} must be in ARN format or "*".')


def _principals(raw: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = raw.get("Principal")
    if found == "*":
        return (("AWS", "*"),)
    if not isinstance(found, Mapping) or not found:
        _refuse("Missing required field Principal")
    pairs: list[tuple[str, str]] = []
    for kind, value in found.items():
        values = [value] if isinstance(value, str) else value
        if kind not in _PRINCIPALS or not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            _refuse(_SYNTAX)
        pairs += ((kind, name) for name in values)
    return tuple(pairs)


def _refuse_members(raw: Mapping[str, Any], names: tuple[str, ...], sentence: str) -> None:
    if any(name in raw for name in names):
        _refuse(sentence)


def _refuse(sentence: str) -> NoReturn:
    raise MalformedPolicyDocumentException(sentence)
