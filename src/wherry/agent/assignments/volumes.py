"""From the volumes of a payload to what this host understands. Pure."""

from __future__ import annotations

import re

from msgspec.structs import replace

from wherry.agent.assignments.malformed import MalformedTaskError
from wherry.agent.spec import (
    Condition,
    ContainerSpec,
    Dependency,
    HostPath,
    Mount,
    NetworkFileSystem,
    SharedVolume,
    TaskSpec,
    TaskVolume,
    Volume,
    VolumesFrom,
    VolumeSource,
)
from wherry.model.protocol.container import PayloadContainer
from wherry.model.protocol.task import PayloadTask
from wherry.model.protocol.volume import PayloadDockerVolume, PayloadEfsVolume, PayloadVolume

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
"""What an engine takes for the name of a volume; what begins with a slash it would take for a path of the host."""


def furnished(spec: TaskSpec, task: PayloadTask) -> TaskSpec:
    """Give a task its volumes, and its containers what they mount; raises `MalformedTaskError`."""
    volumes = tuple(Volume(name=volume.name, source=_source(volume)) for volume in task.volumes)
    names = {volume.name for volume in volumes}
    if len(names) < len(volumes):
        raise MalformedTaskError("two volumes of a task have the same name")
    pairs = zip(spec.containers, task.containers, strict=True)
    return replace(spec, volumes=volumes, containers=tuple(_container(own, told, names) for own, told in pairs))


def _container(own: ContainerSpec, told: PayloadContainer, volumes: set[str]) -> ContainerSpec:
    for mount in told.mount_points:
        if mount.source_volume not in volumes:
            raise MalformedTaskError(f"container {own.name}: there is no volume {mount.source_volume!r} to mount")
        _check_path(mount.container_path)
    mounts = tuple(
        Mount(volume=mount.source_volume, path=mount.container_path, read_only=mount.read_only)
        for mount in told.mount_points
    )
    shared = tuple(VolumesFrom(container=one.source_container, read_only=one.read_only) for one in told.volumes_from)
    # The source must have been created before: like dependsOn, this orders the start and, reversed, the stop.
    edges = tuple(Dependency(container=one.container, condition=Condition.CREATED) for one in shared)
    return replace(own, mounts=mounts, volumes_from=shared, depends_on=own.depends_on + edges)


def _source(volume: PayloadVolume) -> VolumeSource:
    match volume:
        case PayloadVolume(type="docker", docker_volume_configuration=PayloadDockerVolume() as docker):
            return _docker(volume.name, docker)
        case PayloadVolume(type="efs", efs_volume_configuration=PayloadEfsVolume() as efs):
            return _efs(efs)
        case PayloadVolume(type="host", host=host):
            if host is None or not host.source_path:
                return TaskVolume()
            _check_path(host.source_path)
            return HostPath(path=host.source_path)
        case _:
            raise MalformedTaskError(f"volume {volume.name!r}: this agent does not know the type {volume.type!r}")


def _docker(name: str, docker: PayloadDockerVolume) -> TaskVolume | SharedVolume:
    if docker.scope == "task":
        return TaskVolume(driver=docker.driver, options=docker.driver_opts, labels=docker.labels)
    if docker.scope != "shared":
        raise MalformedTaskError(f"the scope {docker.scope!r} of a volume is not known")
    if not _NAME.fullmatch(name):
        raise MalformedTaskError(f"{name!r} is not the name of a volume that an engine can share")
    return SharedVolume(
        autoprovision=docker.autoprovision, driver=docker.driver, options=docker.driver_opts, labels=docker.labels
    )


def _efs(efs: PayloadEfsVolume) -> NetworkFileSystem:
    _check_path(efs.root_directory or "/")
    authorization = efs.authorization_config
    if authorization is not None and authorization.iam == "ENABLED":
        raise MalformedTaskError(f"file system {efs.file_system_id}: a mapped file system has no IAM policy")
    point = authorization.access_point_id if authorization is not None else ""
    return NetworkFileSystem(
        id=point or efs.file_system_id, root=efs.root_directory or "/", encrypted=efs.transit_encryption == "ENABLED"
    )


def _check_path(path: str) -> None:
    if not path.startswith("/") or ":" in path or "\0" in path or ".." in path.split("/"):
        raise MalformedTaskError(f"{path!r} is not an absolute path that an engine can mount")
