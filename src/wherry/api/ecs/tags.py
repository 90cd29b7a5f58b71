"""Tags: their rules, and the three operations that change and show them on any resource that has some."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

from msgspec import structs

from wherry.api.context import Context
from wherry.model import arn
from wherry.model.arn import Scope
from wherry.model.base import Tag
from wherry.model.call import Call
from wherry.model.cluster import Cluster, ClusterStatus
from wherry.model.errors import InvalidParameterException, LimitExceededException, ResourceNotFoundException
from wherry.model.instance import ContainerInstance, InstanceStatus
from wherry.model.service import Service, ServiceStatus
from wherry.model.task import Task
from wherry.model.taskdef import TaskDefinition, TaskDefinitionStatus
from wherry.store import Tx

Taggable = Cluster | Service | Task | TaskDefinition | ContainerInstance

LIMIT = 50
RESERVED = "aws:"
"""Keys that begin so, in any case, belong to the system; they do not count towards the limit."""

_CHARACTERS = re.compile(r"(?:[\w.:/=+\-@]|[^\S\x00-\x1f\x85])*")
_NOUNS: Mapping[str, tuple[type[Taggable], str]] = {
    "cluster": (Cluster, "cluster"),
    "service": (Service, "service"),
    "task": (Task, "task"),
    "task-definition": (TaskDefinition, "task definition"),
    "container-instance": (ContainerInstance, "container instance"),
}


def check(raw: Sequence[Mapping[str, Any]] | None) -> tuple[Tag, ...]:
    """Read the `tags` member of a request; raises InvalidParameterException for what ECS does not take as tags."""
    tags = tuple(Tag(key=item.get("key") or "", value=item.get("value") or "") for item in raw or ())
    if len(tags) > LIMIT:
        raise InvalidParameterException(f"The number of tags is {len(tags)}. A resource has at most {LIMIT} tags.")
    for tag in tags:
        _check_key(tag.key)
        if len(tag.value) > 256 or not _CHARACTERS.fullmatch(tag.value):
            raise InvalidParameterException(
                f"The value of the tag '{tag.key}' is invalid. It has up to 256 letters, numbers, spaces and _.:/=+-@."
            )
    if len({tag.key for tag in tags}) < len(tags):
        raise InvalidParameterException("Duplicate tag keys found. Specify each tag key once.")
    return tags


def view(tags: Iterable[Tag]) -> list[dict[str, str]]:
    """Show tags as ECS does."""
    return [{"key": tag.key, "value": tag.value} for tag in tags]


def merge(old: Iterable[Tag], new: Iterable[Tag]) -> tuple[Tag, ...]:
    """Return the old tags with the new ones over them; keys keep the place where they first stood."""
    return tuple(({tag.key: tag for tag in old} | {tag.key: tag for tag in new}).values())


async def tag_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """TagResource: add tags to a resource, or change their values."""
    resource_arn, tags = call.params["resourceArn"], check(call.params["tags"])
    await ctx.store.write(_tag, scope=ctx.scope, resource_arn=resource_arn, tags=tags)
    return {}


async def untag_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """UntagResource: take tags off; keys that are not there change nothing."""
    resource_arn, keys = call.params["resourceArn"], call.params["tagKeys"]
    for key in keys:
        _check_key(key)
    await ctx.store.write(_untag, scope=ctx.scope, resource_arn=resource_arn, keys=frozenset(keys))
    return {}


async def list_tags_for_resource(ctx: Context, call: Call) -> dict[str, Any]:
    """ListTagsForResource: all tags of one resource."""
    tags = await ctx.store.read(_tags_of, scope=ctx.scope, resource_arn=call.params["resourceArn"])
    return {"tags": view(tags)}


def _tag(tx: Tx, *, scope: Scope, resource_arn: str, tags: tuple[Tag, ...]) -> None:
    resource = _living(tx, scope, resource_arn)
    merged = merge(resource.tags, tags)
    if sum(not _is_reserved(tag.key) for tag in merged) > LIMIT:
        raise LimitExceededException(f"A resource has at most {LIMIT} tags. Remove some with UntagResource first.")
    tx.put(structs.replace(resource, tags=merged))


def _untag(tx: Tx, *, scope: Scope, resource_arn: str, keys: frozenset[str]) -> None:
    resource = _living(tx, scope, resource_arn)
    tx.put(structs.replace(resource, tags=tuple(tag for tag in resource.tags if tag.key not in keys)))


def _tags_of(tx: Tx, *, scope: Scope, resource_arn: str) -> tuple[Tag, ...]:
    type_, noun = _identify(scope, resource_arn)
    resource = tx.get(type_, resource_arn)
    if resource is None or _is_hidden(resource):
        raise InvalidParameterException(_missing(noun))
    return resource.tags


def _living(tx: Tx, scope: Scope, resource_arn: str) -> Taggable:
    type_, noun = _identify(scope, resource_arn)
    resource = tx.get(type_, resource_arn)
    if resource is None or _is_hidden(resource):
        raise ResourceNotFoundException(_missing(noun))
    if refusal := _over(resource):
        raise InvalidParameterException(refusal)
    return resource


def _over(resource: Taggable) -> str | None:
    """Tell why tags of this resource cannot be changed any more."""
    match resource:
        case Task():
            over, text = resource.is_stopped, "The specified task is stopped. Specify a running task and try again."
        case Cluster():
            over = resource.status is ClusterStatus.INACTIVE
            text = "The specified cluster is inactive. Specify an active cluster and try again."
        case Service():
            over = resource.status is ServiceStatus.INACTIVE
            text = "The specified service is inactive. Specify an active service and try again."
        case ContainerInstance():
            over = resource.status is InstanceStatus.INACTIVE
            text = "The specified container instance is inactive. Specify an active container instance and try again."
        case TaskDefinition():
            over = resource.status is TaskDefinitionStatus.DELETE_IN_PROGRESS
            text = "The specified task definition is being deleted. Specify another task definition and try again."
        case _:
            assert_never(resource)
    return text if over else None


def _identify(scope: Scope, resource_arn: str) -> tuple[type[Taggable], str]:
    """Find out what kind of resource an ARN names; raises InvalidParameterException if it is none of ours with tags."""
    kind, _, rest = arn.resource(resource_arn).partition("/")
    if not resource_arn.startswith(scope.arn("")) or not rest or kind not in _NOUNS:
        raise InvalidParameterException("The ARN provided is invalid.")
    if kind in ("service", "task", "container-instance") and rest.count("/") != 1:
        raise InvalidParameterException("Long arn format must be used for tagging operations.")
    return _NOUNS[kind]


def _is_hidden(resource: Taggable) -> bool:
    return isinstance(resource, ContainerInstance) and resource.fargate


def _missing(noun: str) -> str:
    return f"The specified {noun} does not exist. Specify a valid ARN and try again."


def _check_key(key: str) -> None:
    if not 1 <= len(key) <= 128 or not _CHARACTERS.fullmatch(key):
        raise InvalidParameterException(
            f"The tag key '{key}' is invalid. It has 1 to 128 letters, numbers, spaces and _.:/=+-@."
        )
    if _is_reserved(key):
        raise InvalidParameterException(
            "Tag keys that begin with 'aws:' are reserved. Use another prefix and try again."
        )


def _is_reserved(key: str) -> bool:
    return key.lower().startswith(RESERVED)
