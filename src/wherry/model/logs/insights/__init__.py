"""The everyday part of the Logs Insights query language: a query is compiled once and fed with events."""

from wherry.model.logs.insights.plan import Plan, compile_query
from wherry.model.logs.insights.tokens import QueryError
from wherry.model.logs.insights.values import Row

__all__ = ["Plan", "QueryError", "Row", "compile_query"]
