"""Policy documents in requests: read, measured, and their principals looked up."""

from __future__ import annotations

import re

from wherry.api.iam.entities import find_policy
from wherry.model import arn
from wherry.model.arn import Scope
from wherry.model.errors import LimitExceededException
from wherry.model.iam.document import parse_identity_policy, parse_trust_policy, size_of
from wherry.model.iam.errors import MalformedPolicyDocumentException, NoSuchEntityException
from wherry.model.iam.identity import Role, User
from wherry.store import Tx

_TRUST_LIMIT = 2_048
_ACCOUNT = re.compile("[0-9]{12}")
_PRINCIPAL = re.compile(
    r"arn:aws:(?:iam|sts)::(?P<account>[0-9]{12}):(?:root|(?P<kind>role|user|assumed-role)/(?P<rest>.+))"
)


def check_policy(document: str, *, limit: int, quota: str) -> None:
    """Raise MalformedPolicyDocument for a bad identity policy, LimitExceeded for one that is too long."""
    parse_identity_policy(document)
    if size_of(document) > limit:
        raise LimitExceededException(f"Cannot exceed quota for {quota}: {limit}")


def check_trust(tx: Tx, document: str, *, scope: Scope) -> None:
    """Raise MalformedPolicyDocument for a bad trust policy, and for one that names a role or user that is not there."""
    policy = parse_trust_policy(document)
    if size_of(document) > _TRUST_LIMIT:
        raise LimitExceededException(f"Cannot exceed quota for ACLSizePerRole: {_TRUST_LIMIT}")
    for statement in policy.statements:
        for kind, name in statement.principals:
            if kind == "AWS" and not _exists(tx, name, scope):
                raise MalformedPolicyDocumentException(f'Invalid principal in policy: "AWS":"{name}"')


def check_boundary(tx: Tx, policy_arn: str) -> None:
    """Raise NoSuchEntity for a permissions boundary that is not there."""
    if find_policy(tx, policy_arn) is None:
        raise NoSuchEntityException(f"Scope ARN: {policy_arn} does not exist or is not attachable.")


def _exists(tx: Tx, name: str, scope: Scope) -> bool:
    """Tell whether an AWS principal can be one; of other accounts nothing is known here."""
    if name == "*" or _ACCOUNT.fullmatch(name):
        return True
    found = _PRINCIPAL.fullmatch(name)
    if found is None:
        return False
    kind, rest = found["kind"], found["rest"]
    if kind is None or found["account"] != scope.account_id:
        return True
    if kind == "assumed-role":
        return tx.get(Role, rest.partition("/")[0]) is not None
    identity = tx.get(Role if kind == "role" else User, arn.last(name))
    return identity is not None and identity.arn == name
