"""Task protection: a service leaves a protected task alone when it scales in or rolls out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from wherry.api.context import Context
from wherry.api.ecs import tasks
from wherry.api.ecs.clusters import resolve_cluster
from wherry.model.arn import Scope
from wherry.model.base import Value
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException
from wherry.model.service import Service
from wherry.model.task import DesiredStatus, Task
from wherry.store import Tx

DEFAULT_MINUTES = 120
LONGEST_MINUTES = 2880


class Failure(Value, frozen=True):
    """A task that could not be protected or shown, and why, in ECS's word."""

    arn: str
    reason: str
    detail: str | None = None


Outcome = tuple[list[Task], list[Failure]]


async def update_task_protection(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateTaskProtection: protect tasks of services for a time, or no longer."""
    params = call.params
    refs: Sequence[str] = params["tasks"]
    if not 1 <= len(refs) <= 10:
        raise InvalidParameterException("tasks should have between 1 and 10 elements.")
    minutes = params.get("expiresInMinutes")
    if minutes is not None and not params["protectionEnabled"]:
        raise InvalidParameterException("expiresInMinutes can only be given when protectionEnabled is true.")
    if minutes is not None and not 1 <= minutes <= LONGEST_MINUTES:
        raise InvalidParameterException(f"expiresInMinutes should be between 1 and {LONGEST_MINUTES}.")
    now = ctx.clock()
    until = now + 60 * (minutes or DEFAULT_MINUTES) if params["protectionEnabled"] else None
    outcome = await ctx.store.write(
        _update, scope=ctx.scope, cluster=params["cluster"], refs=refs, until=until, now=now
    )
    return _view(outcome, now)


async def get_task_protection(ctx: Context, call: Call) -> dict[str, Any]:
    """GetTaskProtection: whether tasks are protected, and until when; those of all services if none is named."""
    params = call.params
    refs: Sequence[str] = params.get("tasks") or ()
    if len(refs) > 100:
        raise InvalidParameterException("tasks can not have more than 100 elements.")
    outcome = await ctx.store.read(_get, scope=ctx.scope, cluster=params["cluster"], refs=refs)
    return _view(outcome, ctx.clock())


def _update(tx: Tx, *, scope: Scope, cluster: str, refs: Sequence[str], until: float | None, now: float) -> Outcome:
    found, failures = _find(tx, scope=scope, cluster=cluster, refs=refs)
    changed: list[Task] = []
    for task in found:
        if until is not None and (detail := _too_many(tx, task, now)):
            failures.append(Failure(arn=task.task_arn, reason="DEPLOYMENT_BLOCKED", detail=detail))
            continue
        changed.append(
            tx.put(msgspec.structs.replace(task, protection_enabled=until is not None, protection_expires_at=until))
        )
    return changed, failures


def _get(tx: Tx, *, scope: Scope, cluster: str, refs: Sequence[str]) -> Outcome:
    if refs:
        return _find(tx, scope=scope, cluster=cluster, refs=refs)
    home = resolve_cluster(tx, scope, cluster)
    running = tx.find(Task, cluster_arn=home.cluster_arn, desired_status=DesiredStatus.RUNNING)
    return [task for task in running if _can_be_protected(task)], []


def _find(tx: Tx, *, scope: Scope, cluster: str, refs: Sequence[str]) -> Outcome:
    home = resolve_cluster(tx, scope, cluster)
    found: list[Task] = []
    failures: list[Failure] = []
    for task_arn in dict.fromkeys(tasks.arn_of(scope, home, ref) for ref in refs):
        task = tasks.find(tx, scope, home, task_arn)
        if task is None:
            failures.append(Failure(arn=task_arn, reason="MISSING"))
        elif not _can_be_protected(task):
            detail = "Only tasks of a service that are not stopping can be protected."
            failures.append(Failure(arn=task_arn, reason="TASK_NOT_VALID", detail=detail))
        else:
            found.append(task)
    return found, failures


def _can_be_protected(task: Task) -> bool:
    return task.service_arn is not None and task.desired_status is DesiredStatus.RUNNING


def _too_many(tx: Tx, task: Task, now: float) -> str | None:
    """Say why one task more cannot be protected: a service must not have more protected tasks than it wants tasks."""
    service = tx.get(Service, task.service_arn or "")
    if service is None:
        return None
    others = tx.find(Task, service_arn=service.service_arn, desired_status=DesiredStatus.RUNNING)
    protected = sum(other.protected(now) for other in others if other.task_arn != task.task_arn)
    if protected < service.desired_count:
        return None
    return f"{protected} tasks are protected already, and the service's desired count is {service.desired_count}."


def _view(outcome: Outcome, now: float) -> dict[str, Any]:
    shown, failures = outcome
    return {
        "protectedTasks": [
            {
                "taskArn": task.task_arn,
                "protectionEnabled": task.protected(now),
                "expirationDate": task.protection_expires_at if task.protected(now) else None,
            }
            for task in shown
        ],
        "failures": [{"arn": failure.arn, "reason": failure.reason, "detail": failure.detail} for failure in failures],
    }
