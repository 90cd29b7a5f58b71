"""Clusters: the seven operations, and how every other operation finds the cluster that it is told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from wherry.api.context import Context
from wherry.api.ecs import paging, settings, strategy, tags
from wherry.api.ecs.strategy import Strategy
from wherry.model import exec_logging
from wherry.model.arn import FARGATE_POOL, Scope
from wherry.model.base import Value
from wherry.model.call import Call
from wherry.model.cluster import Cluster, ClusterSetting, ClusterStatus
from wherry.model.errors import (
    ClusterContainsContainerInstancesException,
    ClusterContainsServicesException,
    ClusterContainsTasksException,
    ClusterNotFoundException,
    InvalidParameterException,
    ResourceInUseException,
)
from wherry.model.instance import ContainerInstance, InstanceStatus
from wherry.model.service import Service, ServiceStatus
from wherry.model.task import Task, TaskStatus
from wherry.store import Tx

DEFAULT = "default"
"""The cluster that a request means when it names none."""

INCLUDES = frozenset({"ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"})

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_PENDING = (TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING)
_ALIVE = tuple(status for status in TaskStatus if status is not TaskStatus.STOPPED)
_OPEN = (ServiceStatus.ACTIVE, ServiceStatus.DRAINING)


class Counts(Value, frozen=True):
    """What is in a cluster now; the pairs are (EC2, Fargate)."""

    instances: int
    running: tuple[int, int]
    pending: tuple[int, int]
    active_services: tuple[int, int]
    draining_services: tuple[int, int]


def resolve_cluster(tx: Tx, scope: Scope, ref: str | None) -> Cluster:
    """Return the ACTIVE cluster that a name or ARN refers to, `default` for None.

    Raises ClusterNotFoundException if there is none or it has been deleted.
    """
    cluster = find_cluster(tx, scope, ref)
    if cluster is None:
        raise ClusterNotFoundException("Cluster not found.")
    if cluster.status is ClusterStatus.INACTIVE:
        raise ClusterNotFoundException("The referenced cluster was inactive.")
    return cluster


def find_cluster(tx: Tx, scope: Scope, ref: str | None) -> Cluster | None:
    """Return the cluster that a name or ARN refers to, whatever its status; the Fargate pool is never found."""
    cluster_arn = _arn_of(scope, ref)
    return None if cluster_arn == scope.cluster(FARGATE_POOL) else tx.get(Cluster, cluster_arn)


async def create_cluster(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateCluster: make a cluster; an ACTIVE one of the same name is returned as it is."""
    params = call.params
    name = params.get("clusterName") or DEFAULT
    if not _NAME.fullmatch(name):
        raise InvalidParameterException(
            f"The cluster name '{name}' is invalid. A name has up to 255 letters, numbers, hyphens and underscores."
        )
    configuration = _configuration(params)
    providers, default_strategy = _capacity(params)
    wanted = Cluster(
        cluster_arn=ctx.scope.cluster(name),
        cluster_name=name,
        settings=check_settings(params.get("settings")),
        configuration=configuration,
        capacity_providers=providers,
        default_capacity_provider_strategy=default_strategy,
        tags=tags.check(params.get("tags")),
        created_at=ctx.clock(),
    )
    cluster, counts = await ctx.store.write(_create, wanted=wanted, principal=call.principal.arn, scope=ctx.scope)
    return {"cluster": view(cluster, counts, include=INCLUDES)}


