"""What ECS demands of a task definition's volumes and of what mounts them (ECS API reference, Volume, MountPoint)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wherry.model.problem import Path, Problem

Member = Mapping[str, Any]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_FILE_SYSTEM = re.compile(r"fs-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_ACCESS_POINT = re.compile(r"fsap-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_KINDS = ("host", "dockerVolumeConfiguration", "efsVolumeConfiguration")
_AT_LAUNCH = "configuredAtLaunch"


def problems(params: Member) -> Iterator[Problem]:
    """Find all that is wrong with the volumes, mount points and volumesFrom of a task definition."""
    volumes = params.get("volumes") or ()
    names: set[str] = set()
    at_launch = 0
    for position, volume in enumerate(volumes):
        path = ("volumes", position)
        yield from _volume(volume, path)
        at_launch += bool(volume.get(_AT_LAUNCH))
        if volume.get(_AT_LAUNCH) and at_launch > 1:
            yield Problem((*path, _AT_LAUNCH), "A task definition can have one volume that is configuredAtLaunch only.")
        name = volume.get("name") or ""
        if name and name in names:
            yield Problem((*path, "name"), f"The volume name '{name}' must be unique within a Task Definition.")
        names.add(name)
    containers = params.get("containerDefinitions") or ()
    known = {container.get("name") for container in containers}
    for position, container in enumerate(containers):
        path = ("containerDefinitions", position)
        if mounts := container.get("mountPoints"):
            yield from _mount_points(mounts, (*path, "mountPoints"), names)
        for index, source in enumerate(container.get("volumesFrom") or ()):
            name = source.get("sourceContainer")
            if name not in known or name == container.get("name"):
                text = f"Invalid 'volumesFrom' setting. Unknown container: '{name}'."
                yield Problem((*path, "volumesFrom", index), text)


def fargate_problems(params: Member) -> Iterator[Problem]:
    """Find the volumes that Fargate does not have."""
    for position, volume in enumerate(params.get("volumes") or ()):
        path = ("volumes", position)
        if (volume.get("host") or {}).get("sourcePath"):
            text = "Fargate compatible task definitions do not support sourcePath"
            yield Problem((*path, "host", "sourcePath"), text)
        if volume.get("dockerVolumeConfiguration") is not None:
            text = "Fargate compatible task definitions do not support dockerVolumeConfiguration"
            yield Problem((*path, "dockerVolumeConfiguration"), text)


def _volume(volume: Member, path: Path) -> Iterator[Problem]:
    name = volume.get("name")
    if not name:
        yield Problem(path, "Volume.name should not be null or empty.")
    elif not _NAME.fullmatch(name):
        yield Problem((*path, "name"), "Volume.name contains invalid characters.")
    kinds = [kind for kind in _KINDS if volume.get(kind) is not None]
    kinds += [_AT_LAUNCH] if volume.get(_AT_LAUNCH) else []
    if len(kinds) > 1:
        text = f"The volume '{name}' can have one of {' and '.join(kinds)} only."
        yield Problem((*path, kinds[1]), text)
    yield from _host(volume.get("host") or {}, (*path, "host"))
    if (docker := volume.get("dockerVolumeConfiguration")) is not None:
        yield from _docker(docker, (*path, "dockerVolumeConfiguration"))
    if (efs := volume.get("efsVolumeConfiguration")) is not None:
        yield from _efs(efs, (*path, "efsVolumeConfiguration"))


def _host(host: Member, path: Path) -> Iterator[Problem]:
    source = host.get("sourcePath")
    if source == "":
        yield Problem((*path, "sourcePath"), "host.sourcePath should not be blank.")
    elif source is not None and not is_plain_path(source):
        text = f"host.sourcePath should be an absolute path without '..' and ':', not '{source}'."
        yield Problem((*path, "sourcePath"), text)


def _docker(docker: Member, path: Path) -> Iterator[Problem]:
    scope = docker.get("scope") or "task"
    if scope not in ("task", "shared"):
        yield Problem((*path, "scope"), f"scope should be one of [task, shared], not '{scope}'.", invalid=True)
    if scope == "task" and docker.get("autoprovision") is False:
        text = "When 'scope' parameter is 'task', 'autoprovision' must either not be specified or set to 'True'."
        yield Problem((*path, "autoprovision"), text)


def _efs(efs: Member, path: Path) -> Iterator[Problem]:
    identity, root = efs.get("fileSystemId") or "", efs.get("rootDirectory") or "/"
    if not _FILE_SYSTEM.fullmatch(identity):
        yield Problem((*path, "fileSystemId"), f"The EFS file system id '{identity}' is not valid.")
    if not is_plain_path(root):
        text = f"rootDirectory should be an absolute path without '..' and ':', not '{root}'."
        yield Problem((*path, "rootDirectory"), text)
    encryption = efs.get("transitEncryption")
    if encryption not in (None, "ENABLED", "DISABLED"):
        text = f"transitEncryption should be one of [ENABLED, DISABLED], not '{encryption}'."
        yield Problem((*path, "transitEncryption"), text, invalid=True)
    point = (efs.get("authorizationConfig") or {}).get("accessPointId")
    where = (*path, "authorizationConfig", "accessPointId")
    if not point:
        return
    if not _ACCESS_POINT.fullmatch(point):
        yield Problem(where, f"The EFS access point id '{point}' is not valid.")
    if root != "/":
        text = "When an EFS access point is specified, the root directory must either be omitted or set to '/'."
        yield Problem((*path, "rootDirectory"), text)
    if encryption != "ENABLED":
        yield Problem(where, "Transit encryption must be enabled when an EFS access point is specified.")


def _mount_points(mounts: Iterable[Member], path: Path, volumes: set[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for position, mount in enumerate(mounts):
        here, target = (*path, position), mount.get("containerPath") or ""
        if (mount.get("sourceVolume") or "") not in volumes:
            yield Problem(here, f"Unknown volume '{mount.get('sourceVolume') or 'null'}'.")
        if not is_plain_path(target) or target.strip("/") == "":
            text = f"containerPath should be an absolute path other than / without '..' and ':', not '{target}'."
            yield Problem(here, text)
        elif target.rstrip("/") in seen:
            yield Problem(here, f"The container path '{target}' is mounted more than once.")
        seen.add(target.rstrip("/"))


def is_plain_path(path: str) -> bool:
    """Tell whether a path is absolute, and says nothing that an engine's `SOURCE:TARGET` would read otherwise."""
    return path.startswith("/") and ":" not in path and "\0" not in path and ".." not in path.split("/")
