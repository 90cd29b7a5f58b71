"""Volumes that are configured at launch: what RunTask and services say of them, and what a task then has.

Source: ECS API reference, TaskManagedEBSVolumeConfiguration and ServiceManagedEBSVolumeConfiguration. The members that
Wherry does not honour are refused, each with a sentence that says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from wherry.model import ids
from wherry.model.base import Value
from wherry.model.ids import Entropy
from wherry.model.taskdef_fields import Honoured, Refused, Verdict

FILE_SYSTEMS = ("ext3", "ext4", "xfs")
VOLUME_TYPES = ("gp2", "gp3")
LARGEST = 16384
"""GiB of the largest volume of these types."""

LAUNCH = "RunTaskRequest"

_SPEED = "A volume is as fast as the disk of its host. "

_MEMBERS: Mapping[str, Verdict] = {
    "roleArn": Honoured(note="One that trusts ecs.amazonaws.com; the setting `missing_roles` holds for it."),
    "sizeInGiB": Honoured(note="1 to 16384, required. Reserved on the disk of the host when the task starts."),
    "filesystemType": Honoured(note="xfs (the default), ext4 or ext3."),
    "volumeType": Honoured(note="gp3 (the default) or gp2; either is the disk of the host."),
    "snapshotId": Refused("Wherry has no snapshots. Remove snapshotId and say sizeInGiB."),
    "volumeInitializationRate": Refused("It is for volumes made of snapshots. Remove volumeInitializationRate."),
    "iops": Refused(_SPEED + "Remove iops."),
    "throughput": Refused(_SPEED + "Remove throughput."),
    "encrypted": Refused(
        "A volume is a file of its host. Remove encrypted or set it to false, and put the data directory of the agent "
        "on an encrypted disk."
    ),
    "kmsKeyId": Refused(
        "Wherry has no keys of KMS. Remove kmsKeyId, and put the data directory of the agent on an encrypted disk."
    ),
    "tagSpecifications": Refused("Volumes of Wherry have no tags. Remove tagSpecifications."),
}

SERVICE_FIELDS: Mapping[str, Mapping[str, Verdict]] = {
    "ServiceVolumeConfiguration": {
        "name": Honoured(note="That of the volume that is configuredAtLaunch."),
        "managedEBSVolume": Honoured("ServiceManagedEBSVolumeConfiguration", note="A disk of its own for each task."),
    },
    "ServiceManagedEBSVolumeConfiguration": _MEMBERS,
}
"""Of CreateService and UpdateService."""

LAUNCH_FIELDS: Mapping[str, Mapping[str, Verdict]] = {
    LAUNCH: {"volumeConfigurations": Honoured("TaskVolumeConfiguration")},
    "TaskVolumeConfiguration": {
        "name": Honoured(),
        "managedEBSVolume": Honoured("TaskManagedEBSVolumeConfiguration"),
    },
    "TaskManagedEBSVolumeConfiguration": {
        **_MEMBERS,
        "terminationPolicy": Honoured("TaskManagedEBSVolumeTerminationPolicy"),
    },
    "TaskManagedEBSVolumeTerminationPolicy": {"deleteOnTermination": Honoured()},
}
"""Of RunTask and StartTask."""


class VolumeConfiguration(Value, frozen=True):
    """How a volume is to be made, under the name that the task definition has for it; None where nothing was said.

    `delete_on_termination` false keeps the data when the task is over, which only RunTask and StartTask can say.
    """

    name: str
    role_arn: str
    size_in_gib: int = msgspec.field(name="sizeInGiB")
    volume_type: str | None = None
    filesystem_type: str | None = None
    delete_on_termination: bool = True

    @property
    def file_system(self) -> str:
        """The file system that the volume gets."""
        return self.filesystem_type or "xfs"


class ManagedVolume(Value, frozen=True):
    """The volume of one task. It comes and goes with the task's network interface, and its status is that one's."""

    attachment_id: str
    volume_id: str
    configuration: VolumeConfiguration


def new_volume(configuration: VolumeConfiguration, entropy: Entropy) -> ManagedVolume:
    """Give a task a volume of its own."""
    return ManagedVolume(
        attachment_id=ids.uuid(entropy), volume_id=f"vol-{ids.hex17(entropy)}", configuration=configuration
    )
