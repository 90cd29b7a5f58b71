"""Volumes in the payload of ACS: the public shapes that the stock agent reads as well."""

from __future__ import annotations

from wherry.model.base import Value


class PayloadHostVolume(Value, frozen=True):
    """`type` "host": a path of the host; without one, a volume for the task alone."""

    source_path: str = ""


class PayloadDockerVolume(Value, frozen=True):
    """`type` "docker"."""

    scope: str = "task"
    autoprovision: bool = False
    driver: str = "local"
    driver_opts: dict[str, str] = {}
    labels: dict[str, str] = {}


class PayloadEfsAuthorization(Value, frozen=True):
    """Of an EFS volume; `iam` ENABLED or DISABLED."""

    access_point_id: str = ""
    iam: str = "DISABLED"


class PayloadEfsVolume(Value, frozen=True):
    """`type` "efs"; `transit_encryption` ENABLED or DISABLED."""

    file_system_id: str
    root_directory: str = "/"
    transit_encryption: str = "DISABLED"
    authorization_config: PayloadEfsAuthorization | None = None


EBS = "amazonebs"
"""The type of the attachment that is an EBS volume of a task."""


class PayloadProperty(Value, frozen=True):
    """A property of an attachment; none is empty."""

    name: str
    value: str


class PayloadAttachment(Value, frozen=True):
    """Something that is attached to a task.

    One of the type `EBS` has the properties `volumeId`, `volumeName`, `volumeSizeGib`, `fileSystem`, and
    `sourceVolumeHostPath`, the name of a directory for it. Wherry's own, which stock agents pass over:
    `deleteOnTermination`, "false" where the data is to be kept.
    """

    attachment_arn: str
    attachment_type: str
    attachment_properties: tuple[PayloadProperty, ...] = ()


class PayloadVolume(Value, frozen=True):
    """A volume of a task: `type` says which of the others is there, "attachment" that it is one of the task's."""

    name: str
    type: str
    host: PayloadHostVolume | None = None
    docker_volume_configuration: PayloadDockerVolume | None = None
    efs_volume_configuration: PayloadEfsVolume | None = None


class PayloadMountPoint(Value, frozen=True):
    """An entry of a container's `mountPoints`."""

    source_volume: str
    container_path: str
    read_only: bool = False


class PayloadVolumeFrom(Value, frozen=True):
    """An entry of a container's `volumesFrom`."""

    source_container: str
    read_only: bool = False
