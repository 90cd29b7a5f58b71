"""What an instance should be running: read from the store, and what its acknowledgements write there.

Transaction functions only; the session in `wherry.api.acs.session` decides when they run.
"""

from __future__ import annotations

import msgspec

from wherry.api.acs.payload import payload_task
from wherry.model import payload
from wherry.model import task as tasks
from wherry.model.errors import ClientException
from wherry.model.instance import ContainerInstance, InstanceStatus
from wherry.model.network import NetworkInterface, Subnet
from wherry.model.payload import PayloadTask
from wherry.model.task import DesiredStatus, Task, TaskStatus
from wherry.model.taskdef import TaskDefinition
from wherry.store.store import Tx


class InactiveInstanceException(ClientException):
    """The container instance is not registered. Register it again."""


class Assignment(msgspec.Struct, frozen=True):
    """A task of the instance; `task` is translated only when it has to be sent."""

    task_arn: str
    desired_status: DesiredStatus


def connect(tx: Tx, instance_arn: str, now: float) -> ContainerInstance:
    """Mark the instance connected and number the next manifest; raises `InactiveInstanceException`."""
    instance = tx.get(ContainerInstance, instance_arn)
    if instance is None or instance.status is InstanceStatus.INACTIVE:
        raise InactiveInstanceException
    return tx.put(
        msgspec.structs.replace(
            instance,
            agent_connected=True,
            agent_connected_at=now,
            manifest_sequence=instance.manifest_sequence + 1,
        )
    )


def disconnect(tx: Tx, instance_arn: str, connected_at: float | None) -> None:
    """Mark the instance disconnected, unless a newer connection has taken over since `connected_at`."""
    instance = tx.get(ContainerInstance, instance_arn)
    if instance is not None and instance.agent_connected and instance.agent_connected_at == connected_at:
        tx.put(msgspec.structs.replace(instance, agent_connected=False))


def forget_connections(tx: Tx) -> None:
    """Mark every instance disconnected: when a control plane starts, nobody is connected to it yet."""
    for instance in tx.find(ContainerInstance):
        if instance.agent_connected:
            tx.put(msgspec.structs.replace(instance, agent_connected=False))


def assignments(tx: Tx, instance_arn: str) -> list[Assignment]:
    """List the tasks of the instance that are not over."""
    alive = [status for status in TaskStatus if status is not TaskStatus.STOPPED]
    found = tx.find(Task, container_instance_arn=instance_arn, last_status=alive)
    return [Assignment(task.task_arn, task.desired_status) for task in found]


def translate(tx: Tx, task_arns: list[str], *, region: str, stop_timeout: float) -> list[PayloadTask]:
    """Translate tasks into payload; one that is gone by now is left out."""
    translated = []
    for arn in task_arns:
        task = tx.get(Task, arn)
        definition = tx.get(TaskDefinition, task.task_definition_arn) if task else None
        if task is None or definition is None:
            continue
        interfaces = tx.find(NetworkInterface, task_arn=arn)
        interface = interfaces[0] if interfaces else None
        subnet = tx.get(Subnet, interface.subnet_id) if interface else None
        translated.append(
            payload_task(
                task,
                definition=definition,
                interface=interface,
                subnet=subnet,
                region=region,
                stop_timeout=stop_timeout,
            )
        )
    return translated


def stop_acknowledged(tx: Tx, instance_arn: str, task_arns: list[str], now: float) -> None:
    """Advance tasks to STOPPING: the agent has written down that they are to stop."""
    for arn in task_arns:
        task = tx.get(Task, arn)
        if task is None or task.container_instance_arn != instance_arn or task.desired_status is DesiredStatus.RUNNING:
            continue
        advanced = tasks.advance(task, TaskStatus.STOPPING, now=now)
        if advanced is not task:
            tx.put(advanced)


def refused(tx: Tx, instance_arn: str, task_arns: list[str], reason: str, now: float) -> None:
    """Stop tasks whose payload the agent could not take: they can never start there."""
    for arn in task_arns:
        task = tx.get(Task, arn)
        if task is None or task.container_instance_arn != instance_arn or task.last_status is not TaskStatus.PENDING:
            continue
        code = tasks.StopCode.TASK_FAILED_TO_START
        tx.put(tasks.want_stopped(task, code=code, reason=f"ResourceInitializationError: {reason}", now=now))


def confirmed_stops(
    tx: Tx, instance_arn: str, candidates: tuple[payload.StopCandidate, ...]
) -> tuple[payload.StopCandidate, ...]:
    """Of the tasks that the agent has and the manifest lacked, pick those that really have no business there."""

    def is_stray(arn: str) -> bool:
        task = tx.get(Task, arn)
        return (
            task is None or task.container_instance_arn != instance_arn or task.desired_status is DesiredStatus.STOPPED
        )

    return tuple(candidate for candidate in candidates if is_stray(candidate.task_arn))
