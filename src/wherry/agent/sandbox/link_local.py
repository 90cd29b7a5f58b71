"""The address at which tasks find their agent: one of the host's loopback, which their default route leads to."""

from __future__ import annotations

import errno
import socket

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

LABEL = "lo:wherry"
"""Marks an address as put there by an agent."""

_LOOPBACK = 1
"""The index of `lo`."""


def ensure(address: str) -> bool:
    """Put an address on `lo`, as a /32; True if it was not there. Raises OSError."""
    if is_present(address):
        return False
    with IPRoute() as netlink:
        try:
            netlink.addr("add", index=_LOOPBACK, address=address, prefixlen=32, label=LABEL)
        except NetlinkError as error:
            if error.code == errno.EEXIST:
                return False
            raise OSError(error.code, f"netlink: {error}") from error
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
    with IPRoute() as netlink:
        for found in list(netlink.get_addr(family=socket.AF_INET, address=address)):
            if found.get_attr("IFA_LABEL") == LABEL:
                try:
                    netlink.addr("del", index=_LOOPBACK, address=address, prefixlen=32)
                except NetlinkError as error:
                    if error.code != errno.EADDRNOTAVAIL:
                        raise OSError(error.code, f"netlink: {error}") from error
