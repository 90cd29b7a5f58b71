"""From the volumes of a payload to what this host understands. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from wherry.agent.assignments.malformed import MalformedTaskError
from wherry.agent.spec import (
    Condition,
    ContainerSpec,
    Dependency,
    HostPath,
    ManagedVolume,
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
from wherry.model.protocol.volume import (
    EBS,
    PayloadAttachment,
    PayloadDockerVolume,
    PayloadEfsVolume,
    PayloadVolume,
)
from wherry.model.volume_configuration import FILE_SYSTEMS

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
"""What an engine takes for the name of a volume; what begins with a slash it would take for a path of the host."""
_VOLUME_ID = re.compile(r"vol-[0-9a-f]{8,17}")
_SIZE = re.compile(r"[1-9][0-9]{0,4}")


def furnished(spec: TaskSpec, task: PayloadTask) -> TaskSpec:
    """Give a task its volumes, and its containers what they mount; raises `MalformedTaskError`."""
    attached = _attached(task.attachments)
    volumes = tuple(Volume(name=volume.name, source=_source(volume, attached)) for volume in task.volumes)
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


def _source(volume: PayloadVolume, attached: Mapping[str, ManagedVolume]) -> VolumeSource:
    match volume:
        case PayloadVolume(type="attachment", name=name) if name in attached:
            return attached[name]
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


def _attached(attachments: Iterable[PayloadAttachment]) -> dict[str, ManagedVolume]:
    """Read the disks among the attachments of a task, by the names of their volumes."""
    found = {}
    for attachment in attachments:
        if attachment.attachment_type == EBS:
            said = {one.name: one.value for one in attachment.attachment_properties}
            found[said.get("volumeName", "")] = _managed(said)
    return found


def _managed(said: Mapping[str, str]) -> ManagedVolume:
    identity, size, system = said.get("volumeId", ""), said.get("volumeSizeGib", ""), said.get("fileSystem") or "xfs"
    if not _VOLUME_ID.fullmatch(identity):
        raise MalformedTaskError(f"{identity!r} is not the id of a volume")
    if not _SIZE.fullmatch(size):
        raise MalformedTaskError(f"volume {identity}: {size!r} is not a size in GiB")
    if system not in FILE_SYSTEMS:
        raise MalformedTaskError(f"volume {identity}: this agent does not make the file system {system!r}")
    return ManagedVolume(
        id=identity, size_gib=int(size), file_system=system, keep=said.get("deleteOnTermination") == "false"
    )


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
