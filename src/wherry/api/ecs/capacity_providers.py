"""The capacity providers that every account has: FARGATE and FARGATE_SPOT."""

from __future__ import annotations

from typing import Any

from wherry.api.context import Context
from wherry.api.ecs import clusters, paging
from wherry.api.ecs.strategy import PROVIDERS
from wherry.model import arn
from wherry.model.call import Call
from wherry.model.container_rules import one_of
from wherry.model.errors import InvalidParameterException

BATCH = 100
"""Capacity providers that one DescribeCapacityProviders takes."""


async def describe_capacity_providers(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeCapacityProviders: the two, those that are named, or those that are associated with a cluster."""
    params = call.params
    refs = list(dict.fromkeys(params.get("capacityProviders") or ()))
    if len(refs) > BATCH:
        raise InvalidParameterException(f"capacityProviders can have at most {BATCH} items.")
    for name in params.get("include") or ():
        for problem in one_of(name, ("TAGS",), ("include",)):
            raise problem.error()
    window = paging.window(params.get("nextToken"), params.get("maxResults"))
    there: tuple[str, ...] = PROVIDERS
    if params.get("cluster"):
        cluster = await ctx.store.read(clusters.resolve_cluster, ctx.scope, params["cluster"])
        there = cluster.capacity_providers
    arns = {_arn(ctx, name): name for name in there}
    asked = [ref if ref.startswith("arn:") else _arn(ctx, ref) for ref in refs]
    found = sorted(arns[ref] for ref in (asked or arns) if ref in arns)
    after = str(window.after[0]) if window.after else ""
    page, token = window.cut([name for name in found if name > after], lambda name: (name,))
    return {
        "capacityProviders": [_view(ctx, name) for name in page],
        "failures": [{"arn": ref, "reason": "MISSING"} for ref in asked if ref not in arns],
        "nextToken": token,
    }


def _arn(ctx: Context, name: str) -> str:
    return ctx.scope.arn(f"capacity-provider/{arn.last(name)}")


def _view(ctx: Context, name: str) -> dict[str, Any]:
    return {"capacityProviderArn": _arn(ctx, name), "name": name, "status": "ACTIVE", "type": name, "tags": []}
