"""How a task is born: everything that it will ever be made from is copied at this moment and never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wherry.model import arn, ids, sizes
from wherry.model.arn import Scope
from wherry.model.base import Tag
from wherry.model.ids import Entropy
from wherry.model.task import (
    Attachment,
    Container,
    ContainerOverride,
    NetworkConfiguration,
    Task,
    TaskOverride,
)
from wherry.model.taskdef import ContainerDefinition, TaskDefinition
from wherry.model.volume_configuration import VolumeConfiguration, new_volume


def new_task(
    definition: TaskDefinition,
    *,
    scope: Scope,
    cluster_arn: str,
    now: float,
    entropy: Entropy,
    group: str,
    launch_type: str,
    platform_version: str | None,
    network_configuration: NetworkConfiguration | None,
    overrides: TaskOverride,
    tags: Sequence[Tag],
    started_by: str | None = None,
    service_arn: str | None = None,
    service_revision_arn: str | None = None,
    capacity_provider_name: str | None = None,
    enable_execute_command: bool = False,
    image_digests: Mapping[str, str] = {},
    volume_configurations: Sequence[VolumeConfiguration] = (),
) -> Task:
    """Make a task of `definition`: PROVISIONING, wanted RUNNING, on no instance yet.

    `image_digests` (container name -> "sha256:...") pins images to what the service revision resolved first. Of
    `volume_configurations` there is one at most.
    """
    cluster_name = arn.last(cluster_arn)
    task_id = ids.hex32(entropy)
    cpu, memory = task_size(definition, overrides)
    return Task(
        task_arn=scope.task(cluster_name, task_id),
        cluster_arn=cluster_arn,
        task_definition_arn=definition.task_definition_arn,
        family=definition.family,
        group=group,
        service_arn=service_arn,
        service_revision_arn=service_revision_arn,
        started_by=started_by,
        launch_type=launch_type,
        capacity_provider_name=capacity_provider_name,
        platform_version=platform_version,
        platform_family="Linux" if launch_type == "FARGATE" else None,
        cpu=cpu,
        memory=memory,
        ephemeral_storage=overrides.ephemeral_storage or _storage(definition),
        containers=tuple(
            _container(
                container,
                override=_override_of(overrides, container.name),
                container_arn=scope.container(cluster_name, task_id, ids.uuid(entropy)),
                digest=image_digests.get(container.name),
            )
            for container in definition.container_definitions
        ),
        attachment=Attachment(id=ids.uuid(entropy)) if definition.network_mode == "awsvpc" else None,
        volume=next((new_volume(configuration, entropy) for configuration in volume_configurations), None),
        network_configuration=network_configuration,
        overrides=overrides,
        created_at=now,
        credentials_id=ids.uuid(entropy),
        enable_execute_command=enable_execute_command,
        tags=tuple(tags),
    )


def _storage(definition: TaskDefinition) -> int | None:
    return definition.ephemeral_storage.size_in_gib if definition.ephemeral_storage is not None else None


def task_size(definition: TaskDefinition, overrides: TaskOverride) -> tuple[int, int]:
    """Tell the CPU units and MiB that a task reserves: of the task if it says so, else what its containers add up to.

    A container counts with its reservation where it has one, else with its limit.
    """
    cpu, memory = overrides.cpu or definition.cpu, overrides.memory or definition.memory
    units, mib = sizes.cpu_units(cpu) if cpu else None, sizes.memory_mib(memory) if memory else None
    if units and mib:
        return units, mib
    pairs = [(c, _override_of(overrides, c.name)) for c in definition.container_definitions]
    return (
        units or sum(_first(o.cpu, c.cpu) or 0 for c, o in pairs),
        mib
        or sum(_first(o.memory_reservation, c.memory_reservation) or _first(o.memory, c.memory) or 0 for c, o in pairs),
    )


def pinned(image: str, digest: str) -> str:
    """Name the same image by its digest: "repo/app:1" becomes "repo/app@sha256:..."."""
    if "@" in image:
        return image
    head, slash, last = image.rpartition("/")
    return f"{head}{slash}{last.split(':', 1)[0]}@{digest}"


def _container(
    definition: ContainerDefinition, *, override: ContainerOverride, container_arn: str, digest: str | None
) -> Container:
    return Container(
        container_arn=container_arn,
        name=definition.name,
        image=pinned(definition.image, digest) if digest else definition.image,
        essential=definition.essential,
        has_health_check=definition.health_check is not None,
        cpu=str(_first(override.cpu, definition.cpu) or 0),
        memory=_text(_first(override.memory, definition.memory)),
        memory_reservation=_text(_first(override.memory_reservation, definition.memory_reservation)),
    )


def _override_of(overrides: TaskOverride, name: str) -> ContainerOverride:
    return next((o for o in overrides.container_overrides if o.name == name), ContainerOverride(name=name))


def _first(override: int | None, defined: int | None) -> int | None:
    return defined if override is None else override


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
