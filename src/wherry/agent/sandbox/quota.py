"""A task's CPU quota is for what runs in its containers, not for the engine's work to set the first of them up.

That work is done within the task's cgroup already, and takes more than a small task may use in a tenth of a second: the
kernel would hold it for the rest of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.sandbox import cgroups, names
from wherry.agent.sandbox.cgroups import Hierarchy
from wherry.agent.spec import TaskSpec

_NONE = {1: "-1", 2: "max"}
"""What lifts the quota, by the version of cgroups."""


@contextmanager
def lifted(hierarchy: Hierarchy, instance: str, task_id: str) -> Iterator[None]:
    """Lift the quota meanwhile, if no container of the task has been started; raises `RuntimeFault`.

    An agent that is killed meanwhile leaves it lifted, until `hold`.
    """
    file = _file(hierarchy, instance, task_id)
    if file is None or not file.exists() or any(path.is_dir() for path in file.parent.iterdir()):
        yield
        return
    former = file.read_text().strip()
    if former.startswith(_NONE[hierarchy.version]):
        # There is none, or another container that starts at the same time has it lifted, and puts it back.
        yield
        return
    file.write_text(_NONE[hierarchy.version])
    try:
        yield
    finally:
        _write(file, former)


def hold(hierarchy: Hierarchy, instance: str, task: TaskSpec) -> None:
    """Have the quota of a task in force again, if the task is there; raises `RuntimeFault`."""
    file = _file(hierarchy, instance, task.task_id)
    # A task whose limits make no sense has no cgroup: it is for the making of that to say so.
    if file is None or not file.exists():
        return
    wanted = cgroups.limits(task).quota_us
    if wanted is not None:
        _write(file, str(wanted) if hierarchy.version == 1 else f"{wanted} {cgroups.PERIOD_US}")


def _file(hierarchy: Hierarchy, instance: str, task_id: str) -> Path | None:
    """Find the file that the quota is written to; systemd has it to itself."""
    if hierarchy.driver == "systemd":
        return None
    levels = names.cgroup(instance, task_id)
    if hierarchy.version == 1:
        return hierarchy.root.joinpath("cpu", *levels, "cpu.cfs_quota_us")
    return hierarchy.root.joinpath(*levels, "cpu.max")


def _write(file: Path, value: str) -> None:
    try:
        # Opened to be changed: nothing is made where a task is gone.
        with file.open("r+") as opened:
            opened.write(value)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RuntimeFault("ResourceInitializationError", f"CPU quota of the task: {error}") from error
