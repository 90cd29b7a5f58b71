"""A task as ECS shows it."""

from __future__ import annotations

from typing import Any

from wherry.api.ecs import overrides, tags
from wherry.model.base import Value
from wherry.model.instance import EXECUTE_COMMAND, ContainerInstance
from wherry.model.task import Attachment, AttachmentStatus, Container, ContainerStatus, Task
from wherry.model.volume_configuration import ManagedVolume


class Picture(Value, frozen=True):
    """A task and the instance that it is on."""

    task: Task
    instance: ContainerInstance | None = None


def view(picture: Picture, *, include_tags: bool = False) -> dict[str, Any]:
    """Show a task. A Fargate task has no container instance that its owner could see."""
    task, instance = picture.task, picture.instance
    return {
        "taskArn": task.task_arn,
        "clusterArn": task.cluster_arn,
        "taskDefinitionArn": task.task_definition_arn,
        "containerInstanceArn": None if task.launch_type == "FARGATE" else task.container_instance_arn,
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "launchType": task.launch_type,
        "capacityProviderName": task.capacity_provider_name,
        "platformVersion": task.platform_version,
        "platformFamily": task.platform_family,
        "availabilityZone": task.availability_zone,
        "attributes": [] if instance is None else [{"name": "ecs.cpu-architecture", "value": instance.architecture}],
        "cpu": str(task.cpu) if task.cpu else None,
        "memory": str(task.memory) if task.memory else None,
        "containers": [_container(task, container, instance) for container in task.containers],
        "attachments": _attachments(task),
        "overrides": overrides.view(task),
        "inferenceAccelerators": [],
        "ephemeralStorage": overrides.storage_view(task.ephemeral_storage),
        "group": task.group,
        "startedBy": task.started_by,
        "healthStatus": task.health_status,
        "connectivity": _connectivity(task, instance),
        "enableExecuteCommand": task.enable_execute_command,
        "stopCode": task.stop_code,
        "stoppedReason": task.stopped_reason,
        "version": task.version,
        "tags": tags.view(task.tags) if include_tags else [],
        **_times(task),
    }


def _times(task: Task) -> dict[str, float | None]:
    return {
        "createdAt": task.created_at,
        "connectivityAt": task.connectivity_at,
        "pullStartedAt": task.pull_started_at,
        "pullStoppedAt": task.pull_stopped_at,
        "startedAt": task.started_at,
        "stoppingAt": task.stopping_at,
        "executionStoppedAt": task.execution_stopped_at,
        "stoppedAt": task.stopped_at,
    }


def _connectivity(task: Task, instance: ContainerInstance | None) -> str | None:
    """Say whether the task's agent is connected; of a task that is over, that it was."""
    if task.connectivity_at is None:
        return None
    return "CONNECTED" if task.is_stopped or (instance is not None and instance.agent_connected) else "DISCONNECTED"


def _container(task: Task, container: Container, instance: ContainerInstance | None) -> dict[str, Any]:
    agents = {"managedAgents": [_managed_agent(task, container, instance)]} if task.enable_execute_command else {}
    return agents | {
        "containerArn": container.container_arn,
        "taskArn": task.task_arn,
        "name": container.name,
        "image": container.image,
        "imageDigest": container.image_digest,
        "runtimeId": container.runtime_id,
        "lastStatus": container.last_status,
        "exitCode": container.exit_code,
        "reason": container.reason,
        "networkBindings": [],
        "networkInterfaces": _interfaces(task.attachment),
        "healthStatus": container.health_status,
        "cpu": container.cpu,
        "memory": container.memory,
        "memoryReservation": container.memory_reservation,
    }


def _managed_agent(task: Task, container: Container, instance: ContainerInstance | None) -> dict[str, Any]:
    """Say whether commands can be executed in the container: whenever it runs, for the agent of the host does it."""
    name = "ExecuteCommandAgent"
    if instance is not None and not any(attribute.name == EXECUTE_COMMAND for attribute in instance.attributes):
        reason = f"{name} Initialization failed - the agent of the container instance does not execute commands."
        return {"name": name, "lastStatus": ContainerStatus.STOPPED, "reason": reason}
    started = task.started_at if container.last_status is not ContainerStatus.PENDING else None
    return {"name": name, "lastStatus": container.last_status, "lastStartedAt": started}


def _interfaces(attachment: Attachment | None) -> list[dict[str, str]]:
    if attachment is None or not attachment.private_ipv4_address:
        return []
    return [{"attachmentId": attachment.id, "privateIpv4Address": attachment.private_ipv4_address}]


def _attachments(task: Task) -> list[dict[str, Any]]:
    shown = [] if task.attachment is None else [_attachment(task.attachment)]
    return shown if task.volume is None else [*shown, _volume(task.volume, task.attachment)]


def _volume(volume: ManagedVolume, interface: Attachment | None) -> dict[str, Any]:
    """Show a volume: it is made and taken down in the same steps as the network interface."""
    status = AttachmentStatus.PRECREATED if interface is None else interface.status
    configuration = volume.configuration
    details = {
        "roleArn": configuration.role_arn,
        "volumeId": None if status is AttachmentStatus.PRECREATED else volume.volume_id,
        "volumeName": configuration.name,
        "sizeInGiB": str(configuration.size_in_gib),
        "volumeType": configuration.volume_type or "gp3",
        "filesystemType": configuration.file_system,
        "deleteOnTermination": "true" if configuration.delete_on_termination else "false",
    }
    return {
        "id": volume.attachment_id,
        "type": "AmazonElasticBlockStorage",
        "status": status,
        "details": [{"name": name, "value": value} for name, value in details.items() if value],
    }


def _attachment(attachment: Attachment) -> dict[str, Any]:
    details = {
        "subnetId": attachment.subnet_id,
        "networkInterfaceId": attachment.network_interface_id,
        "macAddress": attachment.mac_address,
        "privateDnsName": attachment.private_dns_name,
        "privateIPv4Address": attachment.private_ipv4_address,
    }
    shown = {} if attachment.status is AttachmentStatus.PRECREATED else details
    return {
        "id": attachment.id,
        "type": "ElasticNetworkInterface",
        "status": attachment.status,
        "details": [{"name": name, "value": value} for name, value in shown.items() if value],
    }
