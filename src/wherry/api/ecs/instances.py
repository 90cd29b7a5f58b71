"""Container instances and their attributes, as far as there are any: none, since hosts join the Fargate pool only."""

from __future__ import annotations

from typing import Any

from wherry.api.context import Context
from wherry.api.ecs import clusters, paging
from wherry.model import arn
from wherry.model.call import Call
from wherry.model.container_rules import one_of
from wherry.model.errors import ClientException, InvalidParameterException

BATCH = 100
"""Container instances that one DescribeContainerInstances takes."""

_STATUSES = ("ACTIVE", "DRAINING", "REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED")
_INCLUDES = ("TAGS", "CONTAINER_INSTANCE_HEALTH")


async def list_container_instances(ctx: Context, call: Call) -> dict[str, Any]:
    """ListContainerInstances: a cluster has none, whatever the filter."""
    _check_one_of("status", call.params.get("status"), _STATUSES)
    await _check_page(ctx, call)
    return {"containerInstanceArns": []}


async def describe_container_instances(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeContainerInstances: each of up to 100 is MISSING."""
    refs = call.params["containerInstances"]
    if not refs:
        raise ClientException("Container Instances cannot be empty.")
    if len(refs) > BATCH:
        raise InvalidParameterException(f"containerInstances can have at most {BATCH} items.")
    for name in call.params.get("include") or ():
        _check_one_of("include", name, _INCLUDES)
    cluster = await ctx.store.read(clusters.resolve_cluster, ctx.scope, call.params.get("cluster"))
    arns = (
        ref if ref.startswith("arn:") else ctx.scope.container_instance(cluster.cluster_name, arn.last(ref))
        for ref in refs
    )
    return {"containerInstances": [], "failures": [{"arn": ref, "reason": "MISSING"} for ref in dict.fromkeys(arns)]}


async def list_attributes(ctx: Context, call: Call) -> dict[str, Any]:
    """ListAttributes: what is not there has none."""
    _check_one_of("targetType", call.params["targetType"], ("container-instance",))
    if call.params.get("attributeValue") and not call.params.get("attributeName"):
        raise InvalidParameterException("attributeName is required when attributeValue is specified.")
    await _check_page(ctx, call)
    return {"attributes": []}


async def _check_page(ctx: Context, call: Call) -> None:
    paging.window(call.params.get("nextToken"), call.params.get("maxResults"))
    await ctx.store.read(clusters.resolve_cluster, ctx.scope, call.params.get("cluster"))


def _check_one_of(member: str, value: str | None, allowed: tuple[str, ...]) -> None:
    for problem in one_of(value, allowed, (member,)):
        raise problem.error()
