"""The task's own cgroup, parent of its containers', which is what enforces the task's cpu and memory.

Sizes follow the stock agent (agent/api/task/task_linux.go): with a task cpu a quota per 100 ms; without one the shares
of its containers added up; memory as a hard limit. Written before a container starts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.sandbox import names
from wherry.agent.spec import TaskSpec

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
MIN_SHARES, MAX_SHARES = 2, 262_144
MIB = 1024 * 1024
GRACE, GIVEN_UP = 25, 100
"""Attempts to remove a cgroup, 20 ms apart, until what runs in it is killed, and until it is given up."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a task may use. `quota_us` per period of 100 ms; memory in bytes; None: not limited."""

    quota_us: int | None = None
    shares: int | None = None
    memory: int | None = None


class Hierarchy(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine uses cgroups (GET /info: CgroupVersion, CgroupDriver)."""

    version: int
    driver: str
    root: Path = ROOT


def limits(task: TaskSpec) -> Limits:
    """Decide the task's limits; `ResourceInitializationError` if a container may have more memory than its task."""
    memory = None if task.memory_mib is None else task.memory_mib * MIB
    for container in task.containers:
        if memory is not None and (container.memory or 0) > memory:
            raise RuntimeFault(
                "ResourceInitializationError",
                f"task memory spec builder: container memory limit({(container.memory or 0) // MIB}) "
                f"greater than task memory limit({task.memory_mib})",
            )
    if task.cpu:
        return Limits(quota_us=round(task.cpu * PERIOD_US), memory=memory)
    shares = sum(max(MIN_SHARES, container.cpu_shares) for container in task.containers)
    return Limits(shares=min(shares, MAX_SHARES), memory=memory)


def settings_v1(wanted: Limits) -> dict[str, dict[str, str]]:
    """Say which file of which controller gets which value."""
    cpu: dict[str, str] = {}
    if wanted.quota_us is not None:
        cpu = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(wanted.quota_us)}
    if wanted.shares is not None:
        cpu["cpu.shares"] = str(wanted.shares)
    memory = {} if wanted.memory is None else {"memory.limit_in_bytes": str(wanted.memory)}
    return {"cpu": cpu, "memory": memory}


def settings_v2(wanted: Limits) -> dict[str, str]:
    """Say which file of the task's cgroup gets which value."""
    settings = {}
    if wanted.quota_us is not None:
        settings["cpu.max"] = f"{wanted.quota_us} {PERIOD_US}"
    if wanted.shares is not None:
        settings["cpu.weight"] = str(weight(wanted.shares))
    if wanted.memory is not None:
        settings["memory.max"] = str(wanted.memory)
    return settings


def weight(shares: int) -> int:
    """Turn v1 shares (2..262144) into a v2 weight (1..10000), as runc does."""
    return 1 + (shares - MIN_SHARES) * 9999 // (MAX_SHARES - MIN_SHARES)


