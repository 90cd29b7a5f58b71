"""The five operations that agents call: they join, ask where to connect, and report what has become of tasks.

A report names a task, not the instance that sends it. What protects a task from the report of another's agent is the
signature, as on ECS: whoever may call these operations speaks for the whole account. What a report can do is kept
small: it moves statuses up only, of a task that was given to some instance, and makes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import structlog

from wherry.api.context import Context
from wherry.api.ecs import tags
from wherry.model import arn, reports
from wherry.model.arn import FARGATE_POOL, Scope
from wherry.model.base import Value
from wherry.model.call import Call
from wherry.model.errors import ClientException, InvalidParameterException
from wherry.model.ids import hex32
from wherry.model.instance import Attribute, ContainerInstance, InstanceStatus
from wherry.model.network import NetworkInterface
from wherry.model.reports import AgentStatus, ContainerReport, TaskReport
from wherry.model.service import ServiceRevision
from wherry.model.task import AttachmentStatus, Task, TaskStatus
from wherry.model.taskdef import TaskDefinition
from wherry.store import Tx, placing

T = TypeVar("T")

log = structlog.get_logger()

ACKNOWLEDGED = {"acknowledgment": "ACK"}

POOL, ZONES, ARCHITECTURE = "wherry.pool", "wherry.availability-zones", "ecs.cpu-architecture"
"""Attributes that say which pool an agent joins, in which zones its host stands, and what runs there."""

_ARCHITECTURES = {"amd64": "x86_64", "aarch64": "arm64"}
_ATTACHMENTS = {"ATTACHED": AttachmentStatus.ATTACHED, "DETACHED": AttachmentStatus.DELETED}


class Offer(Value, frozen=True):
    """What a host brings to the pool."""

    cpu: int
    memory: int
    attributes: tuple[Attribute, ...]
    agent_version: str
    agent_hash: str
    docker_version: str

    def value(self, name: str) -> str | None:
        """Return the value of an attribute."""
        return next((a.value for a in self.attributes if a.name == name), None)


async def register_container_instance(ctx: Context, call: Call) -> dict[str, Any]:
    """RegisterContainerInstance: a host joins the Fargate pool, or comes back to it under the ARN that it was given.

    The pool serves every cluster, so that the one which the request names plays no part.
    """
    params = call.params
    attributes = _attributes(params.get("attributes"))
    if not any(a.name == POOL and a.value == "FARGATE" for a in attributes):
        raise ClientException(
            "Container instances of the launch type EC2 are not available. "
            "Start the agent with `wherry agent --fargate` to add this host to the Fargate capacity."
        )
    if params.get("platformDevices"):
        raise ClientException("platformDevices are not supported. Register the instance without them.")
    version = params.get("versionInfo") or {}
    offer = Offer(
        cpu=_resource(params, "CPU"),
        memory=_resource(params, "MEMORY"),
        attributes=attributes,
        agent_version=version.get("agentVersion") or "",
        agent_hash=version.get("agentHash") or "",
        docker_version=version.get("dockerVersion") or "",
    )
    known = params.get("containerInstanceArn")
    instance_arn = known or ctx.scope.container_instance(FARGATE_POOL, hex32(ctx.entropy))
    wanted = _instance(offer, instance_arn=instance_arn, scope=ctx.scope, now=ctx.clock())
    wanted = msgspec.structs.replace(wanted, tags=tags.check(params.get("tags")))
    instance, running, reserved = await ctx.store.write(_register, wanted, known=known is not None)
    return {"containerInstance": _view(instance, running=running, reserved=reserved)}


async def discover_poll_endpoint(ctx: Context, call: Call) -> dict[str, Any]:  # noqa: ARG001 - every operation takes both
    """DiscoverPollEndpoint: where ACS and TCS are. All instances are served at one place."""
    base = ctx.settings.base_url
    return {"endpoint": f"{base}/acs/", "telemetryEndpoint": f"{base}/tcs/"}


async def submit_task_state_change(ctx: Context, call: Call) -> dict[str, Any]:
    """SubmitTaskStateChange: fold the report into the task.

    A report for a task that is not there, any more or at all, is acknowledged: all that its agent can do is forget it.
    """
    params = call.params
    report = TaskReport(
        status=_status(params.get("status")),
        reason=params.get("reason"),
        containers=tuple(_container_report(item) for item in params.get("containers") or ()),
        pull_started_at=params.get("pullStartedAt"),
        pull_stopped_at=params.get("pullStoppedAt"),
        execution_stopped_at=params.get("executionStoppedAt"),
    )
    attachments = _attachments(params.get("attachments"))
    task_arn = _task_arn(ctx.scope, params)
    if not await ctx.store.write(_report, task_arn, report, attachments, now=ctx.clock()):
        log.warning("report_of_unknown_task", task=task_arn, status=params.get("status"))
    return ACKNOWLEDGED


async def submit_container_state_change(ctx: Context, call: Call) -> dict[str, Any]:
    """SubmitContainerStateChange: the same for one container."""
    task_arn = _task_arn(ctx.scope, call.params)
    report = TaskReport(containers=(_container_report(call.params),))
    if not await ctx.store.write(_report, task_arn, report, [], now=ctx.clock()):
        log.warning("report_of_unknown_task", task=task_arn, status=call.params.get("status"))
    return ACKNOWLEDGED


async def submit_attachment_state_changes(ctx: Context, call: Call) -> dict[str, Any]:
    """SubmitAttachmentStateChanges: interfaces are ATTACHED, or DETACHED and their addresses free again."""
    changes = _attachments(call.params["attachments"])
    await ctx.store.write(_report_attachments, changes, now=ctx.clock())
    return ACKNOWLEDGED


def _register(tx: Tx, wanted: ContainerInstance, *, known: bool) -> tuple[ContainerInstance, int, tuple[int, int]]:
    stored = tx.get(ContainerInstance, wanted.container_instance_arn) if known else None
    if known and (stored is None or stored.status is InstanceStatus.INACTIVE):
        raise ClientException(
            f"The container instance {wanted.container_instance_arn} is not registered. "
            "Register again without containerInstanceArn."
        )
    if stored is not None:
        wanted = msgspec.structs.replace(
            wanted,
            version=stored.version,
            status=stored.status,
            agent_connected=stored.agent_connected,
            agent_connected_at=stored.agent_connected_at,
            agent_disconnected_at=stored.agent_disconnected_at,
            registered_at=stored.registered_at,
            manifest_sequence=stored.manifest_sequence,
            tags=wanted.tags or stored.tags,
        )
    instance = tx.put(wanted)
    on_it = tx.find(Task, container_instance_arn=instance.container_instance_arn, last_status=placing.ALIVE)
    running = sum(task.last_status is TaskStatus.RUNNING for task in on_it)
    return instance, running, (sum(task.cpu for task in on_it), sum(task.memory for task in on_it))


def _report(
    tx: Tx, task_arn: str, report: TaskReport, attachments: Sequence[tuple[str, AttachmentStatus]], *, now: float
) -> bool:
    task = tx.get(Task, task_arn)
    if task is None or task.container_instance_arn is None:
        return False
    instance = tx.get(ContainerInstance, task.container_instance_arn)
    # Agents of the pool are Wherry's own and say when an interface is down; of any other nobody will.
    detaches = instance is not None and instance.fargate
    changed = reports.apply_task_report(task, report, now=now, detaches=detaches)
    for attachment_id, status in attachments:
        if task.attachment is not None and task.attachment.id == attachment_id:
            changed = reports.apply_attachment(changed, status, now=now)
    _save(tx, task, changed)
    return True


def _report_attachments(tx: Tx, changes: Sequence[tuple[str, AttachmentStatus]], *, now: float) -> None:
    for attachment_id, status in changes:
        for interface in tx.find(NetworkInterface, attachment_id=attachment_id):
            task = tx.get(Task, interface.task_arn)
            if task is not None:
                _save(tx, task, reports.apply_attachment(task, status, now=now))


def _save(tx: Tx, before: Task, after: Task) -> None:
    """Write what a report changed, and what follows: a free address, images pinned for the rest of the revision."""
    if after is before:
        return
    tx.put(after)
    if after.attachment is not None and after.attachment.status is AttachmentStatus.DELETED:
        placing.release_interface(tx, after.task_arn)
    if after.service_revision_arn is not None and reports.digests(after) != reports.digests(before):
        _pin(tx, after, after.service_revision_arn)


def _pin(tx: Tx, task: Task, revision_arn: str) -> None:
    """Pin each image to the digest that the first task of the revision resolved (versionConsistency)."""
    revision = tx.get(ServiceRevision, revision_arn)
    definition = tx.get(TaskDefinition, task.task_definition_arn)
    if revision is None or definition is None:
        return
    fresh = {
        name: digest
        for name, digest in reports.digests(task).items()
        if name not in revision.container_images
        and (container := definition.container(name)) is not None
        and container.version_consistency != "disabled"
    }
    if fresh:
        tx.put(msgspec.structs.replace(revision, container_images={**revision.container_images, **fresh}))


def _instance(offer: Offer, *, instance_arn: str, scope: Scope, now: float) -> ContainerInstance:
    architecture = offer.value(ARCHITECTURE) or "x86_64"
    zones = (offer.value(ZONES) or "").split(",")
    return ContainerInstance(
        container_instance_arn=instance_arn,
        cluster_arn=scope.cluster(FARGATE_POOL),
        fargate=True,
        cpu=offer.cpu,
        memory=offer.memory,
        architecture=_ARCHITECTURES.get(architecture, architecture),
        availability_zones=tuple(zone.strip() for zone in zones if zone.strip()),
        attributes=offer.attributes,
        agent_version=offer.agent_version,
        agent_hash=offer.agent_hash,
        docker_version=offer.docker_version,
        registered_at=now,
    )


def _attributes(raw: Sequence[Mapping[str, Any]] | None) -> tuple[Attribute, ...]:
    return tuple(Attribute(name=item["name"], value=item.get("value")) for item in raw or ())


def _resource(params: Mapping[str, Any], name: str) -> int:
    for item in params.get("totalResources") or ():
        if item.get("name") == name and (item.get("integerValue") or 0) > 0:
            return int(item["integerValue"])
    raise InvalidParameterException(f"totalResources needs {name} as an INTEGER above zero.")


def _task_arn(scope: Scope, params: Mapping[str, Any]) -> str:
    ref: str = params.get("task") or ""
    if not ref:
        raise InvalidParameterException("task can not be blank.")
    return ref if ref.startswith("arn:") else scope.task(arn.last(params.get("cluster") or "default"), ref)


def _container_report(item: Mapping[str, Any]) -> ContainerReport:
    return ContainerReport(
        name=item.get("containerName") or "",
        status=_status(item.get("status")),
        exit_code=item.get("exitCode"),
        reason=item.get("reason"),
        runtime_id=item.get("runtimeId"),
        image_digest=item.get("imageDigest"),
    )


def _status(name: str | None) -> AgentStatus | None:
    return None if not name else _one(AgentStatus, name)


def _attachments(raw: Sequence[Mapping[str, Any]] | None) -> list[tuple[str, AttachmentStatus]]:
    return [(arn.last(item["attachmentArn"]), _one(_ATTACHMENTS.__getitem__, item["status"])) for item in raw or ()]


def _one(known: Callable[[str], T], name: str) -> T:
    try:
        return known(name)
    except (KeyError, ValueError):
        raise InvalidParameterException(f"The status '{name}' is not known.") from None


def _view(instance: ContainerInstance, *, running: int, reserved: tuple[int, int]) -> dict[str, Any]:
    """Show the instance to its agent, which checks that every attribute that it sent comes back."""
    return {
        "containerInstanceArn": instance.container_instance_arn,
        "version": instance.version,
        "versionInfo": {
            "agentVersion": instance.agent_version,
            "agentHash": instance.agent_hash,
            "dockerVersion": instance.docker_version,
        },
        "registeredResources": _resources(instance.cpu, instance.memory),
        "remainingResources": _resources(instance.cpu - reserved[0], instance.memory - reserved[1]),
        "status": instance.status.value,
        "agentConnected": instance.agent_connected,
        "runningTasksCount": running,
        "attributes": [{"name": a.name} | ({} if a.value is None else {"value": a.value}) for a in instance.attributes],
        "registeredAt": instance.registered_at,
        "tags": tags.view(instance.tags),
    }


def _resources(cpu: int, memory: int) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": "INTEGER", "integerValue": value} for name, value in (("CPU", cpu), ("MEMORY", memory))
    ]
