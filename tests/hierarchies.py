"""What is on this host of an agent, and of others, who make and remove theirs while one looks."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def cgroups(end: str) -> list[Path]:
    """Find the cgroups whose path ends like this, in whatever hierarchies there are."""
    # Unlike a glob, a walk passes over directories that are gone by the time it comes to them.
    return [Path(place) for place, _, _ in os.walk(ROOT) if place.endswith(f"/{end}")]


def admitted(instance: str) -> list[str]:
    """List the files by which an agent admits containers to its namespaces; those of others come and go meanwhile."""
    found = []
    for file in Path("/run/wherry/containers").glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if f"wherry-{instance}-" in file.read_text():
                found.append(str(file))
    return found