def systemd_call(unit: str, wanted: Limits) -> list[str]:
    """Build the busctl command that starts the task's slice with its limits."""
    properties = [("Description", "s", unit)]
    if wanted.quota_us is not None:
        properties.append(("CPUQuotaPerSecUSec", "t", str(wanted.quota_us * 1_000_000 // PERIOD_US)))
    if wanted.shares is not None:
        properties.append(("CPUWeight", "t", str(weight(wanted.shares))))
    if wanted.memory is not None:
        properties.append(("MemoryMax", "t", str(wanted.memory)))
    arguments = [word for name, kind, value in properties for word in (name, kind, value)]
    return [*_systemd("StartTransientUnit"), "ssa(sv)a(sa(sv))", unit, "fail", str(len(properties)), *arguments, "0"]


def parent(hierarchy: Hierarchy, instance: str, task_id: str) -> str:
    """Name the cgroup in the words of HostConfig.CgroupParent."""
    if hierarchy.driver == "systemd":
        return names.slice_unit(instance, task_id)
    return "/" + "/".join(names.cgroup(instance, task_id))


async def ensure(hierarchy: Hierarchy, instance: str, task: TaskSpec) -> None:
    """Make the task's cgroup with its limits."""
    wanted = limits(task)
    if hierarchy.driver == "systemd":
        if not _directories(hierarchy, instance, task.task_id):
            unit = names.slice_unit(instance, task.task_id)
            await _busctl(systemd_call(unit, wanted))
        return
    levels = names.cgroup(instance, task.task_id)
    try:
        if hierarchy.version == 1:
            _ensure_v1(hierarchy.root, levels, settings_v1(wanted))
        else:
            _ensure_v2(hierarchy.root, levels, settings_v2(wanted))
    except OSError as error:
        raise RuntimeFault("ResourceInitializationError", f"cgroup of the task: {error}") from error


async def remove(hierarchy: Hierarchy, instance: str, task_id: str) -> None:
    """Remove the task's cgroup in every controller, whatever still runs in it; raises OSError if it will not go.

    A container's process that the engine lost track of, because it died while it started it, ends here.
    """
    if hierarchy.driver == "systemd" and _directories(hierarchy, instance, task_id):
        unit = names.slice_unit(instance, task_id)
        await _busctl([*_systemd("StopUnit"), "ss", unit, "fail"])
    # The kernel takes a moment to let go of a container that has just ended.
    for attempt in range(GIVEN_UP):
        left = [path for path in _directories(hierarchy, instance, task_id) if not _remove_tree(path)]
        if not left:
            return
        if attempt >= GRACE:
            _kill_processes(left)
        await anyio.sleep(0.02)
    raise OSError(errno.EBUSY, f"processes stay in the cgroups of task {task_id}")


def remove_empty(hierarchy: Hierarchy, instance: str) -> None:
    """Remove the levels above the tasks' cgroups, if no task of any agent is below them. systemd does so by itself."""
    if hierarchy.driver == "systemd":
        return
    *above, _ = names.cgroup(instance, "*")
    for root in _roots(hierarchy):
        with contextlib.suppress(OSError):
            root.joinpath(*above).rmdir()
            root.joinpath(*above[:-1]).rmdir()


def listed(hierarchy: Hierarchy, instance: str) -> set[str]:
    """List the ids of tasks that have a cgroup."""
    if hierarchy.driver == "systemd":
        *above, leaf = names.slice_levels(names.slice_unit(instance, "*"))
        prefix = leaf.removesuffix("*.slice")
        found = [path for root in _roots(hierarchy) for path in root.joinpath(*above).glob(leaf)]
        return {path.name.removeprefix(prefix).removesuffix(".slice") for path in found if path.is_dir()}
    above = list(names.cgroup(instance, "*")[:-1])
    return {path.name for root in _roots(hierarchy) for path in root.joinpath(*above).glob("*") if path.is_dir()}


def _ensure_v1(root: Path, levels: tuple[str, ...], settings: dict[str, dict[str, str]]) -> None:
    for controller, files in settings.items():
        directory = root / controller
        for level in levels:
            directory /= level
            directory.mkdir(exist_ok=True)
            hierarchical = directory / "memory.use_hierarchy"
            # Always so since Linux 5.11; before that a parent's limit holds its children only if asked to.
            if hierarchical.exists() and hierarchical.read_text().strip() == "0":
                hierarchical.write_text("1")
        for name, value in files.items():
            (directory / name).write_text(value)


def _ensure_v2(root: Path, levels: tuple[str, ...], settings: dict[str, str]) -> None:
    directory = root
    for level in levels:
        (directory / "cgroup.subtree_control").write_text("+cpu +memory +pids")
        directory /= level
        directory.mkdir(exist_ok=True)
    for name, value in settings.items():
        (directory / name).write_text(value)


def _roots(hierarchy: Hierarchy) -> list[Path]:
    """List the mounted hierarchies: one a controller in v1, a single one in v2."""
    if hierarchy.version == 2:
        return [hierarchy.root]
    return [path for path in hierarchy.root.iterdir() if path.is_dir() and not path.is_symlink()]


def _directories(hierarchy: Hierarchy, instance: str, task_id: str) -> list[Path]:
    if hierarchy.driver == "systemd":
        levels = names.slice_levels(names.slice_unit(instance, task_id))
    else:
        levels = names.cgroup(instance, task_id)
    return [path for root in _roots(hierarchy) if (path := root.joinpath(*levels)).is_dir()]


def _remove_tree(path: Path) -> bool:
    """Remove a cgroup and those below it; false if it is still in use."""
    try:
        for directory, _, _ in os.walk(path, topdown=False):
            Path(directory).rmdir()
    except OSError as error:
        return error.errno == errno.ENOENT
    return True


def _kill_processes(cgroups: Iterable[Path]) -> None:
    """Kill what is in these cgroups and below them."""
    for cgroup in cgroups:
        for directory, _, _ in os.walk(cgroup):
            with contextlib.suppress(OSError):
                for pid in Path(directory, "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)


def _systemd(method: str) -> list[str]:
    bus = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
    return ["busctl", "call", *bus, method]


async def _busctl(command: list[str]) -> None:
    result = await anyio.run_process(command, check=False)
    reason = result.stderr.decode(errors="replace").strip()
    # Two calls at once, or a slice that systemd has let go by itself: either way what was wanted is so.
    if result.returncode != 0 and "already exists" not in reason and "not loaded" not in reason:
        raise RuntimeFault("ResourceInitializationError", f"systemd: {reason}")
