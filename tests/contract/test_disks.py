"""Disks of tasks on this machine: files, file systems and loop devices, whatever their agent has died of."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest
from tests.contract.runtime_lab import docker_container, task

from wherry.agent import disks as module
from wherry.agent.disks import Disks
from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.spec import ManagedVolume, TaskSpec, Volume

pytestmark = [
    # Whoever may run containers may attach loop devices.
    pytest.mark.docker,
    pytest.mark.usefixtures("attached"),
]

GIB = 2**30
KEPT = "vol-00000000000000abc"


def attached_below(folder: Path) -> list[str]:
    """List the files below a folder that loop devices have."""
    found = [path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return [path for path in found if path.startswith(f"{folder}/")]


@pytest.fixture
def attached(tmp_path):
    yield partial(attached_below, tmp_path)
    assert attached_below(tmp_path) == []


@pytest.fixture
def disks(tmp_path):
    return Disks(tmp_path / "volumes")


def a_task(*, file_system: str = "ext4", keep: bool = False, size: int = 1) -> TaskSpec:
    disk = ManagedVolume(id=KEPT, size_gib=size, file_system=file_system, keep=keep)
    return task(docker_container(), volumes=(Volume(name="data", source=disk),))


def the_disk(disks: Disks, spec: TaskSpec) -> Path:
    """Find the file of a task's disk."""
    [disk] = Path(disks.device(spec, spec.managed_volumes[0])).parent.glob("disk.*")
    return disk


def is_formatted(disk: Path) -> bool:
    """Look for what the file system of a file's name begins with."""
    with disk.open("rb") as file:
        head = file.read(2048)
    return head.startswith(b"XFSB") if disk.suffix == ".xfs" else head[1080:1082] == b"\x53\xef"


@pytest.mark.parametrize("file_system", ["xfs", "ext4", "ext3"])
def test_a_disk_has_its_size_its_file_system_and_a_device_and_all_of_it_goes(tmp_path, disks, attached, file_system):
    spec = a_task(file_system=file_system)
    anyio.run(disks.ensure, spec)
    disk, device = the_disk(disks, spec), Path(disks.device(spec, spec.managed_volumes[0]))
    assert disk.name == f"disk.{file_system}"
    assert is_formatted(disk)
    found = disk.stat()
    assert (found.st_size, found.st_mode & 0o777) == (GIB, 0o600)
    assert found.st_blocks * 512 >= GIB, "all of it is reserved"
    assert attached() == [str(disk)]
    assert device.resolve().is_block_device()
    assert disks.listed() == {spec.task_id}
    anyio.run(disks.ensure, spec)
    assert (disk.stat().st_ino, attached()) == (found.st_ino, [str(disk)]), "a second call changes nothing"
    for _ in range(2):
        anyio.run(disks.remove, spec.task_id)
        assert attached() == []
        assert list((tmp_path / "volumes").iterdir()) == []
    assert disks.listed() == set()


def test_a_disk_that_is_to_be_kept_is_a_file_named_after_its_volume(tmp_path, disks):
    spec = a_task(keep=True)
    anyio.run(disks.ensure, spec)
    inode = the_disk(disks, spec).stat().st_ino
    for _ in range(2):
        anyio.run(disks.remove, spec.task_id)
        [kept] = (tmp_path / "volumes").iterdir()
        assert (kept.name, kept.stat().st_ino, kept.stat().st_mode & 0o777) == (f"{KEPT}.ext4", inode, 0o600)
    assert disks.listed() == set()


def test_the_disks_of_others_are_left_alone(tmp_path, disks, attached):
    other, theirs, ours = Disks(tmp_path / "other"), a_task(), a_task()
    anyio.run(other.ensure, theirs)
    anyio.run(disks.ensure, ours)
    anyio.run(disks.remove, ours.task_id)
    anyio.run(disks.remove, theirs.task_id)
    assert attached() == [str(the_disk(other, theirs))]
    anyio.run(other.remove, theirs.task_id)


def test_after_a_restart_of_the_host_the_same_path_leads_to_the_file_again(disks, attached):
    spec = a_task()
    anyio.run(disks.ensure, spec)
    disk, device = the_disk(disks, spec), Path(disks.device(spec, spec.managed_volumes[0]))
    inode = disk.stat().st_ino
    os.system(f"losetup --detach {device.resolve()}")
    assert attached() == []
    device.unlink()
    device.symlink_to("/dev/somebody-elses")
    anyio.run(disks.ensure, spec)
    assert (disk.stat().st_ino, attached()) == (inode, [str(disk)])
    assert device.resolve().is_block_device()
    os.system(f"losetup --detach {device.resolve()}")
    anyio.run(disks.remove, spec.task_id)
    assert disks.listed() == set()


