"""The volumes of a task definition, and how containers mount them (ECS API reference, Volume)."""

from __future__ import annotations

from msgspec import structs

from wherry.model.base import Value


class HostVolume(Value, frozen=True):
    """A path of the host; without `source_path` a volume that the task's containers share and that goes with it."""

    source_path: str | None = None


class DockerVolume(Value, frozen=True):
    """A volume of the container engine: `scope` task goes with the task, shared stays and is known by its name."""

    scope: str = "task"
    autoprovision: bool | None = None
    driver: str = "local"
    driver_opts: dict[str, str] = {}
    labels: dict[str, str] = {}


class EfsAuthorization(Value, frozen=True):
    """How a client of the file system shows who it is."""

    access_point_id: str | None = None
    iam: str | None = None


class EfsVolume(Value, frozen=True):
    """A directory of a network file system that the host's settings know by `file_system_id`."""

    file_system_id: str
    root_directory: str = "/"
    transit_encryption: str | None = None
    authorization_config: EfsAuthorization | None = None


class Volume(Value, frozen=True):
    """A volume by the name by which containers mount it: exactly one of the kinds.

    What one that is `configured_at_launch` is made of, whoever starts the task says.
    """

    name: str
    host: HostVolume | None = None
    docker_volume_configuration: DockerVolume | None = None
    efs_volume_configuration: EfsVolume | None = None
    configured_at_launch: bool | None = None


class MountPoint(Value, frozen=True):
    """A volume of the task at a path of the container."""

    source_volume: str
    container_path: str
    read_only: bool | None = None


class VolumeFrom(Value, frozen=True):
    """All that another container of the task mounts."""

    source_container: str
    read_only: bool | None = None


def normal(volume: Volume) -> Volume:
    """Give a volume of which nothing but the name is said the kind that ECS makes of it."""
    if volume.configured_at_launch:
        return volume
    if volume.docker_volume_configuration is None and volume.efs_volume_configuration is None and volume.host is None:
        return Volume(name=volume.name, host=HostVolume())
    return structs.replace(volume, configured_at_launch=None)
