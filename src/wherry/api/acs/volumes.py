"""A task's volumes as its instance is told of them."""

from __future__ import annotations

from wherry.model.protocol.volume import (
    PayloadDockerVolume,
    PayloadEfsAuthorization,
    PayloadEfsVolume,
    PayloadHostVolume,
    PayloadMountPoint,
    PayloadVolume,
    PayloadVolumeFrom,
)
from wherry.model.taskdef import ContainerDefinition
from wherry.model.volume import EfsVolume, Volume


def payload_volume(volume: Volume) -> PayloadVolume:
    """Translate a volume."""
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