def test_a_device_that_somebody_looks_at_for_a_moment_is_waited_for(disks, attached):
    spec = a_task()
    anyio.run(disks.ensure, spec)
    device = Path(disks.device(spec, spec.managed_volumes[0])).resolve()
    held = os.open(device, os.O_RDONLY)
    dropped = Path("/sys/block", device.name, "loop", "autoclear")

    def let_go() -> None:
        while dropped.read_text() != "1\n":
            time.sleep(0.001)
        os.close(held)

    assert dropped.read_text() == "0\n"
    thread = threading.Thread(target=let_go)
    thread.start()
    anyio.run(disks.remove, spec.task_id)
    thread.join()
    assert attached() == []
    assert disks.listed() == set()


def test_a_device_that_is_still_in_use_keeps_its_file(disks, attached):
    spec = a_task()
    anyio.run(disks.ensure, spec)
    disk = the_disk(disks, spec)
    held = os.open(disks.device(spec, spec.managed_volumes[0]), os.O_RDONLY)
    with pytest.raises(RuntimeFault, match="is still mounted somewhere"):
        anyio.run(disks.remove, spec.task_id)
    assert disk.exists()
    assert disks.listed() == {spec.task_id}
    os.close(held)
    anyio.run(disks.remove, spec.task_id)
    assert attached() == []
    assert disks.listed() == set()


def test_a_host_without_room_says_so_and_keeps_what_room_it_has(tmp_path, disks):
    size = shutil.disk_usage(tmp_path).free // GIB + 2
    spec = a_task(size=size)
    with pytest.raises(RuntimeFault, match=rf"ResourceInitializationError: volume vol-.* has no room for {size} GiB"):
        anyio.run(disks.ensure, spec)
    assert not [path for path in (tmp_path / "volumes").rglob("*") if path.is_file()]
    anyio.run(disks.remove, spec.task_id)
    assert disks.listed() == set()


@pytest.mark.parametrize(("file_system", "package"), [("xfs", "xfsprogs"), ("ext4", "e2fsprogs")])
def test_a_program_that_is_missing_is_named_with_its_package(disks, monkeypatch, file_system, package):
    spec = a_task(file_system=file_system)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(module, "_SYSTEM_PATH", "")
    with pytest.raises(RuntimeFault, match=f"mkfs.{file_system} is not on this host: install the package {package}"):
        anyio.run(disks.ensure, spec)
    monkeypatch.undo()
    anyio.run(disks.remove, spec.task_id)


def dies_at(line: int, act: Callable[[], Awaitable[None]]) -> bool:
    """Run `act` in a process of its own that is killed at that line of the module; False if it has fewer."""
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame, event, _):
            nonlocal left
            if frame.f_code.co_filename != module.__file__:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        threading.settrace(trace)
        try:
            anyio.run(act)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("keep", [False, True])
def test_an_agent_may_be_killed_at_any_line_and_nothing_is_lost_or_left(tmp_path, keep, attached):
    line = 0
    died = True
    while died:
        line += 1
        folder = tmp_path / f"ensure-{line}"
        disks, spec = Disks(folder), a_task(keep=keep)
        died = dies_at(line, partial(disks.ensure, spec))
        before = [path.stat().st_ino for path in folder.glob("*/disk.*")]
        anyio.run(disks.ensure, spec)
        disk = the_disk(disks, spec)
        assert is_formatted(disk)
        assert before in ([], [disk.stat().st_ino]), "it is formatted once"
        assert attached() == [str(disk)]
        assert sorted(path.name for path in disk.parent.iterdir()) == ["device", "disk.ext4"] + ["keep"] * keep
        dies_at(line, partial(disks.remove, spec.task_id))
        if not disks.listed():
            assert attached() == []
        anyio.run(disks.remove, spec.task_id)
        assert attached() == []
        assert [path.name for path in folder.iterdir()] == [f"{KEPT}.ext4"] * keep
        shutil.rmtree(folder)
    assert line > 40, "it died at as many lines as there are"
