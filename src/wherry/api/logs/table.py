"""The operations of CloudWatch Logs that are done; every other one is refused as unknown."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.api.ecs.table import Operation, Refused
from wherry.api.logs import events, groups, queries, streams, tags, tail

OPERATIONS: Mapping[str, Operation | Refused] = {
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
