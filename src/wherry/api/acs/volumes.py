"""A task's volumes as its instance is told of them."""

from __future__ import annotations

from wherry.model.protocol.volume import (
    EBS,
    PayloadAttachment,
    PayloadDockerVolume,
    PayloadEfsAuthorization,
    PayloadEfsVolume,
    PayloadHostVolume,
    PayloadMountPoint,
    PayloadProperty,
    PayloadVolume,
    PayloadVolumeFrom,
)
from wherry.model.task import Task
from wherry.model.taskdef import ContainerDefinition
from wherry.model.volume import EfsVolume, Volume
from wherry.model.volume_configuration import ManagedVolume


def payload_volume(volume: Volume) -> PayloadVolume:
    """Translate a volume."""
    if volume.configured_at_launch:
        return PayloadVolume(name=volume.name, type="attachment")
    docker, efs = volume.docker_volume_configuration, volume.efs_volume_configuration
    if docker is not None:
        configuration = PayloadDockerVolume(
            scope=docker.scope,
            autoprovision=bool(docker.autoprovision),
            driver=docker.driver,
            driver_opts=docker.driver_opts,
            labels=docker.labels,
        )
        return PayloadVolume(name=volume.name, type="docker", docker_volume_configuration=configuration)
    if efs is not None:
        return PayloadVolume(name=volume.name, type="efs", efs_volume_configuration=_efs(efs))
    path = volume.host.source_path if volume.host is not None else None
    return PayloadVolume(name=volume.name, type="host", host=PayloadHostVolume(source_path=path or ""))


def payload_attachment(task: Task, volume: ManagedVolume) -> PayloadAttachment:
    """Translate the volume that was configured at launch."""
    configuration = volume.configuration
    properties = {
        "volumeId": volume.volume_id,
        "volumeName": configuration.name,
        "volumeSizeGib": str(configuration.size_in_gib),
        "fileSystem": configuration.file_system,
        "sourceVolumeHostPath": f"{task.task_id}_{volume.volume_id}",
    }
    if not configuration.delete_on_termination:
        properties["deleteOnTermination"] = "false"
    return PayloadAttachment(
        attachment_arn=attachment_arn(task, volume.attachment_id),
        attachment_type=EBS,
        attachment_properties=tuple(PayloadProperty(name=name, value=value) for name, value in properties.items()),
    )


def attachment_arn(task: Task, identity: str) -> str:
    """Return the ARN of an attachment of the task."""
    return f"{task.task_arn.split(':task/', 1)[0]}:attachment/{identity}"


def _efs(efs: EfsVolume) -> PayloadEfsVolume:
    authorization = efs.authorization_config
    return PayloadEfsVolume(
        file_system_id=efs.file_system_id,
        root_directory=efs.root_directory,
        transit_encryption=efs.transit_encryption or "DISABLED",
        authorization_config=None
        if authorization is None
        else PayloadEfsAuthorization(
            access_point_id=authorization.access_point_id or "", iam=authorization.iam or "DISABLED"
        ),
    )


def mount_points(container: ContainerDefinition) -> tuple[PayloadMountPoint, ...]:
    """Translate what a container mounts."""
    return tuple(
        PayloadMountPoint(
            source_volume=mount.source_volume, container_path=mount.container_path, read_only=bool(mount.read_only)
        )
        for mount in container.mount_points
    )


def volumes_from(container: ContainerDefinition) -> tuple[PayloadVolumeFrom, ...]:
    """Translate whose mounts a container shares."""
    return tuple(
        PayloadVolumeFrom(source_container=source.source_container, read_only=bool(source.read_only))
        for source in container.volumes_from
    )
