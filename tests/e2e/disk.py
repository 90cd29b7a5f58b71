"""A small disk of one's own, which can be filled and made read-only."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


class Disk:
    """A tmpfs: it is as full as it is told to be, and gone at the end."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._ballast = place / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        subprocess.run(["dd", "if=/dev/zero", f"of={self._ballast}", "bs=4k"], check=False, capture_output=True)

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def become(self, mode: str) -> None:
        """Turn read-only ("ro") or writable again ("rw")."""
        subprocess.run(["mount", "-o", f"remount,{mode}", self.place], check=True)


@contextlib.contextmanager
def a_disk(place: Path, *, mib: int) -> Iterator[Disk]:
    """Mount a disk of so many MiB at `place`."""
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", place], check=True)
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "--lazy", place], check=False)
