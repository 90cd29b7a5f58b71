"""A task's ENI: a veth pair whose address is routed to it, never bridged: every packet crosses the forward hook.

In the task `eth0` has the address as a /32 and a default route by way of 169.254.1.1, an address that nobody has: both
ends know the other's link address by a permanent neighbour entry, so there is no ARP to answer, spoof or wait for.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

import anyio.to_thread

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.sandbox import names, namespaces, routes, rtnetlink
from wherry.agent.sandbox.rtnetlink import Message, Netlink
from wherry.agent.spec import Eni

GATEWAY = "169.254.1.1"
HOST_MAC = "ee:ee:ee:ee:ee:ee"
DEVICE = "eth0"
ROUTE_PROTOCOL = 87
"""Marks the routes that agents made; any number that /etc/iproute2/rt_protos leaves free would do."""

_CLASS_NET = Path("/sys/class/net")
_FIB_MATCH = 0x2000
_LOOPBACK = 1
"""The index of `lo` in every namespace."""
_UNROUTED = (errno.EHOSTUNREACH, errno.ENETUNREACH)
_COUNTED = ("bytes", "packets", "errors", "dropped")
_GONE = (errno.ENODEV, errno.ESRCH)

# Removing the route of the last ENI's subnet must not meet the making of the next ENI.
_host_lock = threading.Lock()


async def attach(eni: Eni, *, namespace: Path, link: str, alias: str) -> None:
    """Give the namespace this ENI, or whatever of it is missing.

    Raises `ResourceInitializationError` if something else on the host already has the address, OSError if the kernel
    refuses.
    """
    attach_once = partial(_attach, eni, namespace, link, alias)
    if not await namespaces.in_own_thread(attach_once):
        # The link leads into a former namespace of the task, which old containers keep alive.
        await detach(link)
        await namespaces.in_own_thread(attach_once)


async def detach(link: str) -> None:
    """Remove the ENI with its routes; with the last one of a subnet goes the subnet's own route. Raises OSError."""
    await anyio.to_thread.run_sync(_detach, link)


def listed() -> dict[str, str]:
    """Map each ENI of this host, of any agent, to its alias."""
    found = {}
    for path in _CLASS_NET.glob(f"{names.LINK_PREFIX}*"):
        try:
            found[path.name] = (path / "ifalias").read_text().strip()
        except OSError:  # gone between the listing and the reading
            continue
    return found


def traffic(link: str) -> tuple[int, int]:
    """Count the bytes that the task has received and sent; the host's end counts the other way round."""
    try:
        statistics = _CLASS_NET / link / "statistics"
        return int((statistics / "tx_bytes").read_text()), int((statistics / "rx_bytes").read_text())
    except OSError:
        return 0, 0


def counters(link: str) -> dict[str, int]:
    """Count what the task has received and sent, by the names that Docker gives the counters of an interface."""
    pairs = {f"{to}_{what}": f"{of}_{what}" for to, of in (("rx", "tx"), ("tx", "rx")) for what in _COUNTED}
    statistics = _CLASS_NET / link / "statistics"
    try:
        return {name: int((statistics / other_way).read_text()) for name, other_way in pairs.items()}
    except OSError:
        return dict.fromkeys(pairs, 0)


def _attach(eni: Eni, namespace: Path, link: str, alias: str) -> bool:
    """Wire both ends, in a thread that may stay in the task's namespace; False if the link leads into another."""
    _attach_host_end(eni, namespace, link, alias)
    namespaces.enter(namespace)
    return _configure_task_end(eni)


def _attach_host_end(eni: Eni, namespace: Path, link: str, alias: str) -> None:
    subnet = ipaddress.ip_interface(eni.gateway_cidr).network
    with _host_lock, Netlink() as netlink:
        _refuse_taken_address(netlink, eni.ipv4_address, link)
        if not (_CLASS_NET / link).exists():
            _create_pair(netlink, eni, namespace, link)
        index = socket.if_nametoindex(link)
        _without_ipv6(link)
        netlink.send(
            rtnetlink.up(index, alias=alias),
            rtnetlink.neighbour(index, eni.ipv4_address, eni.mac_address),
            # An address of the subnet that no task has must be unreachable, not a question to the default gateway.
            rtnetlink.unreachable(str(subnet), protocol=ROUTE_PROTOCOL),
            rtnetlink.route(f"{eni.ipv4_address}/32", index, protocol=ROUTE_PROTOCOL),
        )


def _create_pair(netlink: Netlink, eni: Eni, namespace: Path, link: str) -> None:
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        pair = rtnetlink.veth(link, HOST_MAC, DEVICE, eni.mac_address, mtu=_uplink_mtu(), namespace=descriptor)
        netlink.send(pair)
    finally:
        os.close(descriptor)


def _refuse_taken_address(netlink: Netlink, address: str, link: str) -> None:
    try:
        route = netlink.route_to(address)
    except OSError as error:
        if error.errno in _UNROUTED:
            return
        raise
    if route.network.prefixlen == 0:
        return
    owner = socket.if_indextoname(route.device) if route.device else "several links"
    if owner != link:
        raise RuntimeFault(
            "ResourceInitializationError",
            f"address {address} cannot be given to a task: this host routes {route.network} to {owner}. "
            "Another agent, a Docker network or the host's own network uses that range; choose another one.",
        )


def _configure_task_end(eni: Eni) -> bool:
    """Configure the namespace of the calling thread; false if the ENI is not in it."""
    with Netlink() as netlink:
        try:
            index = socket.if_nametoindex(DEVICE)
        except OSError:
            return False
        _without_ipv6(DEVICE)
        # As in Docker's own networks: a container's user need not be root to listen on port 80.
        Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
        netlink.send(
            rtnetlink.up(_LOOPBACK),
            rtnetlink.address(index, eni.ipv4_address),
            rtnetlink.up(index),
            rtnetlink.neighbour(index, GATEWAY, HOST_MAC),
            rtnetlink.route(f"{GATEWAY}/32", index),
            rtnetlink.route("0.0.0.0/0", index, gateway=GATEWAY, source=eni.ipv4_address),
        )
    return True


def _detach(link: str) -> None:
    with _host_lock, Netlink() as netlink:
        # A namespace that ends takes its link along, in the kernel's own time.
        _send_unless_gone(netlink, rtnetlink.removed(link))
        for subnet in _deserted():
            # Another agent of this host may be removing it as well.
            _send_unless_gone(netlink, rtnetlink.reachable_again(str(subnet), protocol=ROUTE_PROTOCOL))


def _send_unless_gone(netlink: Netlink, removal: Message) -> None:
    try:
        netlink.send(removal)
    except OSError as error:
        if error.errno not in _GONE:
            raise


def _deserted() -> list[IPv4Network]:
    """List what is unreachable and of which no ENI of this host has an address any more: others may have its range."""
    known = list(routes.listed())
    enis = [route.network.network_address for route in known if route.device.startswith(names.LINK_PREFIX)]
    subnets = [route.network for route in known if route.refused]
    return [subnet for subnet in subnets if not any(address in subnet for address in enis)]


def _without_ipv6(device: str) -> None:
    """Spare the link router solicitations and a link-local address: ENIs are IPv4."""
    switch = Path("/proc/sys/net/ipv6/conf") / device / "disable_ipv6"
    if switch.exists():
        switch.write_text("1")


def _uplink_mtu() -> int:
    """Read the MTU of the device with the default route, which the task's packets to the outside must fit."""
    uplink = next((route.device for route in routes.listed() if route.network.prefixlen == 0), None)
    return 1500 if uplink is None else int((_CLASS_NET / uplink / "mtu").read_text())
