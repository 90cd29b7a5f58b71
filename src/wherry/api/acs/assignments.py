"""What an instance should be running: read from the store, and what its acknowledgements write there.

Transaction functions only; the session in `wherry.api.acs.session` decides when they run.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import msgspec

from wherry.api.acs.credentials import Assumed, assumed
from wherry.api.acs.payload import Terms, payload_task
from wherry.api.ecs import settings
from wherry.api.ecs.roles import Custom
from wherry.model import reports
from wherry.model import task as tasks
from wherry.model.errors import ClientException
from wherry.model.instance import ContainerInstance, InstanceStatus
from wherry.model.network import NetworkInterface, Subnet
from wherry.model.protocol import acs
from wherry.model.protocol.task import PayloadTask
from wherry.model.task import DesiredStatus, Task, TaskStatus
from wherry.model.taskdef import TaskDefinition
from wherry.store import Tx, placing


class InactiveInstanceException(ClientException):
    """The container instance is not registered. Register it again."""


class Assignment(msgspec.Struct, frozen=True):
    """A task of the instance; `task` is translated only when it has to be sent."""

    task_arn: str
    desired_status: DesiredStatus


def check_active(tx: Tx, instance_arn: str) -> ContainerInstance:
    """Return the instance; raises `InactiveInstanceException` if it is not registered, or not any more."""
    instance = tx.get(ContainerInstance, instance_arn)
    if instance is None or instance.status is InstanceStatus.INACTIVE:
        raise InactiveInstanceException
    return instance


def connect(tx: Tx, instance_arn: str, now: float) -> ContainerInstance:
    """Mark the instance connected and number the connection and its manifest; raises `InactiveInstanceException`.

    The number is the time where that is more, so that it goes on growing for agents after a database is restored.
    """
    instance = check_active(tx, instance_arn)
    return tx.put(
        msgspec.structs.replace(
            instance,
            agent_connected=True,
            agent_connected_at=now,
            agent_disconnected_at=None,
            manifest_sequence=max(instance.manifest_sequence + 1, math.floor(now)),
        )
    )


def holds(tx: Tx, instance_arn: str, connection: int) -> ContainerInstance | None:
    """Return the instance if `connection` is still the latest one to it, None if it has been taken over from."""
    instance = tx.get(ContainerInstance, instance_arn)
    if instance is None or instance.status is InstanceStatus.INACTIVE or instance.manifest_sequence != connection:
        return None
    return instance


def reconnect(tx: Tx, instance_arn: str, connection: int) -> None:
    """Mark the instance connected that a control plane beside this one, when it started, took for disconnected."""
    instance = holds(tx, instance_arn, connection)
    if instance is not None and not instance.agent_connected:
        tx.put(msgspec.structs.replace(instance, agent_connected=True, agent_disconnected_at=None))


def disconnect(tx: Tx, instance_arn: str, connection: int, now: float) -> None:
    """Mark the instance disconnected, unless a newer connection has taken over."""
    instance = holds(tx, instance_arn, connection)
    if instance is not None and instance.agent_connected:
        tx.put(msgspec.structs.replace(instance, agent_connected=False, agent_disconnected_at=now))


def forget_connections(tx: Tx, now: float) -> None:
    """Mark every instance disconnected from now on: nobody could connect while there was no control plane."""
    for instance in tx.find(ContainerInstance, status=(InstanceStatus.ACTIVE, InstanceStatus.DRAINING)):
        tx.put(msgspec.structs.replace(instance, agent_connected=False, agent_disconnected_at=now))


def assignments(tx: Tx, instance_arn: str, among: Collection[str] | None = None) -> list[Assignment]:
    """List the tasks of the instance that are not over, all of them or those that are `among` some ARNs."""
    named = {} if among is None else {"task_arn": among}
    # No more than that is read of the rows: the tasks of a host may be thousands, and nearly all of them unchanged.
    columns = ("task_arn", "desired_status")
    found = tx.tally(Task, columns, container_instance_arn=instance_arn, last_status=placing.ALIVE, **named)
    return [Assignment(task_arn, DesiredStatus(wanted)) for task_arn, wanted in found]


def translate(tx: Tx, task_arns: Collection[str], *, terms: Terms, custom: Custom) -> list[tuple[PayloadTask, Assumed]]:
    """Translate tasks into payload, and find their roles; one that is gone by now is left out."""
    translated = []
    terms = msgspec.structs.replace(terms, log_mode=settings.account_default(tx, "defaultLogDriverMode"))
    for arn in task_arns:
        task = tx.get(Task, arn)
        definition = tx.get(TaskDefinition, task.task_definition_arn) if task else None
        if task is None or definition is None:
            continue
        interfaces = tx.find(NetworkInterface, task_arn=arn)
        interface = interfaces[0] if interfaces else None
        subnet = tx.get(Subnet, interface.subnet_id) if interface else None
        told = payload_task(task, definition=definition, interface=interface, subnet=subnet, terms=terms)
        translated.append((told, assumed(tx, task, definition, custom)))
    return translated


def roles_of(tx: Tx, instance_arn: str, *, custom: Custom) -> list[tuple[str, Assumed]]:
    """List the tasks of the instance that run and have roles."""
    found = []
    for task in tx.find(Task, container_instance_arn=instance_arn, last_status=placing.ALIVE):
        definition = tx.get(TaskDefinition, task.task_definition_arn)
        if definition is None or task.desired_status is DesiredStatus.STOPPED:
            continue
        own = assumed(tx, task, definition, custom)
        if own.task is not None or own.execution is not None:
            found.append((task.task_arn, own))
    return found


def stop_acknowledged(tx: Tx, instance_arn: str, task_arns: list[str], now: float) -> None:
    """Advance tasks to STOPPING: the agent has written down that they are to stop."""
    for arn in task_arns:
        task = tx.get(Task, arn)
        if task is None or task.container_instance_arn != instance_arn or task.desired_status is DesiredStatus.RUNNING:
            continue
        advanced = tasks.advance(task, TaskStatus.STOPPING, now=now)
        if advanced is not task:
            tx.put(advanced)


def not_assumed(tx: Tx, instance_arn: str, task_arn: str, why: str, now: float) -> None:
    """Let a task stop that cannot have its roles; the agent, which may have begun with it, says when it has."""
    task = tx.get(Task, task_arn)
    if task is not None and task.container_instance_arn == instance_arn and task.started_at is None:
        tx.put(tasks.want_stopped(task, code=tasks.StopCode.TASK_FAILED_TO_START, reason=why, now=now))


def refused(tx: Tx, instance_arn: str, task_arns: Collection[str], why: str, now: float) -> None:
    """End tasks that the agent could not take: it has nothing of them, and nobody else ever will.

    Those that have run are left to the agent, which must have taken them once.
    """
    for arn in task_arns:
        task = tx.get(Task, arn)
        if task is None or task.container_instance_arn != instance_arn or task.started_at is not None:
            continue
        stopping = tasks.want_stopped(task, code=tasks.StopCode.TASK_FAILED_TO_START, reason=why, now=now)
        tx.put(reports.never_mind(stopping, now=now))
        placing.release_interface(tx, arn)


def confirmed_stops(
    tx: Tx, instance_arn: str, candidates: tuple[acs.StopCandidate, ...]
) -> tuple[acs.StopCandidate, ...]:
    """Of the tasks that the agent has and the manifest lacked, pick those that really have no business there."""

    def is_stray(arn: str) -> bool:
        task = tx.get(Task, arn)
        return (
            task is None or task.container_instance_arn != instance_arn or task.desired_status is DesiredStatus.STOPPED
        )

    return tuple(candidate for candidate in candidates if is_stray(candidate.task_arn))
