"""Task definitions: the six operations, and how every other operation finds the revision that it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.ecs import host_use, paging, roles, tags
from wherry.api.ecs.roles import Custom, Named
from wherry.api.ecs.taskdef_view import view
from wherry.model.arn import Scope, resource
from wherry.model.call import Call
from wherry.model.container_rules import one_of
from wherry.model.errors import ClientException, InvalidParameterException, LimitExceededException
from wherry.model.ids import Entropy
from wherry.model.problem import Problem
from wherry.model.taskdef import Family, TaskDefinition, TaskDefinitionStatus
from wherry.model.taskdef_draft import Draft, draft
from wherry.model.taskdef_rules import check
from wherry.store import Range, Tx

MAX_REVISIONS = 1_000_000
"""Revisions that one family may have, deregistered ones counted (ECS quota)."""

_PREFIX = "task-definition/"
_UNKNOWN = "Unable to describe task definition."


async def register_task_definition(ctx: Context, call: Call) -> dict[str, Any]:
    """RegisterTaskDefinition: the next revision of a family; raises the first problem of the request."""
    check(call.params)
    good = draft(call.params, tags.check(call.params.get("tags")))
    host_use.check_registration(good, call.principal, ctx.settings)
    made = await ctx.store.write(
        _register,
        good,
        roles.custom(ctx),
        now=ctx.clock(),
        registered_by=call.principal.arn,
        entropy=ctx.entropy,
    )
    return _answer(made) | {"tags": tags.view(made.tags)}


async def describe_task_definition(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeTaskDefinition: a revision in whatever status; a family means its newest ACTIVE one."""
    include = call.params.get("include") or []
    for name in include:
        _require(one_of(name, ("TAGS",), ("include",)))
    found = await ctx.store.read(find, ctx.scope, call.params["taskDefinition"])
    if found is None:
        raise ClientException(_UNKNOWN)
    return _answer(found) | ({"tags": tags.view(found.tags)} if include else {})


async def list_task_definitions(ctx: Context, call: Call) -> dict[str, Any]:
    """ListTaskDefinitions: ARNs by family and revision; `familyPrefix` is a whole family name, as on ECS."""
    params = call.params
    _require(one_of(params.get("status"), TaskDefinitionStatus, ("status",)))
    _require(one_of(params.get("sort"), ("ASC", "DESC"), ("sort",)))
    page = paging.window(params.get("nextToken"), params.get("maxResults"), order=tuple[str, int, str])
    found = await ctx.store.read(_list, params, page)
    definitions, token = page.cut(found, lambda d: (d.family, d.revision, d.task_definition_arn))
    return {"taskDefinitionArns": [d.task_definition_arn for d in definitions], "nextToken": token}


async def list_task_definition_families(ctx: Context, call: Call) -> dict[str, Any]:
    """ListTaskDefinitionFamilies: ACTIVE ones have an ACTIVE revision, INACTIVE ones only deregistered ones."""
    params = call.params
    status = params.get("status") or "ALL"
    _require(one_of(status, ("ACTIVE", "INACTIVE", "ALL"), ("status",)))
    page = paging.window(params.get("nextToken"), params.get("maxResults"))
    found = await ctx.store.read(_families, status, params.get("familyPrefix") or "", page)
    families, token = page.cut(found, lambda family: (family,))
    return {"families": families, "nextToken": token}


async def deregister_task_definition(ctx: Context, call: Call) -> dict[str, Any]:
    """DeregisterTaskDefinition: make one revision INACTIVE; what runs goes on. Doing it twice changes nothing."""
    reference: str = call.params["taskDefinition"]
    if _split(reference)[1] is None:
        raise ClientException("Revision is missing.")
    return _answer(await ctx.store.write(_deregister, ctx.scope, reference, ctx.clock()))


