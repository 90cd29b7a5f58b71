"""How tasks begin that no service starts: RunTask and StartTask."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from wherry.api.context import Context
from wherry.api.ecs import (
    host_use,
    networking,
    overrides,
    roles,
    strategy,
    tags,
    taskdefs,
    tasks,
    volume_configurations,
)
from wherry.api.ecs.clusters import resolve_cluster
from wherry.api.ecs.roles import Custom, Named
from wherry.api.ecs.strategy import Capacity
from wherry.api.ecs.task_view import Picture, view
from wherry.model.account import IdempotencyToken
from wherry.model.arn import Scope
from wherry.model.base import Tag, Value
from wherry.model.birth import new_task
from wherry.model.call import Call
from wherry.model.cluster import Cluster
from wherry.model.errors import ClientException, ConflictException, InvalidParameterException
from wherry.model.host_rules import HostRules
from wherry.model.ids import Entropy
from wherry.model.placement import NO_INSTANCES, Placed, Unplaced
from wherry.model.strategy import next_provider
from wherry.model.task import NetworkConfiguration, Task, TaskOverride
from wherry.model.taskdef import TaskDefinition
from wherry.model.volume_configuration import VolumeConfiguration
from wherry.store import Tx, placing

MOST_TASKS = 10
"""Tasks of one RunTask, and instances of one StartTask."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,64}")
_STARTED_BY = re.compile(r"[A-Za-z0-9_/-]{1,128}")
_REFUSED = {
    "referenceId": "It is for the use of AWS services only. Leave it out.",
}


class Order(Value, frozen=True):
    """What is to be started, as far as it could be read without looking at any state."""

    cluster: str | None
    task_definition: str
    count: int = 1
    group: str | None = None
    launch_type: str | None = None
    strategy: tuple[dict[str, Any], ...] = ()
    platform_version: str | None = None
    network: NetworkConfiguration | None = None
    overrides: TaskOverride = TaskOverride()
    volumes: tuple[VolumeConfiguration, ...] = ()
    placement: str | None = None
    started_by: str | None = None
    propagate_tags: bool = False
    managed_tags: bool = False
    enable_execute_command: bool = False
    tags: tuple[Tag, ...] = ()
    token: str | None = None
    fingerprint: str = ""


class Moment(Value, frozen=True):
    """When and where it happens. `remembered_until` is for the client token."""

    scope: Scope
    now: float
    entropy: Entropy
    remembered_until: float
    custom: Custom
    host_rules: HostRules


Started = tuple[list[Picture], list[Unplaced]]


async def run_task(ctx: Context, call: Call) -> dict[str, Any]:
    """RunTask: start up to ten tasks, as many of them as there is room for now; the others are failures."""
    params = call.params
    count = params.get("count")
    count = 1 if count is None else count
    if not 1 <= count <= MOST_TASKS:
        raise InvalidParameterException(f"count should be between 1 and {MOST_TASKS}.")
    token = params.get("clientToken")
    if token and not _TOKEN.fullmatch(token):
        raise InvalidParameterException("clientToken should have up to 64 ASCII characters in the range 33-126.")
    order = msgspec.structs.replace(
        _order(params),
        count=count,
        launch_type=params.get("launchType"),
        strategy=tuple(params.get("capacityProviderStrategy") or ()),
        platform_version=params.get("platformVersion"),
        placement=next((n for n in ("placementConstraints", "placementStrategy") if params.get(n)), None),
        token=token,
        fingerprint=_fingerprint(params),
    )
    now = ctx.clock()
    moment = Moment(
        scope=ctx.scope,
        now=now,
        entropy=ctx.entropy,
        remembered_until=now + ctx.settings.timing.idempotency,
        custom=roles.custom(ctx),
        host_rules=ctx.settings.host_rules,
    )
    started, unplaced = await ctx.store.write(_run, order, moment)
    return {
        "tasks": [view(picture, include_tags=True) for picture in started],
        "failures": [{"reason": refused.reason, "detail": refused.detail} for refused in unplaced],
    }


