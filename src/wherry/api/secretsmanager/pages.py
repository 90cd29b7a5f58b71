"""Pages of lists, with the errors of Secrets Manager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.api.ecs import paging
from wherry.api.ecs.paging import Window
from wherry.model.errors import InvalidParameterException
from wherry.model.secretsmanager.errors import InvalidNextTokenException


def window(params: Mapping[str, Any], *, default: int = 100, order: Any = tuple[str]) -> Window:
    """Read `NextToken` and `MaxResults`, whose range has been checked; raises InvalidNextTokenException."""
    token = params.get("NextToken")
    try:
        after = paging.read_token(token, order) if token else None
    except InvalidParameterException as error:
        raise InvalidNextTokenException(error.message) from None
    return Window(size=params.get("MaxResults") or default, after=after)
