"""The operations of CloudWatch Logs that are done; every other one is refused as unknown."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

import structlog

from wherry.api.context import Context
from wherry.api.ecs.table import Operation, Refused
from wherry.api.logs import events, groups, queries, streams, tags, tail
from wherry.model.call import Call
from wherry.model.logs.errors import ServiceUnavailableException
from wherry.store import StoreError

log = structlog.get_logger()

_DONE: Mapping[str, Operation] = {
    "CreateLogGroup": groups.create_log_group,
    "CreateLogStream": streams.create_log_stream,
    "DeleteLogGroup": groups.delete_log_group,
    "DeleteLogStream": streams.delete_log_stream,
    "DeleteRetentionPolicy": groups.delete_retention_policy,
    "DescribeLogGroups": groups.describe_log_groups,
    "DescribeLogStreams": streams.describe_log_streams,
    "DescribeQueries": queries.describe_queries,
    "FilterLogEvents": events.filter_log_events,
    "GetLogEvents": events.get_log_events,
    "GetQueryResults": queries.get_query_results,
    "ListTagsForResource": tags.list_tags_for_resource,
    "ListTagsLogGroup": tags.list_tags_log_group,
    "PutLogEvents": events.put_log_events,
    "PutLogGroupDeletionProtection": groups.put_log_group_deletion_protection,
    "PutRetentionPolicy": groups.put_retention_policy,
    "StartLiveTail": tail.start_live_tail,
    "StartQuery": queries.start_query,
    "StopQuery": queries.stop_query,
    "TagLogGroup": tags.tag_log_group,
    "TagResource": tags.tag_resource,
    "UntagLogGroup": tags.untag_log_group,
    "UntagResource": tags.untag_resource,
}


def _told(operation: Operation) -> Operation:
    """Tell callers what is wrong with the log database, such as a full disk: they try again, and lose nothing."""

    @wraps(operation)
    async def call_it(ctx: Context, call: Call) -> dict[str, Any]:
        try:
            return await operation(ctx, call)
        except StoreError as error:
            log.error("log_store_failed", operation=call.operation, error=str(error))  # noqa: TRY400 - it says it all
            raise ServiceUnavailableException(str(error)) from error

    return call_it


OPERATIONS: Mapping[str, Operation | Refused] = {name: _told(operation) for name, operation in _DONE.items()}