async def delete_task_definitions(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteTaskDefinitions: INACTIVE revisions become DELETE_IN_PROGRESS, and go when nothing refers to them."""
    references: list[str] = call.params["taskDefinitions"]
    if not references:
        raise InvalidParameterException("TaskDefinition references list cannot be empty.")
    if len(references) > 10:
        raise InvalidParameterException("Size of TaskDefinition references list cannot exceed 10")
    deleted, failures = await ctx.store.write(_delete, ctx.scope, tuple(dict.fromkeys(references)), ctx.clock())
    return {"taskDefinitions": [view(definition) for definition in deleted], "failures": failures}


def resolve(tx: Tx, scope: Scope, reference: str) -> TaskDefinition:
    """Return the ACTIVE revision that `family`, `family:revision` or an ARN means; raises ClientException."""
    found = find(tx, scope, reference)
    if found is None:
        raise ClientException("TaskDefinition not found.")
    if found.status is not TaskDefinitionStatus.ACTIVE:
        raise ClientException("TaskDefinition is inactive")
    return found


def find(tx: Tx, scope: Scope, reference: str) -> TaskDefinition | None:
    """Return the revision that is meant, whatever its status; a family alone means its newest ACTIVE one.

    Raises InvalidParameterException for a revision that is no number.
    """
    if reference.startswith("arn:") and not reference.startswith(scope.arn(_PREFIX)):
        return None
    family, revision = _split(reference)
    if revision is not None:
        return tx.get(TaskDefinition, scope.task_definition(family, revision))
    newest = tx.find(
        TaskDefinition,
        order="revision",
        descending=True,
        limit=1,
        family=family,
        status=TaskDefinitionStatus.ACTIVE,
    )
    return newest[0] if newest else None


def _split(reference: str) -> tuple[str, int | None]:
    family, colon, number = resource(reference).removeprefix(_PREFIX).partition(":")
    if not colon:
        return family, None
    if not (number.isascii() and number.isdecimal()):
        raise InvalidParameterException(f"Invalid revision number. Number: {number}")
    return family, int(number)


def _register(
    tx: Tx, good: Draft, custom: Custom, *, now: float, registered_by: str, entropy: Entropy
) -> TaskDefinition:
    roles.settle(
        tx, Named(task=good.task_role_arn, execution=good.execution_role_arn), custom, entropy=entropy, now=now
    )
    family = tx.get(Family, good.family) or Family(family=good.family)
    if family.last_revision >= MAX_REVISIONS:
        raise LimitExceededException(f"The family {good.family} has {MAX_REVISIONS} revisions. Start another family.")
    number = family.last_revision + 1
    tx.put(structs.replace(family, last_revision=number))
    return tx.put(good.revision(number, scope=custom.scope, now=now, registered_by=registered_by))


def _list(tx: Tx, params: dict[str, Any], page: paging.Window) -> list[TaskDefinition]:
    filters = {"family": params["familyPrefix"]} if params.get("familyPrefix") else {}
    return tx.find(
        TaskDefinition,
        order=("family", "revision"),
        descending=params.get("sort") == "DESC",
        limit=page.limit,
        after=page.after,
        status=params.get("status") or TaskDefinitionStatus.ACTIVE,
        **filters,
    )


def _families(tx: Tx, status: str, prefix: str, page: paging.Window) -> list[str]:
    """Read a page of names: a family's status is that of its revisions, so some that are read may not be shown."""
    found: list[str] = []
    after = page.after
    while len(found) < page.limit:
        batch = tx.find(Family, limit=page.limit, after=after, family=Range(prefix, f"{prefix}\x7f"))
        found += [family.family for family in batch if status in _statuses(tx, family.family)]
        if len(batch) < page.limit:
            break
        after = (batch[-1].family,)
    return found[: page.limit]


def _statuses(tx: Tx, family: str) -> tuple[str, ...]:
    """Tell under which filters a family is listed; one whose revisions are all deleted, under none."""
    for status in (TaskDefinitionStatus.ACTIVE, TaskDefinitionStatus.INACTIVE):
        if tx.find(TaskDefinition, limit=1, family=family, status=status):
            return (status, "ALL")
    return ()


def _deregister(tx: Tx, scope: Scope, reference: str, now: float) -> TaskDefinition:
    definition = find(tx, scope, reference)
    if definition is None:
        raise ClientException(_UNKNOWN)
    if definition.status is not TaskDefinitionStatus.ACTIVE:
        return definition
    return tx.put(structs.replace(definition, status=TaskDefinitionStatus.INACTIVE, deregistered_at=now))


def _delete(
    tx: Tx, scope: Scope, references: Sequence[str], now: float
) -> tuple[list[TaskDefinition], list[dict[str, str]]]:
    deleted: list[TaskDefinition] = []
    failures: list[dict[str, str]] = []
    for reference in references:
        match _deletable(tx, scope, reference):
            case str(reason):
                failures.append({"arn": reference, "reason": reason})
            case TaskDefinition(status=TaskDefinitionStatus.DELETE_IN_PROGRESS) as definition:
                deleted.append(definition)
            case definition:
                status = TaskDefinitionStatus.DELETE_IN_PROGRESS
                deleted.append(tx.put(structs.replace(definition, status=status, delete_requested_at=now)))
    return deleted, failures


def _deletable(tx: Tx, scope: Scope, reference: str) -> TaskDefinition | str:
    """Return the revision to delete, or why it cannot be."""
    try:
        is_exact = _split(reference)[1] is not None
    except InvalidParameterException:
        is_exact = False
    if not is_exact:
        return "The specified task definition identifier is invalid. Specify a valid name or ARN and try again."
    definition = find(tx, scope, reference)
    if definition is None:
        return "The specified task definition does not exist. Specify a valid account, family, revision and try again."
    if definition.status is TaskDefinitionStatus.ACTIVE:
        return "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
    return definition


def _answer(definition: TaskDefinition) -> dict[str, Any]:
    return {"taskDefinition": view(definition)}


def _require(problems: Iterator[Problem]) -> None:
    for problem in problems:
        raise problem.error()