async def start_task(ctx: Context, call: Call) -> dict[str, Any]:
    """StartTask: start a task on each of the instances named. There are none to be seen, so that all are MISSING."""
    params = call.params
    instances: Sequence[str] = params["containerInstances"]
    if not instances:
        raise ClientException("Container Instances cannot be empty.")
    if len(instances) > MOST_TASKS:
        raise InvalidParameterException(f"Container Instances can not have more than {MOST_TASKS} elements.")
    missing = await ctx.store.read(_start, _order(params), ctx.scope, tuple(dict.fromkeys(instances)))
    return {"tasks": [], "failures": [{"arn": instance_arn, "reason": "MISSING"} for instance_arn in missing]}


def _order(params: Mapping[str, Any]) -> Order:
    """Read what RunTask and StartTask have in common."""
    for name, sentence in _REFUSED.items():
        if params.get(name):
            raise InvalidParameterException(f"{name} is not supported: {sentence}")
    if not params.get("taskDefinition"):
        raise ClientException("TaskDefinition can not be blank.")
    started_by, propagate = params.get("startedBy"), params.get("propagateTags") or "NONE"
    if started_by and not _STARTED_BY.fullmatch(started_by):
        raise InvalidParameterException(
            "startedBy can have up to 128 letters, numbers, hyphens, forward slashes and underscores."
        )
    if propagate not in ("NONE", "TASK_DEFINITION"):
        raise InvalidParameterException("propagateTags of a task should be one of [NONE,TASK_DEFINITION]")
    return Order(
        cluster=params.get("cluster"),
        task_definition=params["taskDefinition"],
        group=_group(params.get("group")),
        network=networking.read(params.get("networkConfiguration")),
        overrides=overrides.read(params.get("overrides")),
        volumes=volume_configurations.read_launch(params),
        started_by=started_by or None,
        propagate_tags=propagate == "TASK_DEFINITION",
        managed_tags=bool(params.get("enableECSManagedTags")),
        enable_execute_command=bool(params.get("enableExecuteCommand")),
        tags=tags.check(params.get("tags")),
    )


def _group(name: str | None) -> str | None:
    if name and name.startswith("service:"):
        raise InvalidParameterException(f"Invalid group '{name}'. Groups that begin with service: belong to services.")
    if name and len(name) > 255:
        raise InvalidParameterException("group can have up to 255 characters.")
    return name or None


def _run(tx: Tx, order: Order, moment: Moment) -> Started:
    cluster = resolve_cluster(tx, moment.scope, order.cluster)
    key = f"RunTask/{cluster.cluster_arn}/{order.token}"
    if order.token and (earlier := _earlier(tx, key, order, moment.now)) is not None:
        return earlier, []
    definition = taskdefs.resolve(tx, moment.scope, order.task_definition)
    capacity = strategy.choose(cluster, launch_type=order.launch_type, strategy=order.strategy)
    host_use.check(definition, moment.host_rules)
    platform_version = _check(tx, order, definition, capacity)
    _see_to_roles(tx, definition, order, moment)
    wanted = _new_tasks(order, definition, cluster, capacity, moment, platform_version=platform_version)
    decisions = placing.survey(tx, wanted).decide()
    placed = {d.task_arn: d for d in decisions if isinstance(d, Placed)}
    born = [task for task in wanted if task.task_arn in placed]
    for task in born:
        placing.place(tx, task, placed[task.task_arn], now=moment.now, entropy=moment.entropy)
    if order.token and born:
        _remember(tx, key, order, born, until=moment.remembered_until)
    # The answer tells of tasks as they are made, PROVISIONING, though they have their hosts already.
    return [Picture(task=task) for task in born], [d for d in decisions if isinstance(d, Unplaced)]


def _see_to_roles(tx: Tx, definition: TaskDefinition, order: Order, moment: Moment) -> None:
    """Make what the request names and is missing, as registering does, and check that the task can have its roles."""
    override, infrastructure = order.overrides, [volume.role_arn for volume in order.volumes]
    overriding = Named(task=override.task_role_arn, execution=override.execution_role_arn)
    roles.settle(tx, overriding, moment.custom, entropy=moment.entropy, now=moment.now)
    roles.settle_infrastructure(tx, infrastructure, moment.custom, entropy=moment.entropy, now=moment.now)
    roles.check_assumable(tx, roles.named(definition, override), moment.custom)
    roles.check_infrastructure(tx, infrastructure, moment.custom)


