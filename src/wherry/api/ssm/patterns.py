"""Allowed patterns, matched by RE2: its time is linear in the text, whatever a caller writes."""

from __future__ import annotations

import re2

from wherry.model.ssm.errors import InvalidAllowedPatternException, ParameterPatternMismatchException
from wherry.model.ssm.parameter import ParameterState, ParameterType


def check(state: ParameterState, value: str) -> None:
    """Raise ParameterPatternMismatchException for a value, or an item of a list, that the pattern does not allow."""
    if not state.allowed_pattern:
        return
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(state.allowed_pattern, options)
    except re2.error:
        raise InvalidAllowedPatternException(
            f"The pattern {state.allowed_pattern} is no regular expression of RE2, which has no lookaround and no "
            "backreferences."
        ) from None
    items = value.split(",") if state.type is ParameterType.STRING_LIST else [value]
    if not all(pattern.search(item) for item in items):
        raise ParameterPatternMismatchException(
            f"Parameter value, cannot be validated against allowedPattern: {state.allowed_pattern}"
        )
