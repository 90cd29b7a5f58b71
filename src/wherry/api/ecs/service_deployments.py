"""Service deployments and revisions: the newer projection of the same deployments that `deployments[]` shows.

A service deployment is the deployment that somebody asked for; a rollback is a second deployment under the same ARN,
and what became of both is written on the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.ecs import clusters, networking, paging, services, volume_configurations
from wherry.api.ecs.service_views import (
    Counts,
    by_revision,
    count_revision,
    count_tasks,
    shown_deployments,
    view_capacity,
    view_configuration,
    view_revision_counts,
)
from wherry.model import rollout
from wherry.model.arn import Scope
from wherry.model.base import Value
from wherry.model.birth import pinned
from wherry.model.call import Call
from wherry.model.container_rules import one_of
from wherry.model.errors import (
    ConflictException,
    InvalidParameterException,
    ServiceDeploymentNotFoundException,
    ServiceNotFoundException,
)
from wherry.model.service import (
    CircuitBreaker,
    Deployment,
    RolloutState,
    Service,
    ServiceDeploymentStatus,
    ServiceRevision,
)
from wherry.model.taskdef import TaskDefinition
from wherry.store import Range, Tx

BATCH = 20
"""Service deployments or revisions that one Describe takes."""


_UNDER_WAY = {
    ServiceDeploymentStatus.STOP_REQUESTED: {ServiceDeploymentStatus.STOP_REQUESTED},
    ServiceDeploymentStatus.ROLLBACK_REQUESTED: {
        ServiceDeploymentStatus.STOP_REQUESTED,
        ServiceDeploymentStatus.ROLLBACK_REQUESTED,
        ServiceDeploymentStatus.ROLLBACK_IN_PROGRESS,
    },
}
"""What somebody asked for before, so that asking again changes nothing; a rollback itself can still be aborted."""


class Seen(Value, frozen=True):
    """A service deployment and what it is shown with: counts of tasks by revision ARN, and the count now desired."""

    deployment: Deployment
    counts: dict[str, Counts]
    desired: int


async def list_service_deployments(ctx: Context, call: Call) -> dict[str, Any]:
    """ListServiceDeployments: those of a service, newest first, by status and time of creation."""
    params = call.params
    for status in params.get("status") or ():
        for problem in one_of(status, ServiceDeploymentStatus, ("status",)):
            raise problem.error()
    window = paging.window(params.get("nextToken"), params.get("maxResults"), default=20, order=tuple[float, str])
    found = await ctx.store.read(_list, scope=ctx.scope, params=params)
    begun = sorted(found, key=_place, reverse=True)
    rest = [d for d in begun if window.after is None or _place(d) < window.after]
    page, token = window.cut(rest[: window.limit], _place)
    return {"serviceDeployments": [_view_brief(deployment) for deployment in page], "nextToken": token}


async def describe_service_deployments(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeServiceDeployments: up to twenty, by ARN."""
    arns = _batch(call.params["serviceDeploymentArns"], "serviceDeploymentArns")
    found = await ctx.store.read(_describe, arns)
    return {
        "serviceDeployments": [_view(seen) for seen in found.values()],
        "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns if arn not in found],
    }


