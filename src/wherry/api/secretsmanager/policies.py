"""Resource policies of secrets: there are none, and that is said."""

from __future__ import annotations

from typing import Any

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.secretsmanager import lookup
from wherry.model.call import Call


async def get_resource_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """GetResourcePolicy: no secret has one."""
    return await _of(ctx, call)


async def delete_resource_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteResourcePolicy: there is none afterwards, as there was none before."""
    return await _of(ctx, call)


async def list_resource_policies(ctx: Context, call: Call) -> dict[str, Any]:
    """ListResourcePolicies: an empty list."""
    await _of(ctx, call)
    return {"ResourcePolicies": []}


async def _of(ctx: Context, call: Call) -> dict[str, Any]:
    constraints.check(call)
    secret = await ctx.store.read(lookup.find_living, ctx.scope, call.params["SecretId"])
    return {"ARN": secret.arn, "Name": secret.name}
