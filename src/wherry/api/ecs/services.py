"""Services: what is wanted of them is written here; that it comes true is the scheduler's part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import structs

from wherry.api.context import Context
from wherry.api.ecs import (
    clusters,
    host_use,
    networking,
    paging,
    roles,
    service_request,
    strategy,
    tags,
    taskdefs,
    volume_configurations,
)
from wherry.api.ecs.roles import Custom
from wherry.api.ecs.service_views import Picture, picture, view
from wherry.api.ecs.strategy import Capacity
from wherry.model import arn, rollout
from wherry.model.arn import Scope
from wherry.model.base import Tag
from wherry.model.call import Call
from wherry.model.cluster import Cluster
from wherry.model.container_rules import one_of
from wherry.model.errors import (
    ClientException,
    InvalidParameterException,
    NamespaceNotFoundException,
    ServiceNotActiveException,
    ServiceNotFoundException,
)
from wherry.model.host_rules import NOTHING, HostRules
from wherry.model.ids import Entropy
from wherry.model.service import (
    Deployment,
    DeploymentConfiguration,
    DeploymentStatus,
    RolloutState,
    Service,
    ServiceEvent,
    ServiceRevision,
    ServiceStatus,
)
from wherry.model.task import TaskOverride
from wherry.model.taskdef import TaskDefinition
from wherry.store import Tx

_COMPARED = (
    "desired_count",
    "task_definition",
    "launch_type",
    "capacity_provider_strategy",
    "platform_version",
    "deployment_configuration",
    "network_configuration",
    "volume_configurations",
    "health_check_grace_period_seconds",
    "enable_ecs_managed_tags",
    "enable_execute_command",
    "propagate_tags",
)
"""What must agree for a second CreateService to be the same as the first."""

_DEPLOYED = ("task_definition", "platform_version", "network_configuration", "volume_configurations")
"""What starts a deployment when it changes (ECS API reference, UpdateService)."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request, with all that its transaction needs to carry it out."""

    params: Mapping[str, Any]
    scope: Scope
    now: float
    entropy: Entropy
    principal: str
    custom: Custom
    host_rules: HostRules = NOTHING
    tags: tuple[Tag, ...] = ()

    @classmethod
    def of(cls, ctx: Context, call: Call) -> Asked:
        """Take what a transaction may know from the call and its context."""
        return cls(
            params=call.params,
            scope=ctx.scope,
            now=ctx.clock(),
            entropy=ctx.entropy,
            principal=call.principal.arn,
            custom=roles.custom(ctx),
            host_rules=ctx.settings.host_rules,
            tags=tags.check(call.params.get("tags")),
        )


async def create_service(ctx: Context, call: Call) -> dict[str, Any]:
    """CreateService: a service with its first deployment; the same request again returns the same service."""
    service_request.check_create(call.params)
    return {"service": view(await ctx.store.write(_create, Asked.of(ctx, call)))}


async def update_service(ctx: Context, call: Call) -> dict[str, Any]:
    """UpdateService: change what is wanted; a change of what tasks are made from starts a deployment."""
    service_request.check_update(call.params)
    return {"service": view(await ctx.store.write(_update, Asked.of(ctx, call)))}


async def delete_service(ctx: Context, call: Call) -> dict[str, Any]:
    """DeleteService: let a service drain, to be INACTIVE once its tasks have stopped; `force` if it has any."""
    return {"service": view(await ctx.store.write(_delete, Asked.of(ctx, call)))}


async def describe_services(ctx: Context, call: Call) -> dict[str, Any]:
    """DescribeServices: show up to ten services, those that drain or have drained as well."""
    refs, include = call.params["services"], call.params.get("include") or []
    if not refs:
        raise InvalidParameterException("Services cannot be empty.")
    if len(refs) > 10:
        raise InvalidParameterException("Services cannot have more than 10 elements.")
    for name in include:
        for problem in one_of(name, ("TAGS",), ("include",)):
            raise problem.error()
    cluster, found = await ctx.store.read(_describe, scope=ctx.scope, cluster=call.params.get("cluster"), refs=refs)
    missing = [ref for ref in dict.fromkeys(refs) if _arn_of(ctx.scope, cluster, ref) not in found]
    return {
        "services": [view(seen, with_tags=bool(include)) for seen in found.values()],
        "failures": [{"arn": _arn_of(ctx.scope, cluster, ref), "reason": "MISSING"} for ref in missing],
    }


async def list_services(ctx: Context, call: Call) -> dict[str, Any]:
    """ListServices: ARNs of the ACTIVE services of a cluster, ten to a page unless asked otherwise."""
    params = call.params
    for member, allowed in _FILTERS.items():
        for problem in one_of(params.get(member), allowed, (member,)):
            raise problem.error()
    window = paging.window(params.get("nextToken"), params.get("maxResults"), default=10)
    found = await ctx.store.read(_list, scope=ctx.scope, params=params, window=window)
    page, token = window.cut(found, lambda service: (service.service_arn,))
    return {"serviceArns": [service.service_arn for service in page], "nextToken": token}


