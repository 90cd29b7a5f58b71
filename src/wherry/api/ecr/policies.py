"""What repositories do not have here, and say so when they are asked: policies of their own, and of the registry."""

from __future__ import annotations

from typing import Any, NoReturn

from wherry.api.context import Context
from wherry.api.ecr import lookup
from wherry.model.call import Call
from wherry.model.ecr.errors import (
    LifecyclePolicyNotFoundException,
    RegistryPolicyNotFoundException,
    RepositoryPolicyNotFoundException,
)


async def get_repository_policy(ctx: Context, call: Call) -> NoReturn:
    """GetRepositoryPolicy: that there is none."""
    name = await _existing(ctx, call)
    raise RepositoryPolicyNotFoundException(
        f"Repository policy does not exist for the repository with name '{name}' in the registry with id "
        f"'{ctx.scope.account_id}'"
    )


async def delete_repository_policy(ctx: Context, call: Call) -> NoReturn:
    """DeleteRepositoryPolicy: that there is none."""
    await get_repository_policy(ctx, call)


async def get_lifecycle_policy(ctx: Context, call: Call) -> NoReturn:
    """GetLifecyclePolicy: that there is none."""
    name = await _existing(ctx, call)
    raise LifecyclePolicyNotFoundException(
        f"Lifecycle policy does not exist for the repository with name '{name}' in the registry with id "
        f"'{ctx.scope.account_id}'"
    )


async def delete_lifecycle_policy(ctx: Context, call: Call) -> NoReturn:
    """DeleteLifecyclePolicy: that there is none."""
    await get_lifecycle_policy(ctx, call)


async def get_registry_policy(ctx: Context, call: Call) -> NoReturn:
    """GetRegistryPolicy: that there is none."""
    lookup.check(call)
    raise RegistryPolicyNotFoundException(
        f"Registry policy does not exist in the registry with id '{ctx.scope.account_id}'"
    )


async def delete_registry_policy(ctx: Context, call: Call) -> NoReturn:
    """DeleteRegistryPolicy: that there is none."""
    await get_registry_policy(ctx, call)


async def describe_registry(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeRegistry: whose it is, and that nothing is replicated."""
    lookup.check(call)
    return {"registryId": ctx.scope.account_id, "replicationConfiguration": {"rules": []}}


async def _existing(ctx: Context, call: Call) -> str:
    params = lookup.check(call)
    registry = lookup.registry_id(ctx, params)
    found = await ctx.store.read(lookup.repository, params["repositoryName"], registry, ctx.scope.account_id)
    return found.repository_name
