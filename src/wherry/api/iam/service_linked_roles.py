"""The roles that belong to services; here it is ECS's alone."""

from __future__ import annotations

from typing import Any

from wherry.api.context import Context
from wherry.api.iam import roles
from wherry.api.iam.entities import arn_of
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.iam.errors import InvalidInputException
from wherry.model.iam.identity import Role
from wherry.model.iam.ids import unique_id
from wherry.model.ids import Entropy
from wherry.store import Tx

_SERVICE = "ecs.amazonaws.com"
_NAME = "AWSServiceRoleForECS"
_PATH = f"/aws-service-role/{_SERVICE}/"
_TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
    f'"Principal": {{"Service": "{_SERVICE}"}}, "Action": "sts:AssumeRole"}}]}}'
)


async def create_service_linked_role(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateServiceLinkedRole: make ECS's own role, which nothing here needs and infrastructure code asks for."""
    service = call.params["AWSServiceName"]
    if service != _SERVICE:
        raise InvalidInputException(f"Wherry makes the service-linked role of {_SERVICE} only, not that of {service}.")
    if call.params.get("CustomSuffix"):
        raise InvalidInputException(f"Custom suffix is not allowed for {service}")
    role = await ctx.store.write(
        _create,
        scope=ctx.scope,
        description=call.params.get("Description") or "Role to enable Amazon ECS to manage your cluster.",
        entropy=ctx.entropy,
        now=ctx.clock(),
    )
    return {"Role": roles.view(role)}


def _create(tx: Tx, *, scope: Scope, description: str, entropy: Entropy, now: float) -> Role:
    if tx.get(Role, _NAME) is not None:
        raise InvalidInputException(
            f"Service role name {_NAME} has been taken in this account, please try a different suffix."
        )
    return tx.put(
        Role(
            arn=arn_of(scope, "role", _PATH, _NAME),
            path=_PATH,
            role_name=_NAME,
            role_id=unique_id("AROA", entropy),
            assume_role_policy_document=_TRUST,
            description=description,
            created_at=now,
        )
    )
