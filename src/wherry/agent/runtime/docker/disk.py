"""How much of the host's disk a task uses: what its containers wrote, and what is in its own volumes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio.to_thread

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.runtime.docker.engine import Engine, EngineError


async def written(engine: Engine, containers: Iterable[str], volumes: Iterable[dict[str, Any]]) -> int:
    """Add up, in bytes, the writable layers of containers and the volumes (as the engine lists them) of the disk."""
    used = 0
    for container in containers:
        try:
            found = await engine.call("GET", f"containers/{container}/json", params={"size": "1"})
        except EngineError as error:
            if error.status != 404:
                raise RuntimeFault("CannotInspectContainerError", error.message) from error
        else:
            used += found.get("SizeRw") or 0
    for volume in volumes:
        if volume["Driver"] == "local" and not volume.get("Options"):
            used += await anyio.to_thread.run_sync(_size, Path(volume["Mountpoint"]))
    return used


def _size(folder: Path) -> int:
    """Add up the blocks of all files below a folder, each file once; what vanishes meanwhile counts for nothing."""
    seen: set[tuple[int, int]] = set()
    size = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                found = Path(path, name).lstat()
            except OSError:
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                size += found.st_blocks * 512
    return size
