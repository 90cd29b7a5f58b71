"""Parameters described, without their values."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.api import constraints
from wherry.api.context import Context
from wherry.api.ssm import pages, values
from wherry.model.call import Call
from wherry.model.errors import ValidationException
from wherry.model.ssm import filters
from wherry.model.ssm.filters import Filter


async def describe_parameters(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeParameters: those that pass the filters; nothing is shared from other accounts."""
    constraints.check(call)
    params = call.params
    if params.get("Filters"):
        raise ValidationException("Filters is deprecated. Use ParameterFilters, which can do the same.")
    wanted = msgspec.convert(params.get("ParameterFilters") or [], list[Filter])
    filters.check(wanted, filters.DESCRIBE, tags=True)
    window = pages.window(params, default=50)
    if params.get("Shared"):
        return {"Parameters": []}
    found = await ctx.store.read(values.matching, window, path="", recursive=True, wanted=wanted, scope=ctx.scope)
    page, token = window.cut(found, lambda parameter: (parameter.arn,))
    shown = [{**values.state_view(parameter), "ARN": parameter.arn} for parameter in page]
    return {"Parameters": shown, "NextToken": token}
