"""What the parts of a task's sandbox are called on the host. Pure.

Every name holds the agent's instance id, so that two agents on one host never take the other's things for theirs.
"""

from __future__ import annotations

import hashlib
import re

LINK_PREFIX = "whr"
"""Host ends of ENIs begin with this; the firewall rules match it."""

ENDPOINTS_ADDRESS = "169.254.170.2"
"""Where every task finds what its agent serves, on port 80; an address of the host's loopback."""

ENDPOINTS_PORT = 21679
"""Where agents listen for it, as port 80 is anybody's: IANA gave it to nobody, and outgoing connections have others."""

_INSTANCE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


def checked_instance(instance: str) -> str:
    """Return the instance id; ValueError unless it is 1 to 40 of a-z, 0-9 and inner hyphens."""
    if not _INSTANCE.fullmatch(instance):
        raise ValueError(f"An instance id is 1 to 40 lower-case letters, digits and hyphens, not {instance!r}.")
    return instance


def namespace(instance: str, task_id: str) -> str:
    """Name the network namespace."""
    return f"wherry-{instance}-{task_id}"


def link(instance: str, task_id: str) -> str:
    """Name the host end of the ENI; 15 characters, which is the kernel's limit."""
    return LINK_PREFIX + hashlib.sha256(f"{instance}/{task_id}".encode()).hexdigest()[:12]


def link_alias(instance: str, task_id: str) -> str:
    """Describe the host end of the ENI, since its name cannot."""
    return f"wherry/{instance}/{task_id}"


def task_of_namespace(instance: str, name: str) -> str | None:
    """Read the task id back from a namespace's name; None if it is another agent's."""
    return _suffix(name, f"wherry-{instance}-", forbidden="-")


def task_of_alias(instance: str, alias: str) -> str | None:
    """Read the task id back from a link's alias; None if it is another agent's."""
    return _suffix(alias, f"wherry/{instance}/", forbidden="/")


def cgroup(instance: str, task_id: str) -> tuple[str, ...]:
    """Name the levels of the task's cgroup, from the top, for the cgroupfs driver."""
    return ("wherry", instance, task_id)


def slice_unit(instance: str, task_id: str) -> str:
    """Name the task's slice for the systemd driver, where a hyphen means one level down."""
    return f"wherry-{instance.replace('-', '_')}-{task_id}.slice"


def slice_levels(unit: str) -> tuple[str, ...]:
    """Name the cgroup directories of a slice, from the top: a-b.slice is in a.slice."""
    parts = unit.removesuffix(".slice").split("-")
    return tuple("-".join(parts[: n + 1]) + ".slice" for n in range(len(parts)))


def _suffix(text: str, prefix: str, *, forbidden: str) -> str | None:
    rest = text.removeprefix(prefix)
    return rest if rest and rest != text and forbidden not in rest else None
