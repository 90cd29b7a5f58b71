"""Who calls."""

from __future__ import annotations

from typing import Any

from wherry.api.context import Context
from wherry.model import arn
from wherry.model.call import Call


async def get_caller_identity(_: Context, call: Call) -> dict[str, Any]:
    """GetCallerIdentity: the principal that signed the request; a root's user id is the account."""
    principal = call.principal
    user_id = principal.account_id if arn.last(principal.arn).endswith(":root") else principal.access_key_id
    return {"Account": principal.account_id, "Arn": principal.arn, "UserId": user_id}
