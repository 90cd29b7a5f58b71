"""What is published about running containers: health, and statistics between two samples. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wherry.agent.progress import Phase, View
from wherry.agent.runtime.base import Usage
from wherry.agent.spec import Struct
from wherry.model.protocol.tcs import (
    ContainerHealth,
    ContainerMetric,
    NetworkStatsSet,
    StatsSet,
    StorageStatsSet,
    TaskHealth,
    TaskMetric,
)

TASKS_PER_MESSAGE = 10
_MIB = 1024 * 1024


class Sample(Struct, frozen=True):
    """A container's usage at an instant (seconds of any clock that only goes forward)."""

    usage: Usage
    at: float


def health(views: Iterable[View]) -> list[TaskHealth]:
    """Describe the containers that have a health check, of tasks that are not over."""
    checked = (view for view in views if any(one.spec.health_check is not None for one in view.containers))
    return [_task_health(view) for view in checked if not view.stopped]


def _task_health(view: View) -> TaskHealth:
    spec = view.assignment.spec
    return TaskHealth(
        task_arn=spec.arn,
        cluster_arn=spec.cluster,
        task_definition_family=spec.family,
        task_definition_version=spec.version,
        containers=tuple(
            ContainerHealth(
                container_name=container.name,
                health_status=container.health.value,
                status_since=container.health_since or container.memory.started_at,
            )
            for container in view.containers
            if container.spec.health_check is not None
        ),
    )


def running(views: Iterable[View]) -> list[tuple[View, str, str]]:
    """List what can be sampled: the view, the container's name and its runtime id."""
    return [
        (view, container.name, container.memory.runtime_id)
        for view in views
        for container in view.containers
        if container.phase is Phase.RUNNING and container.memory.runtime_id is not None
    ]


def metrics(
    containers: Iterable[tuple[View, str, str]], before: Mapping[str, Sample], now: Mapping[str, Sample]
) -> list[TaskMetric]:
    """Summarize each container between two samples, by runtime id; one that lacks either is left out."""
    tasks: dict[str, tuple[View, list[ContainerMetric]]] = {}
    for view, name, runtime_id in containers:
        old, new = before.get(runtime_id), now.get(runtime_id)
        if old is not None and new is not None and new.at > old.at:
            tasks.setdefault(view.assignment.arn, (view, []))[1].append(_metric(name, old, new))
    return [
        TaskMetric(
            task_arn=arn,
            cluster_arn=view.assignment.spec.cluster,
            task_definition_family=view.assignment.spec.family,
            task_definition_version=view.assignment.spec.version,
            container_metrics=tuple(found),
        )
        for arn, (view, found) in tasks.items()
    ]


def _metric(name: str, old: Sample, new: Sample) -> ContainerMetric:
    before, now = old.usage, new.usage
    cpu_percent = 100 * max(0.0, now.cpu_seconds - before.cpu_seconds) / (new.at - old.at)
    return ContainerMetric(
        container_name=name,
        cpu_stats_set=_once(cpu_percent),
        memory_stats_set=_once(now.memory / _MIB),
        network_stats_set=NetworkStatsSet(
            rx_bytes=_once(now.network_rx - before.network_rx), tx_bytes=_once(now.network_tx - before.network_tx)
        ),
        storage_stats_set=StorageStatsSet(
            read_size_bytes=_once(now.block_read - before.block_read),
            write_size_bytes=_once(now.block_written - before.block_written),
        ),
    )


def _once(value: float) -> StatsSet:
    """A set of one sample; a counter that was reset counts as nothing."""
    value = max(0.0, value)
    return StatsSet(min=value, max=value, sample_count=1, sum=value)
