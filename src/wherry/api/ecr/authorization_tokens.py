"""The token by which Docker logs in to the registry."""

from __future__ import annotations

from typing import Any

from wherry.api.context import Context
from wherry.api.ecr import lookup
from wherry.api.registry import tokens
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException


async def get_authorization_token(ctx: Context, call: Call) -> dict[str, Any]:
    """GetAuthorizationToken: the caller's own, for twelve hours, and where the registry is."""
    params = lookup.check(call)
    lookup.content(ctx)
    for registry in params.get("registryIds") or ():
        if registry != ctx.scope.account_id:
            raise InvalidParameterException(
                f"Wherry has one registry, that of the account {ctx.scope.account_id}, and none of {registry}."
            )
    expires_at = ctx.clock() + tokens.LIFETIME
    password = tokens.make(ctx.keyring, call.principal, expires_at=expires_at)
    data = {
        "authorizationToken": tokens.basic(password),
        "expiresAt": expires_at,
        "proxyEndpoint": call.endpoint or ctx.settings.base_url,
    }
    return {"authorizationData": [data]}
