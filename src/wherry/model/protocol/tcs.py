"""The messages of TCS: the health of containers, and what they use."""

from __future__ import annotations

from wherry.model.base import Value
from wherry.model.protocol.members import Key


class ContainerHealth(Value, frozen=True):
    """Health of one container; `status_since` in epoch seconds."""

    container_name: str
    health_status: str
    status_since: float | None = None


class TaskHealth(Value, frozen=True):
    """Health of the containers of one task that have a health check."""

    task_arn: Key
    containers: tuple[ContainerHealth, ...]
    cluster_arn: str = ""
    task_definition_family: str = ""
    task_definition_version: str = ""


class TelemetryMetadata(Value, frozen=True):
    """Who publishes."""

    cluster: str = ""
    container_instance: str = ""
    message_id: str = ""
    idle: bool = False
    fin: bool = True


class PublishHealthRequest(Value, frozen=True):
    """Container health: this is the only way by which it reaches the control plane."""

    metadata: TelemetryMetadata
    tasks: tuple[TaskHealth, ...]
    timestamp: float = 0


class StatsSet(Value, frozen=True):
    """A summary of samples."""

    min: float
    max: float
    sample_count: int
    sum: float


class NetworkStatsSet(Value, frozen=True):
    """Bytes in the interval."""

    rx_bytes: StatsSet | None = None
    tx_bytes: StatsSet | None = None


class StorageStatsSet(Value, frozen=True):
    """Bytes in the interval."""

    read_size_bytes: StatsSet | None = None
    write_size_bytes: StatsSet | None = None


class ContainerMetric(Value, frozen=True):
    """One container: CPU in percent of a core, memory in MiB."""

    container_name: str
    cpu_stats_set: StatsSet | None = None
    memory_stats_set: StatsSet | None = None
    network_stats_set: NetworkStatsSet | None = None
    storage_stats_set: StorageStatsSet | None = None


class TaskMetric(Value, frozen=True):
    """The containers of one task."""

    task_arn: str
    container_metrics: tuple[ContainerMetric, ...]
    cluster_arn: str = ""
    task_definition_family: str = ""
    task_definition_version: str = ""


class PublishMetricsRequest(Value, frozen=True):
    """Statistics of up to ten tasks."""

    metadata: TelemetryMetadata
    task_metrics: tuple[TaskMetric, ...] = ()
    timestamp: float = 0


class AckPublishHealth(Value, frozen=True):
    """Health has been taken note of."""

    message: str = ""


class AckPublishMetric(Value, frozen=True):
    """Statistics have been taken note of."""

    message: str = ""