async def describe_service_revisions(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeServiceRevisions: up to twenty, by ARN."""
    arns = _batch(call.params["serviceRevisionArns"], "serviceRevisionArns")
    found = await ctx.store.read(_describe_revisions, arns)
    return {
        "serviceRevisions": [_view_revision(revision, definition) for revision, definition in found.values()],
        "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns if arn not in found],
    }


async def stop_service_deployment(ctx: Context, call: Call) -> dict[str, Any]:
    """StopServiceDeployment: ask the scheduler to roll a deployment back, or (ABORT) to leave it where it is."""
    stop_type = call.params.get("stopType") or "ROLLBACK"
    for problem in one_of(stop_type, ("ABORT", "ROLLBACK"), ("stopType",)):
        raise problem.error()
    wanted = (
        ServiceDeploymentStatus.ROLLBACK_REQUESTED
        if stop_type == "ROLLBACK"
        else ServiceDeploymentStatus.STOP_REQUESTED
    )
    arn = call.params["serviceDeploymentArn"]
    await ctx.store.write(_stop, arn=arn, wanted=wanted, now=ctx.clock())
    return {"serviceDeploymentArn": arn}


def _list(tx: Tx, *, scope: Scope, params: dict[str, Any]) -> list[Deployment]:
    cluster = clusters.resolve_cluster(tx, scope, params.get("cluster"))
    service = services.find_service(tx, scope, cluster=cluster, ref=params["service"])
    if service is None:
        raise ServiceNotFoundException("Service not found.")
    times = params.get("createdAt") or {}
    after, before = times.get("after"), times.get("before")
    filters: dict[str, Any] = {"service_arn": service.service_arn}
    if after is not None or before is not None:
        filters["created_at"] = Range(start=after, end=before)
    if statuses := params.get("status"):
        filters["service_deployment_status"] = statuses
    return [d for d in tx.find(Deployment, **filters) if d.rollback_of is None]


def _describe(tx: Tx, arns: Sequence[str]) -> dict[str, Seen]:
    return {arn: seen for arn in arns if (seen := _seen(tx, arn))}


def _seen(tx: Tx, arn: str) -> Seen | None:
    root = _root(tx, arn)
    service = tx.get(Service, root.service_arn) if root else None
    if root is None or service is None:
        return None
    deployments = shown_deployments(tx, service)
    current = by_revision(deployments, count_tasks(tx, service, deployments))
    counts = {
        revision: current.get(revision) or count_revision(tx, service, revision)
        for revision in (root.service_revision_arn, *root.source_revision_arns)
    }
    return Seen(deployment=root, counts=counts, desired=service.desired_count)


def _describe_revisions(tx: Tx, arns: Sequence[str]) -> dict[str, tuple[ServiceRevision, TaskDefinition | None]]:
    revisions = (tx.get(ServiceRevision, arn) for arn in arns)
    return {r.service_revision_arn: (r, tx.get(TaskDefinition, r.task_definition)) for r in revisions if r is not None}


def _stop(tx: Tx, *, arn: str, wanted: ServiceDeploymentStatus, now: float) -> None:
    deployment = _root(tx, arn)
    if deployment is None:
        raise ServiceDeploymentNotFoundException("The service deployment was not found.")
    status = deployment.service_deployment_status
    if status not in rollout.IN_FLIGHT:
        raise ConflictException(f"The service deployment cannot be stopped: it is {status} already.", resourceIds=[arn])
    if status in _UNDER_WAY[wanted]:
        return
    if wanted is ServiceDeploymentStatus.ROLLBACK_REQUESTED:
        earlier = tx.find(Deployment, service_arn=deployment.service_arn, rollout_state=RolloutState.COMPLETED)
        if rollout.last_completed(earlier, before=deployment) is None:
            raise ConflictException(
                "The service deployment cannot be rolled back: no earlier deployment of the service has completed. "
                "Use the stop type ABORT, or update the service.",
                resourceIds=[arn],
            )
    tx.put(structs.replace(deployment, service_deployment_status=wanted, updated_at=now))


def _root(tx: Tx, arn: str) -> Deployment | None:
    """Return the deployment that a service deployment began with."""
    return next((d for d in tx.find(Deployment, service_deployment_arn=arn) if d.rollback_of is None), None)


def _batch(arns: Sequence[str], member: str) -> list[str]:
    if not arns:
        raise InvalidParameterException(f"{member} cannot be empty.")
    if len(arns) > BATCH:
        raise InvalidParameterException(f"{member} cannot have more than {BATCH} elements.")
    return list(dict.fromkeys(arns))


def _place(deployment: Deployment) -> tuple[float, str]:
    return deployment.created_at, deployment.service_deployment_arn


def _view_brief(deployment: Deployment) -> dict[str, Any]:
    return {
        "serviceDeploymentArn": deployment.service_deployment_arn,
        "serviceArn": deployment.service_arn,
        "clusterArn": deployment.cluster_arn,
        "startedAt": deployment.started_at,
        "createdAt": deployment.created_at,
        "finishedAt": deployment.finished_at,
        "targetServiceRevisionArn": deployment.service_revision_arn,
        "status": deployment.service_deployment_status,
        "statusReason": deployment.status_reason,
    }


def _view(seen: Seen) -> dict[str, Any]:
    deployment = seen.deployment
    target = deployment.service_revision_arn
    shown = {
        "serviceDeploymentArn": deployment.service_deployment_arn,
        "serviceArn": deployment.service_arn,
        "clusterArn": deployment.cluster_arn,
        "createdAt": deployment.created_at,
        "startedAt": deployment.started_at,
        "finishedAt": deployment.finished_at,
        "stoppedAt": deployment.stopped_at,
        "updatedAt": deployment.updated_at,
        "sourceServiceRevisions": [
            view_revision_counts(arn, seen.counts[arn]) for arn in deployment.source_revision_arns
        ],
        "targetServiceRevision": view_revision_counts(target, seen.counts[target]),
        "status": deployment.service_deployment_status,
        "statusReason": deployment.status_reason,
        "lifecycleStage": deployment.lifecycle_stage,
        "deploymentConfiguration": view_configuration(deployment.deployment_configuration),
        "deploymentCircuitBreaker": _view_breaker(seen),
        "alarms": {"status": "DISABLED", "alarmNames": [], "triggeredAlarmNames": []},
    }
    if deployment.rollback_revision_arn is not None:
        shown["rollback"] = {
            "reason": deployment.rollback_reason,
            "startedAt": deployment.rollback_started_at,
            "serviceRevisionArn": deployment.rollback_revision_arn,
        }
    return shown


def _view_breaker(seen: Seen) -> dict[str, Any]:
    deployment = seen.deployment
    breaker = deployment.deployment_configuration.deployment_circuit_breaker or CircuitBreaker()
    threshold = breaker.threshold(seen.desired)
    if not breaker.enable:
        status = "DISABLED"
    elif deployment.failed_tasks >= threshold and deployment.rollout_state is RolloutState.FAILED:
        status = "TRIGGERED"
    elif deployment.service_deployment_status in rollout.IN_FLIGHT:
        status = "MONITORING"
    else:
        status = "MONITORING_COMPLETE"
    return {"status": status, "failureCount": deployment.failed_tasks, "threshold": threshold}


def _view_revision(revision: ServiceRevision, definition: TaskDefinition | None) -> dict[str, Any]:
    containers = definition.container_definitions if definition else ()
    return {
        "serviceRevisionArn": revision.service_revision_arn,
        "serviceArn": revision.service_arn,
        "clusterArn": revision.cluster_arn,
        "taskDefinition": revision.task_definition,
        **view_capacity(revision),
        "loadBalancers": [],
        "serviceRegistries": [],
        "networkConfiguration": networking.view(revision.network_configuration),
        "volumeConfigurations": volume_configurations.view(revision.volume_configurations),
        "containerImages": [_view_image(c.name, c.image, revision.container_images.get(c.name)) for c in containers],
        "guardDutyEnabled": False,
        "createdAt": revision.created_at,
    }


def _view_image(name: str, image: str, digest: str | None) -> dict[str, str]:
    if digest is None:
        return {"containerName": name, "image": image}
    return {"containerName": name, "image": pinned(image, digest), "imageDigest": digest}