async def list_services_by_namespace(_: Context, call: Call) -> dict[str, Any]:
    """ListServicesByNamespace: there are no namespaces yet, so that none is ever found."""
    raise NamespaceNotFoundException(f"The namespace {call.params['namespace']} was not found.")


def find_service(tx: Tx, scope: Scope, *, cluster: Cluster, ref: str) -> Service | None:
    """Return the service of a cluster that a name or ARN refers to, whatever its status."""
    service = tx.get(Service, _arn_of(scope, cluster, ref))
    return service if service and service.cluster_arn == cluster.cluster_arn else None


def start_deployment(tx: Tx, service: Service, *, scope: Scope, entropy: Entropy, now: float) -> None:
    """Write the deployment that brings `service`, as it now is, out over all earlier ones."""
    previous = tx.find(Deployment, service_arn=service.service_arn)
    revision = tx.put(rollout.new_revision(service, scope=scope, entropy=entropy, now=now))
    tx.put(rollout.new_deployment(service, revision, previous=previous, scope=scope, entropy=entropy, now=now))
    for changed in rollout.supersede(previous, now):
        tx.put(changed)


_FILTERS = {
    "launchType": ("EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"),
    "schedulingStrategy": ("REPLICA", "DAEMON"),
    "resourceManagementType": ("CUSTOMER", "ECS"),
}


def _create(tx: Tx, asked: Asked) -> Picture:
    wanted = _wanted(tx, asked)
    old = tx.get(Service, wanted.service_arn)
    if old is not None and old.status is ServiceStatus.ACTIVE:
        _check_idempotent(old, wanted)
        return picture(tx, old)
    if old is not None:
        if old.status is ServiceStatus.DRAINING:
            raise InvalidParameterException("Unable to Start a service that is still Draining.")
        _forget(tx, old)
    service = tx.put(structs.replace(wanted, version=old.version if old else 0))
    start_deployment(tx, service, scope=asked.scope, entropy=asked.entropy, now=asked.now)
    return picture(tx, service)


def _wanted(tx: Tx, asked: Asked) -> Service:
    params = asked.params
    cluster = clusters.resolve_cluster(tx, asked.scope, params.get("cluster"))
    definition = taskdefs.resolve(tx, asked.scope, params["taskDefinition"])
    capacity = strategy.choose(
        cluster, launch_type=params.get("launchType"), strategy=params.get("capacityProviderStrategy")
    )
    service = Service(
        service_arn=asked.scope.service(cluster.cluster_name, params["serviceName"]),
        service_name=params["serviceName"],
        cluster_arn=cluster.cluster_arn,
        task_definition=definition.task_definition_arn,
        deployment_configuration=service_request.deployment_configuration(
            params.get("deploymentConfiguration"), DeploymentConfiguration()
        ),
        created_at=asked.now,
        created_by=asked.principal,
        client_token=params.get("clientToken"),
        fingerprint=service_request.fingerprint(params),
        tags=asked.tags,
        **_placed(capacity, params.get("platformVersion")),
    )
    service = structs.replace(service, **service_request.changes(params))
    _check_fit(tx, asked, service)
    return service


def _check_idempotent(old: Service, wanted: Service) -> None:
    """Compare with the request of the same token if there was one, else with what the service is now."""
    if wanted.client_token is not None and wanted.client_token == old.client_token:
        same = wanted.fingerprint == old.fingerprint
    else:
        same = all(getattr(old, field) == getattr(wanted, field) for field in _COMPARED)
    if not same:
        raise InvalidParameterException("Creation of service was not idempotent.")


def _forget(tx: Tx, old: Service) -> None:
    """Remove what a deleted service left behind: one of the same name must not roll back into its past."""
    for type_ in (Deployment, ServiceRevision, ServiceEvent):
        for row in tx.find(type_, service_arn=old.service_arn):
            tx.delete(row)


def _update(tx: Tx, asked: Asked) -> Picture:
    params, scope = asked.params, asked.scope
    cluster = clusters.resolve_cluster(tx, scope, params.get("cluster"))
    before = _existing(tx, scope, cluster, params["service"])
    if before.status is not ServiceStatus.ACTIVE:
        raise ServiceNotActiveException("Service was not ACTIVE.")
    after = structs.replace(
        before,
        deployment_configuration=service_request.deployment_configuration(
            params.get("deploymentConfiguration"), before.deployment_configuration
        ),
        **service_request.changes(params),
        **_moved(cluster, before, params),
    )
    if params.get("taskDefinition"):
        definition = taskdefs.resolve(tx, scope, params["taskDefinition"])
        after = structs.replace(after, task_definition=definition.task_definition_arn)
    deploys = params.get("forceNewDeployment") or any(getattr(after, f) != getattr(before, f) for f in _DEPLOYED)
    if deploys or after.capacity_provider_strategy != before.capacity_provider_strategy:
        _check_fit(tx, asked, after)
    service = tx.put(after) if after != before or deploys else before
    if deploys:
        start_deployment(tx, service, scope=scope, entropy=asked.entropy, now=asked.now)
    elif after.deployment_configuration != before.deployment_configuration:
        _reconfigure(tx, service, now=asked.now)
    return picture(tx, service)


