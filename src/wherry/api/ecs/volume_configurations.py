"""The volumes that a launch configures: read from requests, held against the task definition, and shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wherry.model.container_rules import one_of
from wherry.model.errors import InvalidParameterException
from wherry.model.taskdef import TaskDefinition
from wherry.model.taskdef_fields import refusals
from wherry.model.volume_configuration import (
    FILE_SYSTEMS,
    LARGEST,
    LAUNCH,
    LAUNCH_FIELDS,
    VOLUME_TYPES,
    VolumeConfiguration,
)

_OTHER_TYPES = ("io1", "io2", "sc1", "st1", "standard")


def read_launch(params: Mapping[str, Any]) -> tuple[VolumeConfiguration, ...]:
    """Read those of RunTask and StartTask; raises InvalidParameterException."""
    raw = params.get("volumeConfigurations")
    for problem in refusals({"volumeConfigurations": raw}, LAUNCH, fields=LAUNCH_FIELDS):
        raise InvalidParameterException(problem.message)
    return read(raw)


def read(raw: Sequence[Mapping[str, Any]] | None) -> tuple[VolumeConfiguration, ...]:
    """Read those of a request that asks for nothing that is refused; raises InvalidParameterException."""
    if raw is not None and len(raw) > 1:
        raise InvalidParameterException("volumeConfigurations can have one element only.")
    return tuple(_read(item) for item in raw or ())


def check(definition: TaskDefinition, configurations: Iterable[VolumeConfiguration]) -> None:
    """Check that just the volume of the definition that is to be configured is; raises InvalidParameterException."""
    wanted = {volume.name for volume in definition.volumes if volume.configured_at_launch}
    named = {configuration.name for configuration in configurations}
    for name in sorted(named - wanted):
        raise InvalidParameterException(
            f"volumeConfigurations: {_short(definition)} has no volume '{name}' that is configuredAtLaunch. "
            + (f"Name '{min(wanted)}'." if wanted else "Leave volumeConfigurations out, or empty in a service.")
        )
    for name in sorted(wanted - named):
        raise InvalidParameterException(
            f"The volume '{name}' of {_short(definition)} is configuredAtLaunch: configure it in volumeConfigurations."
        )


def view(configurations: Iterable[VolumeConfiguration]) -> list[dict[str, Any]]:
    """Show those of a service as they were given."""
    return [{"name": one.name, "managedEBSVolume": _view(one)} for one in configurations]


def _read(raw: Mapping[str, Any]) -> VolumeConfiguration:
    name, volume = raw["name"], raw.get("managedEBSVolume")
    if volume is None:
        raise InvalidParameterException(f"volumeConfigurations: say managedEBSVolume of the volume '{name}'.")
    if not volume["roleArn"]:
        raise InvalidParameterException("managedEBSVolume.roleArn should not be blank.")
    size = volume.get("sizeInGiB")
    if size is None:
        raise InvalidParameterException("managedEBSVolume.sizeInGiB is required.")
    if not 1 <= size <= LARGEST:
        raise InvalidParameterException(f"managedEBSVolume.sizeInGiB should be between 1 and {LARGEST}.")
    _check_kinds(volume)
    return VolumeConfiguration(
        name=name,
        role_arn=volume["roleArn"],
        size_in_gib=size,
        volume_type=volume.get("volumeType") or None,
        filesystem_type=volume.get("filesystemType") or None,
        delete_on_termination=_deletes(volume.get("terminationPolicy")),
    )


def _check_kinds(volume: Mapping[str, Any]) -> None:
    file_system, kind = volume.get("filesystemType") or None, volume.get("volumeType") or None
    if file_system == "ntfs":
        raise InvalidParameterException(
            "filesystemType ntfs is not supported: it is for Windows containers. Use xfs, ext4 or ext3."
        )
    if kind in _OTHER_TYPES:
        raise InvalidParameterException(
            f"volumeType {kind} is not supported: a volume is on the disk of its host. Use gp3 or remove volumeType."
        )
    for problem in (
        *one_of(file_system, FILE_SYSTEMS, ("managedEBSVolume", "filesystemType")),
        *one_of(kind, VOLUME_TYPES, ("managedEBSVolume", "volumeType")),
    ):
        raise problem.error()


def _deletes(policy: Mapping[str, Any] | None) -> bool:
    return policy is None or bool(policy["deleteOnTermination"])


def _short(definition: TaskDefinition) -> str:
    return f"{definition.family}:{definition.revision}"


def _view(one: VolumeConfiguration) -> dict[str, Any]:
    said = {
        "roleArn": one.role_arn,
        "sizeInGiB": one.size_in_gib,
        "volumeType": one.volume_type,
        "filesystemType": one.filesystem_type,
    }
    return {member: value for member, value in said.items() if value is not None}
