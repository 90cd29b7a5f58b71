"""Log groups: their life, their retention, and how long they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.ecs.paging import read_token, write_token
from wherry.api.logs import rules
from wherry.api.logs.tags import check_tags
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException, ValidationException
from wherry.model.logs import nouns
from wherry.model.logs.errors import ResourceAlreadyExistsException
from wherry.model.logs.nouns import RETENTIONS, LogGroup, LogStream, Remains
from wherry.store.logs import LogTx
from wherry.store.logs.reading import LAST_CHARACTER
from wherry.store.schema import Range

CLASSES = ("STANDARD", "INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS")
PAGE = rules.Number(1, 50)


async def create_log_group(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateLogGroup."""
    params = rules.checked(call)
    rules.one_of("logGroupClass", params.get("logGroupClass"), CLASSES)
    if params.get("kmsKeyId"):
        raise InvalidParameterException("There is no KMS here to encrypt log groups with. Leave kmsKeyId out.")
    if params.get("logGroupClass", "STANDARD") != "STANDARD":
        raise InvalidParameterException("The log group class here is STANDARD. Leave logGroupClass out.")
    group = LogGroup(
        log_group_name=params["logGroupName"],
        id=0,
        creation_time=int(ctx.clock() * 1000),
        deletion_protection_enabled=params.get("deletionProtectionEnabled", False),
        tags=check_tags({}, params.get("tags") or {}),
    )
    await ctx.logs.write(_create, group)
    return {}


def _create(tx: LogTx, group: LogGroup) -> None:
    if tx.get(LogGroup, group.log_group_name) is not None:
        raise ResourceAlreadyExistsException("The specified log group already exists")
    tx.put(structs.replace(group, id=tx.new_id()))


async def delete_log_group(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteLogGroup: at once for whoever looks; its events are removed in the background."""
    await ctx.logs.write(_delete, rules.checked(call)["logGroupName"])
    return {}


def _delete(tx: LogTx, name: str) -> None:
    group = rules.group_named(tx, name)
    if group.deletion_protection_enabled:
        raise ValidationException(
            f"The log group {name} is protected from deletion. Use PutLogGroupDeletionProtection to end that."
        )
    for stream in tx.find(LogStream, log_group_id=group.id):
        tx.delete(stream)
    tx.delete(group)
    tx.put(Remains(key=f"group/{group.id}", log_group_id=group.id))


async def put_log_group_deletion_protection(ctx: Context, call: Call) -> dict[str, Any]:
    """PutLogGroupDeletionProtection."""
    params = rules.checked(call)
    name = rules.identified(ctx.scope, params["logGroupIdentifier"])
    await ctx.logs.write(_change, name, deletion_protection_enabled=params["deletionProtectionEnabled"])
    return {}


async def put_retention_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """PutRetentionPolicy: in days; what is older is not shown any more at once, and removed in the background."""
    params = rules.checked(call)
    days = params["retentionInDays"]
    if days not in RETENTIONS:
        allowed = ", ".join(map(str, RETENTIONS))
        raise rules.violation("retentionInDays", days, f"Member must satisfy enum value set: [{allowed}]")
    await ctx.logs.write(_change, params["logGroupName"], retention_in_days=days)
    return {}


async def delete_retention_policy(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteRetentionPolicy: from now on events are kept for ever."""
    await ctx.logs.write(_change, rules.checked(call)["logGroupName"], retention_in_days=None)
    return {}


def _change(tx: LogTx, name: str, /, **changes: Any) -> None:
    tx.put(structs.replace(rules.group_named(tx, name), **changes))


async def describe_log_groups(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeLogGroups: in the order of their names, 50 a page."""
    params = rules.checked(call, limit=PAGE)
    if params.get("includeLinkedAccounts") or params.get("accountIdentifiers"):
        raise InvalidParameterException("There are no linked accounts here. Leave includeLinkedAccounts out.")
    if "logGroupNamePrefix" in params and "logGroupNamePattern" in params:
        raise InvalidParameterException(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        )
    rules.one_of("logGroupClass", params.get("logGroupClass"), CLASSES)
    return await ctx.logs.read(_describe, params, ctx.scope)


def _describe(tx: LogTx, params: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    limit = params.get("limit", PAGE.most)
    after = read_token(params["nextToken"], tuple[str])[0] if params.get("nextToken") else ""
    found = [group for group in _groups(tx, params, scope, str(after), limit + 1) if _fits(group, params)]
    page = found[:limit]
    answer: dict[str, Any] = {"logGroups": [_view(tx, scope, group) for group in page]}
    if len(found) > limit:
        answer["nextToken"] = write_token((page[-1].log_group_name,))
    return answer


def _groups(tx: LogTx, params: Mapping[str, Any], scope: Scope, after: str, at_most: int) -> list[LogGroup]:
    if identifiers := params.get("logGroupIdentifiers"):
        names = sorted({nouns.name_of(scope, identifier) or "" for identifier in identifiers})
        return [group for name in names if name > after and (group := tx.get(LogGroup, name)) is not None]
    prefix = params.get("logGroupNamePrefix", "")
    names_between = Range(prefix, prefix + LAST_CHARACTER)
    limit = None if params.get("logGroupNamePattern") or params.get("logGroupClass") else at_most
    return tx.find(LogGroup, log_group_name=names_between, after=after or None, limit=limit)


def _fits(group: LogGroup, params: Mapping[str, Any]) -> bool:
    return params.get("logGroupNamePattern", "") in group.log_group_name and params.get(
        "logGroupClass", group.log_group_class
    ) == (group.log_group_class)


def _view(tx: LogTx, scope: Scope, group: LogGroup) -> dict[str, Any]:
    arn = nouns.group_arn(scope, group.log_group_name)
    view = {
        "logGroupName": group.log_group_name,
        "creationTime": group.creation_time,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "storedBytes": tx.stored_bytes(group.id),
        "logGroupClass": group.log_group_class,
        "logGroupArn": arn,
        "deletionProtectionEnabled": group.deletion_protection_enabled,
    }
    return view if group.retention_in_days is None else view | {"retentionInDays": group.retention_in_days}
