"""Delay and loss as disciplines of tc on a task's interface: what is asked of the kernel. Pure.

A `prio` discipline has three bands, and all packets are in the third, but for those that a filter puts in the first:
there `netem` makes them late, or loses them. Filters of spared addresses come before those of the targets. The handle
of `netem` says which fault it is, so whoever lists the disciplines knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wherry.agent.faults.base import Impairment, Kind, Networks
from wherry.agent.spec import Struct

HANDLES: Mapping[Kind, int] = {Kind.LATENCY: 0x10, Kind.PACKET_LOSS: 0x20}
"""Major numbers of the handles of `netem`."""

SPARE = "1:3"
"""The band where nothing happens to a packet."""

_ROOT = 1 << 16
_IMPAIRED = "1:1"
_QUEUE = 100_000
"""Packets that may be late at a time: the kernel's own 1000 would lose what is only to be late."""
_PROTOCOLS = {4: 0x0800, 6: 0x86DD}
_DESTINATION = {4: 16, 6: 24}
"""Bytes before the destination's address in a header."""
_WORD = 0xFFFFFFFF


class Step(Struct, frozen=True):
    """One call of pyroute2's `IPRoute.tc`: a command, a kind of discipline or filter, and its members."""

    command: str
    kind: str
    members: dict[str, Any]


_PRIO = Step(command="add", kind="prio", members={"root": True, "handle": "1:", "bands": 3, "priomap": [2] * 16})


def plan(fault: Impairment) -> Iterator[Step]:
    """Tell what to ask of the kernel, in this order; `remove` takes all of it back."""
    yield _PRIO
    handle = f"{HANDLES[fault.kind]:x}:"
    yield Step(command="add", kind="netem", members={"parent": _IMPAIRED, "handle": handle} | _effect(fault))
    yield from _filters(fault.spared, SPARE, first=1)
    yield from _filters(fault.targets, _IMPAIRED, first=2)


def remove(kind: str = "prio") -> Step:
    """Tell how the faults end: what hangs on the root goes with it."""
    return Step(command="del", kind=kind, members={"root": True, "handle": "1:"})


def trials() -> Iterator[Step]:
    """Tell what shows, each at the root and taken back by `remove`, whether the kernel has what faults are made of."""
    yield _PRIO
    yield Step(command="add", kind="netem", members={"root": True, "handle": "1:", "loss": 0})


def is_root(kind: str, handle: int) -> bool:
    """Tell whether a discipline is one that `plan` or `trials` has at the root."""
    return handle == _ROOT and kind in {step.kind for step in trials()}


def fault_of(kind: str, handle: int) -> Kind | None:
    """Read off a discipline which fault it is; None if it is none."""
    majors = {major: fault for fault, major in HANDLES.items()}
    return majors.get(handle >> 16) if kind == "netem" else None


def _effect(fault: Impairment) -> dict[str, Any]:
    """Name the members of `netem`; its times are in microseconds."""
    if fault.kind is Kind.PACKET_LOSS:
        return {"loss": fault.loss}
    return {"delay": fault.delay * 1000, "jitter": fault.jitter * 1000, "limit": _QUEUE}


def _filters(networks: Networks, band: str, *, first: int) -> Iterator[Step]:
    for network in networks:
        # All filters of one priority are of one protocol.
        priority = first if network.version == 4 else first + 2
        members = {
            "parent": "1:",
            "prio": priority,
            "protocol": _PROTOCOLS[network.version],
            "target": band,
            "keys": _keys(int(network.network_address), int(network.netmask), network.version),
        }
        yield Step(command="add-filter", kind="u32", members=members)


def _keys(address: int, mask: int, version: int) -> list[str]:
    """Write a comparison for each 32 bits of the destination that matter."""
    words = 1 if version == 4 else 4
    offset = _DESTINATION[version]
    keys = []
    for position in range(words):
        shift = 32 * (words - 1 - position)
        wanted = (mask >> shift) & _WORD
        if wanted:
            keys.append(f"{(address >> shift) & _WORD:#010x}/{wanted:#010x}+{offset + 4 * position}")
    return keys or [f"0x0/0x0+{offset}"]
