"""The demands of CloudWatch Logs, with the resources that AWS names: a log group's ends with ":log-stream:".

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wherry.api.authorization.demand import Demand, action_of, request_tags
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.store import Tx

_STREAMS = frozenset({"CreateLogStream", "DeleteLogStream", "GetLogEvents", "PutLogEvents"})
_WITHOUT_RESOURCE = frozenset({"GetQueryResults", "StopQuery", "DescribeQueries"})


def demands(_: Tx, scope: Scope, call: Call) -> Iterator[Demand]:
    """Tell what a call demands."""
    keys = request_tags(call.params)
    for resource in _resources(scope, call):
        yield Demand(action=action_of(call), resource=resource, keys=keys)


def _resources(scope: Scope, call: Call) -> list[str]:
    params = call.params
    prefix = f"arn:aws:logs:{scope.region}:{scope.account_id}:log-group:"
    if call.operation in _WITHOUT_RESOURCE:
        return ["*"]
    if "resourceArn" in params:
        return [params["resourceArn"].removesuffix(":*")]
    named = [params.get("logGroupName") or params.get("logGroupIdentifier") or ""]
    several = params.get("logGroupNames") or params.get("logGroupIdentifiers") or named
    groups = [group.removesuffix(":*") if group.startswith("arn:") else f"{prefix}{group}" for group in several]
    stream = params.get("logStreamName", "") if call.operation in _STREAMS else ""
    return [f"{group}:log-stream:{stream}" for group in groups]
