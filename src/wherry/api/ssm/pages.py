"""Pages of lists, with the errors of SSM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.api.ecs import paging
from wherry.api.ecs.paging import Window
from wherry.model.errors import InvalidParameterException
from wherry.model.ssm.errors import InvalidNextToken


def window(params: Mapping[str, Any], *, default: int, order: Any = tuple[str]) -> Window:
    """Read `NextToken` and `MaxResults`, whose range has been checked; raises InvalidNextToken."""
    token = params.get("NextToken")
    try:
        after = paging.read_token(token, order) if token else None
    except InvalidParameterException as error:
        raise InvalidNextToken(error.message) from None
    return Window(size=params.get("MaxResults") or default, after=after)
