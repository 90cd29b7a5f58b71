"""The filter-pattern language of CloudWatch Logs: a pattern is compiled once, to a predicate over messages."""

from wherry.model.logs.pattern.language import MATCH_ALL, Pattern, PatternError, compile_pattern

__all__ = ["MATCH_ALL", "Pattern", "PatternError", "compile_pattern"]
