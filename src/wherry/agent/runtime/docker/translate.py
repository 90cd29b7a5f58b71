"""Between ECS words and Docker's: what a container is created from, and what the engine says of one. Pure.

Fields: reference "ContainerDefinition"; the stock agent's agent/api/task/task.go and agent/dockerclient.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from wherry.agent.logs.faults import unanswered
from wherry.agent.runtime.base import ContainerState, Health, Observed, Usage
from wherry.agent.spec import ContainerSpec, HealthCheck, TaskSpec, VolumesFrom

LABEL_INSTANCE = "wherry.instance"
LABEL_ROLE = "wherry.role"
LABEL_TASK = "com.amazonaws.ecs.task-arn"
LABEL_CONTAINER = "com.amazonaws.ecs.container-name"
LABEL_CLUSTER = "com.amazonaws.ecs.cluster"
LABEL_FAMILY = "com.amazonaws.ecs.task-definition-family"
LABEL_VERSION = "com.amazonaws.ecs.task-definition-version"

ROLE_TASK, ROLE_PAUSE = "task", "pause"
PAUSE_CONTAINER = "~internal~ecs~pause"

MIN_MEMORY = 6 * 1024 * 1024
"""Docker's least memory limit; ECS takes 4 MiB for a valid one, which the engine would refuse."""
MIN_SHARES, MAX_SHARES = 2, 262_144

_STATES = {
    "created": ContainerState.CREATED,
    "exited": ContainerState.EXITED,
    "dead": ContainerState.EXITED,
    "removing": ContainerState.EXITED,
}
_HEALTH = {"healthy": Health.HEALTHY, "unhealthy": Health.UNHEALTHY}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a container is put: its sandbox's part of HostConfig, and a hostname unless the sandbox has one."""

    network_mode: str
    cgroup_parent: str
    binds: tuple[str, ...] = ()
    runtime: str | None = None
    hostname: str | None = None
    pid_mode: str | None = None
    ipc_mode: str | None = None


def shared(mode: str | None, owner: str | None) -> str | None:
    """Write pidMode and ipcMode as the engine has them; what the task shares is held by the container `owner`."""
    return f"container:{owner}" if mode == "task" else mode


def labels(task: TaskSpec, container_name: str, *, instance: str, role: str = ROLE_TASK) -> dict[str, str]:
    """Name the owner of a container, as the stock agent does and with our instance besides."""
    return {
        LABEL_TASK: task.arn,
        LABEL_CONTAINER: container_name,
        LABEL_FAMILY: task.family,
        LABEL_VERSION: task.version,
        LABEL_CLUSTER: task.cluster,
        LABEL_INSTANCE: instance,
        LABEL_ROLE: role,
    }


def container_name(task: TaskSpec, name: str, *, instance: str) -> str:
    """Name the engine's container: the stock agent's pattern, its hex made from what the container is.

    So the same container has the same name after a crash, and a second create finds the first.
    """
    digest = hashlib.sha256(f"{instance}\n{task.arn}\n{name}".encode()).hexdigest()[:24]
    plain = re.sub(r"[^A-Za-z0-9-]", "", name)
    return f"ecs-{task.family}-{task.version}-{plain}-{digest}"


def create_body(task: TaskSpec, container: ContainerSpec, place: Place, *, instance: str) -> dict[str, Any]:
    """Write the body of POST /containers/create. What is None or empty is left to the image."""
    config: dict[str, Any] = {
        "Image": container.image,
        "Env": [f"{name}={value}" for name, value in container.environment.items()],
        # Ours last: a user's label cannot pose as one of them.
        "Labels": {**container.labels, **labels(task, container.name, instance=instance)},
        "Healthcheck": _healthcheck(container.health_check),
        "OpenStdin": container.interactive,
        "Tty": container.pseudo_terminal,
        "HostConfig": _host_config(container, place)
        | {"VolumesFrom": [_volumes_from(task, source, instance=instance) for source in container.volumes_from]},
    }
    optional = {
        "Entrypoint": list(container.entry_point or ()),
        "Cmd": list(container.command or ()),
        "WorkingDir": container.working_directory,
        "User": container.user,
        "Hostname": place.hostname,
        "NetworkDisabled": container.network_disabled,
    }
    return config | {name: value for name, value in optional.items() if value}


