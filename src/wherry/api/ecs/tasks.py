"""Tasks: stopping, describing and listing them, and how every other operation finds the one that it is told.

How they begin is in `wherry.api.ecs.launches`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from wherry.api.context import Context
from wherry.api.ecs import paging
from wherry.api.ecs.clusters import resolve_cluster
from wherry.api.ecs.task_view import Picture, view
from wherry.model import arn
from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.cluster import Cluster
from wherry.model.errors import InvalidParameterException, ServiceNotFoundException
from wherry.model.instance import ContainerInstance
from wherry.model.service import Service
from wherry.model.task import DesiredStatus, StopCode, Task, want_stopped
from wherry.store import Tx

STOPPED_BY_USER = "Task stopped by user"
LONGEST_REASON = 1024

_LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES")
_DESIRED = ("RUNNING", "PENDING", "STOPPED")


async def stop_task(ctx: Context, call: Call) -> dict[str, Any]:
    """StopTask: the task is wanted STOPPED from now on, and its tags are gone; a stopped one stays as it is."""
    params = call.params
    reason = params.get("reason") or STOPPED_BY_USER
    if len(reason) > LONGEST_REASON:
        raise InvalidParameterException(f"reason can have up to {LONGEST_REASON} characters.")
    if not params.get("task"):
        raise InvalidParameterException("Task can not be blank.")
    picture = await ctx.store.write(
        _stop, scope=ctx.scope, cluster=params.get("cluster"), ref=params["task"], reason=reason, now=ctx.clock()
    )
    return {"task": view(picture)}


async def describe_tasks(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeTasks: up to 100 tasks, stopped ones too for a while."""
    params = call.params
    refs: Sequence[str] = params["tasks"]
    include = params.get("include") or []
    if not refs:
        raise InvalidParameterException("Tasks cannot be empty.")
    if len(refs) > 100:
        raise InvalidParameterException("Tasks can not have more than 100 elements.")
    if any(name != "TAGS" for name in include):
        raise InvalidParameterException("include should be one of [TAGS]")
    found, missing = await ctx.store.read(_describe, scope=ctx.scope, cluster=params.get("cluster"), refs=refs)
    return {
        "tasks": [view(picture, include_tags=bool(include)) for picture in found],
        "failures": [{"arn": ref, "reason": "MISSING"} for ref in missing],
    }


async def list_tasks(ctx: Context, call: Call) -> dict[str, Any]:
    """ListTasks: the ARNs of tasks that are wanted RUNNING, or STOPPED; PENDING is taken and never finds any."""
    params = call.params
    _check_filters(params)
    window = paging.window(params.get("nextToken"), params.get("maxResults"))
    found = await ctx.store.read(_list, scope=ctx.scope, params=params, window=window)
    page, token = window.cut(found, lambda task: (task.task_arn,))
    return {"taskArns": [task.task_arn for task in page], "nextToken": token}


def arn_of(scope: Scope, cluster: Cluster, ref: str) -> str:
    """Return the ARN of the task in `cluster` that an id or ARN means."""
    if ref.startswith("arn:") and arn.resource(ref).count("/") > 1:
        return ref
    return scope.task(cluster.cluster_name, arn.last(ref))


def find(tx: Tx, scope: Scope, cluster: Cluster, ref: str) -> Task | None:
    """Return the task of `cluster` that an id or ARN means."""
    task = tx.get(Task, arn_of(scope, cluster, ref))
    return task if task is not None and task.cluster_arn == cluster.cluster_arn else None


def pictures(tx: Tx, tasks: Iterable[Task]) -> list[Picture]:
    """Add to each task the instance that it is on."""
    tasks = list(tasks)
    arns = {task.container_instance_arn for task in tasks if task.container_instance_arn is not None}
    instances = {instance_arn: tx.get(ContainerInstance, instance_arn) for instance_arn in arns}
    return [Picture(task=task, instance=instances.get(task.container_instance_arn or "")) for task in tasks]


def _stop(tx: Tx, *, scope: Scope, cluster: str | None, ref: str, reason: str, now: float) -> Picture:
    task = find(tx, scope, resolve_cluster(tx, scope, cluster), ref)
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    if task.desired_status is DesiredStatus.RUNNING:
        stopping = want_stopped(task, code=StopCode.USER_INITIATED, reason=reason, now=now)
        task = tx.put(msgspec.structs.replace(stopping, tags=()))
    return pictures(tx, [task])[0]


def _describe(tx: Tx, *, scope: Scope, cluster: str | None, refs: Sequence[str]) -> tuple[list[Picture], list[str]]:
    home = resolve_cluster(tx, scope, cluster)
    arns = dict.fromkeys(arn_of(scope, home, ref) for ref in refs)
    found = {task_arn: find(tx, scope, home, task_arn) for task_arn in arns}
    missing = [task_arn for task_arn, task in found.items() if task is None]
    return pictures(tx, [task for task in found.values() if task is not None]), missing


def _check_filters(params: Mapping[str, Any]) -> None:
    if params.get("daemonName"):
        raise InvalidParameterException("daemonName: managed daemons are not available. List tasks without it.")
    others = [name for name in ("family", "serviceName", "containerInstance", "launchType") if params.get(name)]
    if params.get("startedBy") and others:
        raise InvalidParameterException(
            f"When you specify startedBy as the filter, it must be the only filter that you use. Remove {others[0]}."
        )
    for name, allowed in (("launchType", _LAUNCH_TYPES), ("desiredStatus", _DESIRED)):
        if params.get(name) and params[name] not in allowed:
            raise InvalidParameterException(f"{name} should be one of [{','.join(allowed)}]")


def _list(tx: Tx, *, scope: Scope, params: Mapping[str, Any], window: paging.Window) -> list[Task]:
    cluster = resolve_cluster(tx, scope, params.get("cluster"))
    filters: dict[str, Any] = {
        "family": params.get("family"),
        "started_by": params.get("startedBy"),
        "launch_type": params.get("launchType"),
    }
    if name := params.get("containerInstance"):
        filters["container_instance_arn"] = scope.container_instance(cluster.cluster_name, arn.last(name))
    if name := params.get("serviceName"):
        service = tx.get(Service, scope.service(cluster.cluster_name, arn.last(name)))
        if service is None:
            raise ServiceNotFoundException
        filters["service_arn"] = service.service_arn
    return tx.find(
        Task,
        limit=window.limit,
        after=window.after,
        cluster_arn=cluster.cluster_arn,
        desired_status=params.get("desiredStatus") or "RUNNING",
        **{column: value for column, value in filters.items() if value},
    )
