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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.sandbox import names, namespaces
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
    with _kernel_errors():
        await anyio.to_thread.run_sync(_attach_host_end, eni, namespace, link, alias)
        if await namespaces.within(namespace, lambda: _configure_task_end(eni)):
            return
        # The link leads into a former namespace of the task, which old containers keep alive.
        await detach(link)
        await anyio.to_thread.run_sync(_attach_host_end, eni, namespace, link, alias)
        await namespaces.within(namespace, lambda: _configure_task_end(eni))


async def detach(link: str) -> None:
    """Remove the ENI with its routes; with the last one of a subnet goes the subnet's own route. Raises OSError."""
    with _kernel_errors():
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


@contextmanager
def _kernel_errors() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        raise OSError(error.code, f"netlink: {error}") from error


@contextmanager
def _gone_is_removed() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code not in _GONE:
            raise


def _attach_host_end(eni: Eni, namespace: Path, link: str, alias: str) -> None:
    subnet = ipaddress.ip_interface(eni.gateway_cidr).network
    with _host_lock, IPRoute() as netlink:
        _refuse_taken_address(netlink, eni.ipv4_address, link)
        if not (_CLASS_NET / link).exists():
            _create_pair(netlink, eni, namespace, link)
        index = socket.if_nametoindex(link)
        _without_ipv6(link)
        netlink.link("set", index=index, ifalias=alias, state="up")
        netlink.neigh("replace", dst=eni.ipv4_address, lladdr=eni.mac_address, ifindex=index, state="permanent")
        # An address of the subnet that no task has must be unreachable here, not a question to the default gateway.
        netlink.route("replace", dst=str(subnet), type="unreachable", proto=ROUTE_PROTOCOL)
        netlink.route("replace", dst=f"{eni.ipv4_address}/32", oif=index, scope="link", proto=ROUTE_PROTOCOL)


def _create_pair(netlink: IPRoute, eni: Eni, namespace: Path, link: str) -> None:
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        mtu = _uplink_mtu()
        peer = {"ifname": DEVICE, "address": eni.mac_address, "mtu": mtu, "net_ns_fd": descriptor}
        netlink.link("add", ifname=link, kind="veth", address=HOST_MAC, mtu=mtu, peer=peer)
    finally:
        os.close(descriptor)


def _refuse_taken_address(netlink: IPRoute, address: str, link: str) -> None:
    try:
        route = netlink.route("get", dst=address, flags=_FIB_MATCH)[0]
    except NetlinkError as error:
        if error.code in _UNROUTED:
            return
        raise
    if route["dst_len"] == 0:
        return
    owner = netlink.link("get", index=route.get_attr("RTA_OIF"))[0].get_attr("IFLA_IFNAME")
    if owner != link:
        network = f"{route.get_attr('RTA_DST')}/{route['dst_len']}"
        raise RuntimeFault(
            "ResourceInitializationError",
            f"address {address} cannot be given to a task: this host routes {network} to {owner}. "
            "Another agent, a Docker network or the host's own network uses that range; choose another one.",
        )


def _configure_task_end(eni: Eni) -> bool:
    """Configure the namespace of the calling thread; false if the ENI is not in it."""
    with IPRoute() as netlink:
        netlink.link("set", index=_LOOPBACK, state="up")
        try:
            index = socket.if_nametoindex(DEVICE)
        except OSError:
            return False
        _without_ipv6(DEVICE)
        # As in Docker's own networks: a container's user need not be root to listen on port 80.
        Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
        netlink.addr("replace", index=index, address=eni.ipv4_address, prefixlen=32)
        netlink.link("set", index=index, state="up")
        netlink.neigh("replace", dst=GATEWAY, lladdr=HOST_MAC, ifindex=index, state="permanent")
        netlink.route("replace", dst=f"{GATEWAY}/32", oif=index, scope="link")
        netlink.route("replace", dst="default", gateway=GATEWAY, oif=index, prefsrc=eni.ipv4_address)
    return True


def _detach(link: str) -> None:
    with _host_lock, IPRoute() as netlink:
        # A namespace that ends takes its link along, in the kernel's own time.
        with _gone_is_removed():
            netlink.link("del", ifname=link)
        for subnet in _deserted(netlink):
            # Another agent of this host may be removing it as well.
            with _gone_is_removed():
                netlink.route("del", dst=subnet, type="unreachable", proto=ROUTE_PROTOCOL)


def _deserted(netlink: IPRoute) -> list[str]:
    """List the subnets of which no ENI of this host has an address any more: others may have their range."""
    ours = [
        (ipaddress.ip_network(f"{route.get_attr('RTA_DST')}/{route['dst_len']}"), route.get_attr("RTA_OIF"))
        for route in netlink.get_routes(family=2, table=254, proto=ROUTE_PROTOCOL)
    ]
    enis = [network.network_address for network, device in ours if device is not None]
    subnets = [network for network, device in ours if device is None]
    return [str(subnet) for subnet in subnets if not any(address in subnet for address in enis)]


def _without_ipv6(device: str) -> None:
    """Spare the link router solicitations and a link-local address: ENIs are IPv4."""
    switch = Path("/proc/sys/net/ipv6/conf") / device / "disable_ipv6"
    if switch.exists():
        switch.write_text("1")


def _uplink_mtu() -> int:
    """Read the MTU of the device with the default route, which the task's packets to the outside must fit."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        device, destination, *_ = line.split()
        if destination == "00000000":
            return int((_CLASS_NET / device / "mtu").read_text())
    return 1500