def _host_config(container: ContainerSpec, place: Place) -> dict[str, Any]:
    config: dict[str, Any] = {
        "NetworkMode": place.network_mode,
        "CgroupParent": place.cgroup_parent,
        "Binds": list(place.binds),
        "CpuShares": max(MIN_SHARES, min(container.cpu_shares, MAX_SHARES)),
        "ReadonlyRootfs": container.read_only_root,
        "Privileged": container.privileged,
        "Init": container.init_process,
        "CapAdd": list(container.cap_add),
        "CapDrop": list(container.cap_drop),
        "Sysctls": container.sysctls,
        "SecurityOpt": list(container.security_options),
        "Devices": [
            {"PathOnHost": one.host_path, "PathInContainer": one.container_path, "CgroupPermissions": one.permissions}
            for one in container.devices
        ],
        "Tmpfs": {mount.container_path: _tmpfs_options(mount.size_mib, mount.options) for mount in container.tmpfs},
        "Ulimits": [{"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in container.ulimits],
    }
    optional = {
        "Runtime": place.runtime,
        "PidMode": place.pid_mode,
        "IpcMode": place.ipc_mode,
        "Memory": None if container.memory is None else max(MIN_MEMORY, container.memory),
        "MemoryReservation": container.memory_reservation,
        "MemorySwap": container.memory_swap,
        "MemorySwappiness": container.memory_swappiness,
        "ShmSize": container.shm_size,
        "LogConfig": None
        if container.logs is None
        else {"Type": container.logs.driver, "Config": container.logs.options},
    }
    return config | {name: value for name, value in optional.items() if value is not None}


def _volumes_from(task: TaskSpec, source: VolumesFrom, *, instance: str) -> str:
    return container_name(task, source.container, instance=instance) + (":ro" if source.read_only else "")


def _tmpfs_options(size_mib: int, options: Sequence[str]) -> str:
    return ",".join([*options, f"size={size_mib}m"])


def _healthcheck(check: HealthCheck | None) -> dict[str, Any]:
    if check is None:
        # ECS knows no health checks but the task definition's; the image's own is switched off.
        return {"Test": ["NONE"]}
    return {
        "Test": list(check.command),
        "Interval": _nanoseconds(check.interval),
        "Timeout": _nanoseconds(check.timeout),
        "Retries": check.retries,
        "StartPeriod": _nanoseconds(check.start_period),
    }


def vanishes(inspected: Mapping[str, Any]) -> bool:
    """Say whether a container is being removed by somebody without ever having been started: it counts as gone."""
    state = inspected["State"]
    return state["Status"] in {"removing", "dead"} and epoch(state["StartedAt"]) is None


def observed(inspected: Mapping[str, Any], *, digest: str | None) -> Observed:
    """Read the answer of GET /containers/{id}/json."""
    state, own = inspected["State"], inspected["Config"]["Labels"]
    where = _STATES.get(state["Status"], ContainerState.RUNNING)
    health, since, output = _health(state.get("Health"))
    started, finished = epoch(state["StartedAt"]), epoch(state["FinishedAt"])
    if started is not None and finished is not None and where is ContainerState.EXITED:
        # The engine takes the start down when its call returns; a short life may be over by then.
        started = min(started, finished)
    return Observed(
        runtime_id=inspected["Id"],
        task_arn=own[LABEL_TASK],
        name=own[LABEL_CONTAINER],
        state=where,
        exit_code=state["ExitCode"] if where is ContainerState.EXITED else None,
        oom_killed=state["OOMKilled"],
        error="" if unanswered(state["Error"]) else state["Error"],
        health=health,
        health_since=since,
        health_output=output,
        created_at=epoch(inspected["Created"]),
        started_at=started,
        finished_at=finished,
        image_digest=digest,
    )


def _health(section: Mapping[str, Any] | None) -> tuple[Health, float | None, str]:
    if section is None:
        return Health.UNKNOWN, None, ""
    log = section.get("Log") or []
    since, last = None, log[-1]["ExitCode"] == 0 if log else None
    # The engine keeps the last five results; the status is as old as the oldest of those that agree with the newest.
    for entry in reversed(log):
        if (entry["ExitCode"] == 0) != last:
            break
        since = epoch(entry["End"])
    health = _HEALTH.get(section["Status"], Health.UNKNOWN)
    return health, since if health is not Health.UNKNOWN else None, log[-1]["Output"].strip() if log else ""


def usage(stats: Mapping[str, Any] | None, *, network: tuple[int, int]) -> Usage | None:
    """Read the answer of GET /containers/{id}/stats; `network` is received and sent bytes of the task.

    The engine answers nothing at all (`stats` None) if the container ends while it is being sampled.
    """
    memory = (stats or {}).get("memory_stats") or {}
    if stats is None or "usage" not in memory:
        return None
    detail = memory.get("stats") or {}
    # Page cache that the kernel would give up is not in use: the docker CLI and the stock agent take it off as well.
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    blocks = stats["blkio_stats"].get("io_service_bytes_recursive") or []
    return Usage(
        cpu_seconds=stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        memory=max(0, memory["usage"] - cache),
        memory_limit=memory["limit"],
        network_rx=network[0],
        network_tx=network[1],
        block_read=sum(entry["value"] for entry in blocks if entry["op"].lower() == "read"),
        block_written=sum(entry["value"] for entry in blocks if entry["op"].lower() == "write"),
    )


def epoch(timestamp: str) -> float | None:
    """Read a Docker timestamp; the year 1 is its way to say never."""
    return None if timestamp.startswith("0001-") else datetime.fromisoformat(timestamp).timestamp()


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def filters(**wanted: list[str]) -> str:
    """Write the `filters` parameter of a list or of the event stream."""
    return msgspec.json.encode(wanted).decode()
