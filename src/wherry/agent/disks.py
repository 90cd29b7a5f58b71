"""Disks of tasks: volumes that were configured at launch, each a file of this host behind a loop device.

A disk is a directory `volumes/TASK_VOLUME` of the agent's state: the file, which has its last name only once it is
formatted; `device`, a link to the loop device that has it; `keep` if the data is to outlive the task. So what there is
can be read off the directory after a crash at any point, and the link is found at the same path after a restart of the
host, whichever device the file has then. A kept file is moved to `volumes/VOLUME.FILE-SYSTEM`.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio.to_thread
import structlog

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.spec import ManagedVolume, TaskSpec

log = structlog.get_logger()

PACKAGES = {"xfs": "xfsprogs", "ext4": "e2fsprogs", "ext3": "e2fsprogs"}
"""Where the program is that makes a file system."""

# Blocks that are discarded or left for later would have to be had from the host when its disk may be full.
_EAGER = ("-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0")
_OPTIONS = {"xfs": ("-f", "-K"), "ext4": _EAGER, "ext3": _EAGER}

_GIB = 2**30
_NEW = "new."
_KEEP = "keep"
_PATIENCE = 2.0
"""Seconds that others may still look at a device that was mounted until now, as udev does."""
_SYSTEM_PATH = ":/usr/local/sbin:/usr/sbin:/sbin"


class Disks:
    """The disks of one agent's tasks, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which need not be there yet."""
        self._directory = directory.resolve()

    async def ensure(self, task: TaskSpec) -> None:
        """Make the task's disks and their devices, whatever of it is missing; raises `RuntimeFault`."""
        for volume in task.managed_volumes:
            await anyio.to_thread.run_sync(self._ensure, self._home(task.task_id, volume.id), volume)

    def device(self, task: TaskSpec, volume: ManagedVolume) -> str:
        """Return the path of the device that has the disk, once `ensure` has been there."""
        return str(self._home(task.task_id, volume.id) / "device")

    async def remove(self, task_id: str) -> None:
        """Take the task's disks down, and delete or keep their files; raises `RuntimeFault` if one is still mounted."""
        for home in self._homes(task_id):
            await anyio.to_thread.run_sync(self._remove, home)

    def listed(self) -> set[str]:
        """List the ids of tasks that have a disk."""
        return {home.name.partition("_")[0] for home in self._homes()}

    def _ensure(self, home: Path, volume: ManagedVolume) -> None:
        try:
            self._ensure_parts(home, volume)
        except OSError as error:
            raise _fault(volume, f"{error.strerror or error} (in {home})") from error

    def _ensure_parts(self, home: Path, volume: ManagedVolume) -> None:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = home / f"disk.{volume.file_system}"
        if volume.keep:
            (home / _KEEP).touch(mode=0o600)
        if not disk.exists():
            self._make(disk, volume)
        link, device = home / "device", self._attached(disk, volume)
        if not link.is_symlink() or str(link.readlink()) != device:
            fresh = home / f"{_NEW}device"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(device)
            fresh.replace(link)

    def _make(self, disk: Path, volume: ManagedVolume) -> None:
        """Reserve and format a file, which gets its name only then."""
        for left in disk.parent.glob(f"{_NEW}*"):
            left.unlink()
        program, package = f"mkfs.{volume.file_system}", PACKAGES[volume.file_system]
        path = shutil.which(program, path=os.environ.get("PATH", os.defpath) + _SYSTEM_PATH)
        if path is None:
            raise _fault(volume, f"{program} is not on this host: install the package {package}")
        size = volume.size_gib * _GIB
        # Of another name each time: an earlier agent's program may still be at its own.
        file, name = tempfile.mkstemp(prefix=_NEW, dir=disk.parent)
        try:
            _reserve(file, size, fresh=True)
            _run(volume, path, "-q", *_OPTIONS[volume.file_system], name)
            # Whatever the program gave back.
            _reserve(file, size, fresh=False)
            os.fsync(file)
            Path(name).replace(disk)
            _sync(disk.parent)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise _fault(volume, f"{disk.parents[1]} has no room for {volume.size_gib} GiB") from error
            raise
        finally:
            os.close(file)
            Path(name).unlink(missing_ok=True)

    def _attached(self, disk: Path, volume: ManagedVolume) -> str:
        """Return the loop device that has the file; give it one if none has."""
        known = next(_devices_of(disk.parent), None)
        return known or _run(volume, "losetup", "--find", "--show", str(disk)).strip()

    def _remove(self, home: Path) -> None:
        try:
            self._remove_parts(home)
        except OSError as error:
            raise RuntimeFault("CannotRemoveVolumeError", f"{home}: {error.strerror or error}") from error

    def _remove_parts(self, home: Path) -> None:
        _detach(home)
        disk = next(home.glob("disk.*"), None)
        if disk is not None and (home / _KEEP).exists():
            kept = self._directory / f"{home.name.partition('_')[2]}{disk.suffix}"
            disk.replace(kept)
            log.info("volume_kept", task_id=home.name.partition("_")[0], path=str(kept))
        shutil.rmtree(home)

    def _home(self, task_id: str, volume_id: str) -> Path:
        return self._directory / f"{task_id}_{volume_id}"

    def _homes(self, task_id: str = "*") -> list[Path]:
        return sorted(home for home in self._directory.glob(f"{task_id}_vol-*") if home.is_dir())


def _detach(home: Path) -> None:
    """Have no device hold the file; whoever still has the device open keeps it there, and its blocks in use."""
    said = ""
    for device in _devices_of(home):
        said = _call("losetup", "--detach", device).stderr.strip()
    give_up = time.monotonic() + _PATIENCE
    while (left := next(_devices_of(home), None)) is not None:
        if time.monotonic() > give_up:
            raise RuntimeFault("CannotRemoveVolumeError", said or f"{left} is still mounted somewhere")
        time.sleep(0.02)


def _devices_of(home: Path) -> Iterator[str]:
    """Find the loop devices that have a file of a disk's directory; never anybody else's."""
    for told in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            file = Path(told.read_text().rstrip("\n"))
        except OSError:
            continue  # it has been let go in this moment
        if file.parent == home:
            yield f"/dev/{told.parents[1].name}"


def _reserve(file: int, size: int, *, fresh: bool) -> None:
    """Take `size` bytes of the disk; for a `fresh` file not before it is known that others will not go without."""
    found = os.fstatvfs(file)
    if fresh and size > found.f_bavail * found.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.posix_fallocate(file, 0, size)


def _sync(folder: Path) -> None:
    """Make what was named in a folder durable, that the data is to be kept as well."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _run(volume: ManagedVolume, *command: str) -> str:
    result = _call(*command)
    if result.returncode != 0:
        raise _fault(volume, f"{Path(command[0]).name}: {result.stderr.strip()}")
    return result.stdout


def _call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, check=False, text=True, errors="replace")  # noqa: S603 - no shell


def _fault(volume: ManagedVolume, message: str) -> RuntimeFault:
    return RuntimeFault("ResourceInitializationError", f"volume {volume.id} cannot be made: {message}")
