"""The address at which tasks find their agent: one of the host's loopback, which their default route leads to."""

from __future__ import annotations

import errno
import socket

from wherry.agent.sandbox import rtnetlink
from wherry.agent.sandbox.rtnetlink import Netlink

LABEL = "lo:wherry"
"""Marks an address as put there by an agent."""

_LOOPBACK = 1
"""The index of `lo`."""


def ensure(address: str) -> bool:
    """Put an address on `lo`, as a /32; True if it was not there. Raises OSError."""
    if is_present(address):
        return False
    with Netlink() as netlink:
        netlink.send(rtnetlink.address(_LOOPBACK, address, label=LABEL))
    return True


def is_present(address: str) -> bool:
    """Tell whether the host has an address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise
    return True


def remove(address: str) -> None:
    """Take the address away if an agent put it there; an agent that still serves there puts it back."""
    with Netlink() as netlink:
        try:
            netlink.send(rtnetlink.address_removed(_LOOPBACK, address, label=LABEL))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
