"""The main routing table of the host, as /proc shows it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import NamedTuple

FILE = Path("/proc/net/route")

_REJECT = 0x0200
"""RTF_REJECT of <linux/route.h>."""


class Route(NamedTuple):
    """Where packets to a network go; `device` is `*` for those that are `refused`."""

    device: str
    network: IPv4Network
    refused: bool


def listed() -> Iterator[Route]:
    """List the routes, the default route too."""
    for line in FILE.read_text().splitlines()[1:]:
        device, destination, _, flags, _, _, _, mask, *_ = line.split()
        network = IPv4Network((_in_order(destination), str(IPv4Address(_in_order(mask)))))
        yield Route(device, network, refused=bool(int(flags, 16) & _REJECT))


def _in_order(digits: str) -> int:
    """Read a word that the kernel prints as it has it in memory, where an address is in the order of the network."""
    return int.from_bytes(int(digits, 16).to_bytes(4, sys.byteorder), "big")