async def describe_clusters(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeClusters: show up to 100 clusters, the default one if none is named; deleted ones too, for a while."""
    refs = call.params.get("clusters") or [DEFAULT]
    include = frozenset(call.params.get("include") or ())
    if len(refs) > 100:
        raise InvalidParameterException("Clusters can not have more than 100 elements.")
    if unknown := include - INCLUDES:
        raise InvalidParameterException(f"{min(unknown)} should be one of [{','.join(sorted(INCLUDES))}]")
    found = await ctx.store.read(_describe, refs=refs, scope=ctx.scope)
    return {
        "clusters": [view(cluster, counts, include=include) for cluster, counts in found.values()],
        "failures": [
            {"arn": _arn_of(ctx.scope, ref), "reason": "MISSING"}
            for ref in dict.fromkeys(refs)
            if _arn_of(ctx.scope, ref) not in found
        ],
    }


async def list_clusters(ctx: Context, call: Call) -> dict[str, Any]:
    """ListClusters: the ARNs of the ACTIVE clusters."""
    window = paging.window(call.params.get("nextToken"), call.params.get("maxResults"))
    found = await ctx.store.read(_list, window=window)
    page, token = window.cut(found, lambda cluster: (cluster.cluster_arn,))
    return {"clusterArns": [cluster.cluster_arn for cluster in page], "nextToken": token}


async def update_cluster(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateCluster: change settings and what becomes of the transcripts of ECS Exec."""
    configuration, chosen = _configuration(call.params), call.params.get("settings")
    changes: dict[str, Any] = {} if chosen is None else {"settings": check_settings(chosen)}
    if configuration is not None:
        changes["configuration"] = configuration
    return await _change(ctx, call, changes)


async def update_cluster_settings(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateClusterSettings: change settings."""
    return await _change(ctx, call, {"settings": check_settings(call.params["settings"])})


async def put_cluster_capacity_providers(ctx: Context, call: Call) -> dict[str, Any]:
    """PutClusterCapacityProviders: replace the capacity providers and the default strategy of a cluster."""
    providers, default_strategy = _capacity(call.params)
    return await _change(
        ctx, call, {"capacity_providers": providers, "default_capacity_provider_strategy": default_strategy}
    )


async def delete_cluster(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteCluster: make an empty cluster INACTIVE; one that is already so stays so."""
    cluster, counts = await ctx.store.write(_delete, ref=call.params["cluster"], scope=ctx.scope, now=ctx.clock())
    return {"cluster": view(cluster, counts, include=INCLUDES)}


def check_settings(raw: Sequence[Mapping[str, Any]] | None) -> tuple[ClusterSetting, ...]:
    """Read the `settings` member of a request: `containerInsights`, by the rules of the account setting."""
    chosen = {}
    for item in raw or ():
        name, value = item.get("name") or "", item.get("value") or ""
        if name != "containerInsights":
            raise InvalidParameterException(f"{name} should be one of [containerInsights]")
        settings.check_value(name, value)
        chosen[name] = ClusterSetting(name=name, value=value)
    return tuple(chosen.values())


def view(cluster: Cluster, counts: Counts, *, include: frozenset[str]) -> dict[str, Any]:
    """Show a cluster as ECS does; the members in `INCLUDES` are empty or absent unless asked for."""
    shown: dict[str, Any] = {
        "clusterArn": cluster.cluster_arn,
        "clusterName": cluster.cluster_name,
        "status": cluster.status,
        "registeredContainerInstancesCount": counts.instances,
        "runningTasksCount": sum(counts.running),
        "pendingTasksCount": sum(counts.pending),
        "activeServicesCount": sum(counts.active_services),
        "statistics": _statistics(counts) if "STATISTICS" in include else [],
        "tags": tags.view(cluster.tags) if "TAGS" in include else [],
        "settings": [{"name": s.name, "value": s.value} for s in cluster.settings] if "SETTINGS" in include else [],
        "capacityProviders": list(cluster.capacity_providers),
        "defaultCapacityProviderStrategy": strategy.view(cluster.default_capacity_provider_strategy),
    }
    if "CONFIGURATIONS" in include and cluster.configuration is not None:
        shown["configuration"] = cluster.configuration
    if "ATTACHMENTS" in include:
        shown["attachments"] = []
    return shown


def _create(tx: Tx, *, wanted: Cluster, principal: str, scope: Scope) -> tuple[Cluster, Counts]:
    cluster = tx.get(Cluster, wanted.cluster_arn)
    if cluster is None or cluster.status is ClusterStatus.INACTIVE:
        insights = settings.effective(tx, "containerInsights", principal=principal, scope=scope)
        chosen = wanted.settings or (ClusterSetting(name="containerInsights", value=insights),)
        cluster = tx.put(structs.replace(wanted, settings=chosen, version=cluster.version if cluster else 0))
    return cluster, _counts(tx, cluster)


def _describe(tx: Tx, *, refs: Sequence[str], scope: Scope) -> dict[str, tuple[Cluster, Counts]]:
    clusters = (find_cluster(tx, scope, ref) for ref in refs)
    return {cluster.cluster_arn: (cluster, _counts(tx, cluster)) for cluster in clusters if cluster}


def _list(tx: Tx, *, window: paging.Window) -> list[Cluster]:
    return tx.find(Cluster, limit=window.limit, after=window.after, status=ClusterStatus.ACTIVE)


async def _change(ctx: Context, call: Call, changes: dict[str, Any]) -> dict[str, Any]:
    cluster, counts = await ctx.store.write(_apply, ref=call.params["cluster"], scope=ctx.scope, changes=changes)
    return {"cluster": view(cluster, counts, include=INCLUDES)}


def _apply(tx: Tx, *, ref: str, scope: Scope, changes: dict[str, Any]) -> tuple[Cluster, Counts]:
    cluster = resolve_cluster(tx, scope, ref)
    changed = structs.replace(cluster, **changes)
    _check_providers_unused(tx, cluster, removed=set(cluster.capacity_providers) - set(changed.capacity_providers))
    cluster = tx.put(changed)
    return cluster, _counts(tx, cluster)


def _check_providers_unused(tx: Tx, cluster: Cluster, *, removed: set[str]) -> None:
    if not removed:
        return
    for service in tx.find(Service, cluster_arn=cluster.cluster_arn, status=_OPEN, launch_type=None):
        if removed & {item.capacity_provider for item in service.capacity_provider_strategy}:
            raise ResourceInUseException(
                "The specified capacity provider is in use and cannot be removed. "
                f"Service {service.service_name} has it in its capacity provider strategy."
            )


def _delete(tx: Tx, *, ref: str, scope: Scope, now: float) -> tuple[Cluster, Counts]:
    cluster = find_cluster(tx, scope, ref)
    if cluster is None:
        raise ClusterNotFoundException("Cluster not found.")
    counts = _counts(tx, cluster)
    if cluster.status is ClusterStatus.ACTIVE:
        if counts.instances:
            raise ClusterContainsContainerInstancesException
        if tx.count(Service, cluster_arn=cluster.cluster_arn, status=_OPEN):
            raise ClusterContainsServicesException
        if tx.count(Task, cluster_arn=cluster.cluster_arn, last_status=_ALIVE):
            raise ClusterContainsTasksException
        cluster = tx.put(structs.replace(cluster, status=ClusterStatus.INACTIVE, deleted_at=now))
    return cluster, counts


def _counts(tx: Tx, cluster: Cluster) -> Counts:
    here = cluster.cluster_arn

    def tasks(*statuses: TaskStatus) -> tuple[int, int]:
        ec2 = tx.count(Task, cluster_arn=here, last_status=statuses, launch_type="EC2")
        return ec2, tx.count(Task, cluster_arn=here, last_status=statuses) - ec2

    def services(status: ServiceStatus) -> tuple[int, int]:
        ec2 = tx.count(Service, cluster_arn=here, status=status, launch_type="EC2")
        return ec2, tx.count(Service, cluster_arn=here, status=status) - ec2

    registered = (InstanceStatus.ACTIVE, InstanceStatus.DRAINING)
    return Counts(
        instances=tx.count(ContainerInstance, cluster_arn=here, status=registered, fargate=False),
        running=tasks(TaskStatus.RUNNING),
        pending=tasks(*_PENDING),
        active_services=services(ServiceStatus.ACTIVE),
        draining_services=services(ServiceStatus.DRAINING),
    )


def _statistics(counts: Counts) -> list[dict[str, str]]:
    figures = {
        "runningEC2TasksCount": counts.running[0],
        "runningFargateTasksCount": counts.running[1],
        "pendingEC2TasksCount": counts.pending[0],
        "pendingFargateTasksCount": counts.pending[1],
        "runningExternalTasksCount": 0,
        "pendingExternalTasksCount": 0,
        "activeEC2ServiceCount": counts.active_services[0],
        "activeFargateServiceCount": counts.active_services[1],
        "drainingEC2ServiceCount": counts.draining_services[0],
        "drainingFargateServiceCount": counts.draining_services[1],
        "activeExternalServiceCount": 0,
        "drainingExternalServiceCount": 0,
    }
    return [{"name": name, "value": str(figure)} for name, figure in figures.items()]


def _capacity(params: Mapping[str, Any]) -> tuple[tuple[str, ...], Strategy]:
    """Read the two members that name capacity providers; the strategy may only hold those of the list."""
    named = (strategy.check_provider(ref) for ref in params.get("capacityProviders") or ())
    providers = tuple(dict.fromkeys(named))
    return providers, strategy.check(params.get("defaultCapacityProviderStrategy"), associated=providers)


def _configuration(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the configuration that a request sets, None if it sets none; what is not available is refused."""
    configuration = params.get("configuration") or {}
    if configuration.get("managedStorageConfiguration"):
        raise InvalidParameterException(
            "configuration.managedStorageConfiguration is not available: Wherry does not encrypt task storage with KMS "
            "keys. Remove it and try again."
        )
    if (params.get("serviceConnectDefaults") or {}).get("namespace"):
        raise InvalidParameterException(
            "serviceConnectDefaults is not available: Wherry has no Service Connect. Remove it and try again."
        )
    chosen = configuration.get("executeCommandConfiguration")
    return None if chosen is None else {"executeCommandConfiguration": exec_logging.check(chosen)}


def _arn_of(scope: Scope, ref: str | None) -> str:
    """Return the ARN that a reference means; one of another account, region or kind just names nothing here."""
    return ref if ref and ref.startswith("arn:") else scope.cluster(ref or DEFAULT)
