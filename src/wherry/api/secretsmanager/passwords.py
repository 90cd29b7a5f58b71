"""Passwords made of chance."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.api import constraints
from wherry.api.context import Context
from wherry.model.call import Call
from wherry.model.secretsmanager import password


async def get_random_password(ctx: Context, call: Call) -> dict[str, Any]:
    """GetRandomPassword: of the types of characters that are not excluded, 32 characters unless told."""
    constraints.check(call)
    given = {name: value for name, value in call.params.items() if value is not None}
    return {"RandomPassword": password.generate(msgspec.convert(given, password.Wishes), ctx.entropy)}
