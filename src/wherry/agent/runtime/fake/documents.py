"""What Docker would say of a container of the fake machine, as far as the fake machine has what Docker has. Pure."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from wherry.agent.runtime.base import ContainerState, Observed, Usage
from wherry.agent.spec import ContainerSpec


def inspected(observed: Observed, spec: ContainerSpec) -> dict[str, Any]:
    """Answer GET /containers/{id}/json."""
    return {
        "Id": observed.runtime_id,
        "Name": f"/{spec.name}",
        "Image": "sha256:" + hashlib.sha256(spec.image.encode()).hexdigest(),
        "Created": timestamp(observed.created_at),
        "State": {
            "Status": observed.state.value,
            "Running": observed.state is ContainerState.RUNNING,
            "StartedAt": timestamp(observed.started_at),
            "FinishedAt": timestamp(observed.finished_at),
        },
        "Config": {"Labels": spec.labels},
        "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {}}},
        "Mounts": [],
    }


def stats(observed: Observed, usage: Usage, *, now: float) -> dict[str, Any]:
    """Answer GET /containers/{id}/stats: besides the usage a KiB a second each way."""
    carried = round((now - (observed.started_at or now)) * 1024)
    return {
        "id": observed.runtime_id,
        "name": f"/{observed.name}",
        "read": timestamp(now),
        "cpu_stats": {"cpu_usage": {"total_usage": round(usage.cpu_seconds * 1e9)}},
        "memory_stats": {"usage": usage.memory, "limit": usage.memory_limit},
        "networks": {"eth0": {"rx_bytes": carried, "tx_bytes": carried}},
    }


def timestamp(at: float | None) -> str:
    """Write epoch seconds as Docker does; the year 1 is its way to say never."""
    if at is None:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