def _start(tx: Tx, order: Order, scope: Scope, refs: Sequence[str]) -> list[str]:
    cluster = resolve_cluster(tx, scope, order.cluster)
    definition = taskdefs.resolve(tx, scope, order.task_definition)
    networking.check(tx, definition.network_mode, order.network)
    overrides.check(definition, order.overrides)
    volume_configurations.check(definition, order.volumes)
    return [ref if ref.startswith("arn:") else scope.container_instance(cluster.cluster_name, ref) for ref in refs]


def _check(tx: Tx, order: Order, definition: TaskDefinition, capacity: Capacity) -> str | None:
    """Check what depends on the definition and on where it is to run; return the platform version."""
    strategy.check_compatible(capacity, definition)
    platform_version = strategy.check_platform(capacity, order.platform_version)
    networking.check(tx, definition.network_mode, order.network)
    if capacity.compatibility != "FARGATE":
        raise InvalidParameterException(NO_INSTANCES)
    match order.placement:
        case "placementConstraints":
            raise InvalidParameterException("Placement constraints are not supported with FARGATE launch type.")
        case "placementStrategy":
            raise InvalidParameterException("Placement strategies are not supported with FARGATE launch type.")
        case _:
            overrides.check(definition, order.overrides)
            volume_configurations.check(definition, order.volumes)
            return platform_version


def _new_tasks(
    order: Order,
    definition: TaskDefinition,
    cluster: Cluster,
    capacity: Capacity,
    moment: Moment,
    *,
    platform_version: str | None,
) -> list[Task]:
    inherited = definition.tags if order.propagate_tags else ()
    managed = (Tag(key="aws:ecs:clusterName", value=cluster.cluster_name),) if order.managed_tags else ()
    counts: Counter[str] = Counter()
    wanted = []
    for _ in range(order.count):
        provider = next_provider(capacity.strategy, counts) if capacity.strategy else None
        counts[provider or ""] += 1
        wanted.append(
            new_task(
                definition,
                scope=moment.scope,
                cluster_arn=cluster.cluster_arn,
                now=moment.now,
                entropy=moment.entropy,
                group=order.group or f"family:{definition.family}",
                launch_type="FARGATE",
                platform_version=platform_version,
                network_configuration=order.network,
                overrides=order.overrides,
                tags=tags.merge(tags.merge(inherited, order.tags), managed),
                started_by=order.started_by,
                capacity_provider_name=provider,
                enable_execute_command=order.enable_execute_command,
                volume_configurations=order.volumes,
            )
        )
    return wanted


def _earlier(tx: Tx, key: str, order: Order, now: float) -> list[Picture] | None:
    """Return the tasks that a request with the same token has started; raises ConflictException if it was another."""
    token = tx.get(IdempotencyToken, key)
    if token is None or token.expires_at <= now:
        return None
    if token.fingerprint != order.fingerprint:
        raise ConflictException(
            "The clientToken has been used by a request with other parameters. Use another clientToken.",
            resourceIds=list(token.resource_arns),
        )
    found = (tx.get(Task, task_arn) for task_arn in token.resource_arns)
    return tasks.pictures(tx, [task for task in found if task is not None])


def _remember(tx: Tx, key: str, order: Order, born: Sequence[Task], *, until: float) -> None:
    expired = tx.get(IdempotencyToken, key)
    tx.put(
        IdempotencyToken(
            version=0 if expired is None else expired.version,
            key=key,
            fingerprint=order.fingerprint,
            resource_arns=tuple(task.task_arn for task in born),
            expires_at=until,
        )
    )


def _fingerprint(params: Mapping[str, Any]) -> str:
    same = {name: value for name, value in params.items() if name != "clientToken"}
    return hashlib.sha256(msgspec.json.encode(same, order="deterministic")).hexdigest()