def _reconfigure(tx: Tx, service: Service, *, now: float) -> None:
    """Let the rollout that is under way go on by the new deployment configuration: that is how a stuck one is freed."""
    for deployment in tx.find(Deployment, service_arn=service.service_arn, status=DeploymentStatus.PRIMARY):
        if deployment.rollout_state is RolloutState.IN_PROGRESS:
            configuration = service.deployment_configuration
            tx.put(structs.replace(deployment, deployment_configuration=configuration, updated_at=now))


def _moved(cluster: Cluster, before: Service, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the tasks of later deployments go: an empty strategy leads back to the launch type."""
    raw = params.get("capacityProviderStrategy")
    capacity = Capacity(launch_type=before.launch_type, strategy=before.capacity_provider_strategy)
    if raw:
        capacity = Capacity(launch_type=None, strategy=strategy.check(raw, associated=cluster.capacity_providers))
    elif raw is not None and capacity.strategy:
        capacity = Capacity(launch_type="FARGATE")
    if raw is None and not params.get("platformVersion"):
        return {}
    return _placed(capacity, params.get("platformVersion") or before.platform_version)


def _placed(capacity: Capacity, platform_version: str | None) -> dict[str, Any]:
    return {
        "launch_type": capacity.launch_type,
        "capacity_provider_strategy": capacity.strategy,
        "platform_version": strategy.check_platform(capacity, platform_version),
        "platform_family": "Linux" if capacity.compatibility == "FARGATE" else None,
    }


def _check_fit(tx: Tx, asked: Asked, service: Service) -> None:
    """Check that the definition of a service can run where it is to run, in the network that it is given."""
    definition = taskdefs.find(tx, asked.scope, service.task_definition)
    if definition is None:
        raise ClientException("TaskDefinition not found.")
    host_use.check(definition, asked.host_rules)
    roles.check_assumable(tx, roles.named(definition, TaskOverride()), asked.custom)
    _check_volumes(tx, asked, definition, service)
    capacity = Capacity(launch_type=service.launch_type, strategy=service.capacity_provider_strategy)
    strategy.check_compatible(capacity, definition)
    networking.check(tx, definition.network_mode, service.network_configuration)


def _check_volumes(tx: Tx, asked: Asked, definition: TaskDefinition, service: Service) -> None:
    """Check the volumes of the tasks; the role by which they are made is made as the setting says."""
    volume_configurations.check(definition, service.volume_configurations)
    refs = [volume.role_arn for volume in service.volume_configurations]
    roles.settle_infrastructure(tx, refs, asked.custom, entropy=asked.entropy, now=asked.now)
    roles.check_infrastructure(tx, refs, asked.custom)


def _delete(tx: Tx, asked: Asked) -> Picture:
    params = asked.params
    cluster = clusters.resolve_cluster(tx, asked.scope, params.get("cluster"))
    service = _existing(tx, asked.scope, cluster, params["service"])
    if service.status is ServiceStatus.INACTIVE:
        raise ServiceNotFoundException("Service not found.")
    if service.status is ServiceStatus.ACTIVE:
        if service.desired_count > 0 and not params.get("force"):
            raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
        service = tx.put(structs.replace(service, status=ServiceStatus.DRAINING, desired_count=0))
    return picture(tx, service)


def _describe(tx: Tx, *, scope: Scope, cluster: str | None, refs: Sequence[str]) -> tuple[Cluster, dict[str, Picture]]:
    home = clusters.resolve_cluster(tx, scope, cluster)
    services = (find_service(tx, scope, cluster=home, ref=ref) for ref in dict.fromkeys(refs))
    return home, {service.service_arn: picture(tx, service) for service in services if service is not None}


def _list(tx: Tx, *, scope: Scope, params: Mapping[str, Any], window: paging.Window) -> list[Service]:
    cluster = clusters.resolve_cluster(tx, scope, params.get("cluster"))
    if params.get("resourceManagementType") == "ECS":
        return []
    columns = {"launch_type": params.get("launchType"), "scheduling_strategy": params.get("schedulingStrategy")}
    return tx.find(
        Service,
        limit=window.limit,
        after=window.after,
        cluster_arn=cluster.cluster_arn,
        status=ServiceStatus.ACTIVE,
        **{column: value for column, value in columns.items() if value},
    )


def _existing(tx: Tx, scope: Scope, cluster: Cluster, ref: str) -> Service:
    service = find_service(tx, scope, cluster=cluster, ref=ref)
    if service is None:
        raise ServiceNotFoundException("Service not found.")
    return service


def _arn_of(scope: Scope, cluster: Cluster, ref: str) -> str:
    """Return the ARN that `ref` means in `cluster`; one of the old form, without the cluster, counts as a name."""
    long = ref.startswith("arn:") and arn.resource(ref).count("/") > 1
    return ref if long else scope.service(cluster.cluster_name, arn.last(ref))
