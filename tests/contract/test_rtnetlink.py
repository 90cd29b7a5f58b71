"""Messages of rtnetlink that were written by hand, on this kernel; a library says what came of them."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from wherry.agent.sandbox import namespaces, rtnetlink
from wherry.agent.sandbox.rtnetlink import Netlink

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

OURS, THEIRS = 87, 4
NEAR, FAR = "0a:00:00:00:00:01", "0a:00:00:00:00:02"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def attributes(found, *names):
    return tuple(found.get_attr(name) for name in names)


def pair(netlink):
    """Make a pair, both ends in the namespace of the thread; return the index of the near end."""
    with Path("/proc/thread-self/ns/net").open() as here:
        netlink.send(rtnetlink.veth("near", NEAR, "far", FAR, mtu=1400, namespace=here.fileno()))
    return socket.if_nametoindex("near")


async def test_a_task_is_wired_as_asked(namespace):
    def wire():
        with Netlink() as netlink, IPRoute() as library:
            index = pair(netlink)
            netlink.send(
                rtnetlink.up(index, alias="a task's"),
                rtnetlink.address(index, "10.9.0.5"),
                rtnetlink.neighbour(index, "169.254.1.1", FAR),
                rtnetlink.route("169.254.1.1/32", index),
                rtnetlink.route("0.0.0.0/0", index, gateway="169.254.1.1", source="10.9.0.5"),
                rtnetlink.unreachable("10.9.0.0/24", protocol=OURS),
            )
            links = {link.get_attr("IFLA_IFNAME"): link for link in library.get_links()}
            assert attributes(links["near"], "IFLA_ADDRESS", "IFLA_MTU", "IFLA_IFALIAS") == (NEAR, 1400, "a task's")
            assert attributes(links["far"], "IFLA_ADDRESS", "IFLA_MTU", "IFLA_IFALIAS") == (FAR, 1400, None)
            assert links["near"]["flags"] & 1
            assert not links["far"]["flags"] & 1
            [owned] = [found for found in library.get_addr(family=socket.AF_INET) if found["index"] == index]
            assert (owned.get_attr("IFA_LOCAL"), owned["prefixlen"]) == ("10.9.0.5", 32)
            [known] = library.get_neighbours(family=socket.AF_INET, ifindex=index)
            assert (*attributes(known, "NDA_DST", "NDA_LLADDR"), known["state"]) == ("169.254.1.1", FAR, 0x80)
            return index, [
                (*attributes(found, "RTA_DST", "RTA_OIF", "RTA_GATEWAY", "RTA_PREFSRC"), found["type"], found["proto"])
                for found in library.get_routes(family=socket.AF_INET, table=254)
            ]

    index, routed = await namespaces.within(namespace, wire)
    assert sorted(routed, key=str) == sorted(
        [
            ("169.254.1.1", index, None, None, 1, THEIRS),
            (None, index, "169.254.1.1", "10.9.0.5", 1, THEIRS),
            ("10.9.0.0", None, None, None, 7, OURS),
        ],
        key=str,
    )


async def test_what_is_done_twice_is_done_once(namespace):
    def twice():
        with Netlink() as netlink, IPRoute() as library:
            index = pair(netlink)
            asked = (
                rtnetlink.up(index),
                rtnetlink.address(index, "10.9.0.5"),
                rtnetlink.route("10.9.0.7/32", index, protocol=OURS),
                rtnetlink.unreachable("10.9.0.0/24", protocol=OURS),
            )
            netlink.send(*asked)
            netlink.send(*asked)
            return len(list(library.get_routes(family=socket.AF_INET, table=254)))

    assert await namespaces.within(namespace, twice) == 2


async def test_the_first_refusal_is_told_and_names_what_was_refused(namespace):
    def refused():
        with Netlink() as netlink:
            index = pair(netlink)
            with pytest.raises(OSError, match=r"the route of 10\.9\.0\.7/32: Network is down") as failure:
                netlink.send(
                    rtnetlink.address(index, "10.9.0.5"),
                    rtnetlink.route("10.9.0.7/32", index),
                    rtnetlink.removed("nowhere"),
                )
            assert failure.value.errno == errno.ENETDOWN
            with pytest.raises(OSError, match="removing the link nowhere") as failure:
                netlink.send(rtnetlink.removed("nowhere"))
            assert failure.value.errno == errno.ENODEV
            with pytest.raises(OSError, match="making the link near"):
                pair(netlink)

    await namespaces.within(namespace, refused)


async def test_the_route_to_an_address_is_the_one_that_the_kernel_would_take(namespace):
    def ask():
        with Netlink() as netlink:
            index = pair(netlink)
            netlink.send(
                rtnetlink.up(index),
                rtnetlink.route("10.9.0.0/16", index),
                rtnetlink.unreachable("10.9.5.0/24", protocol=OURS),
            )
            found = netlink.route_to("10.9.1.1")
            assert (str(found.network), found.device) == ("10.9.0.0/16", index)
            for address, code in (("10.9.5.1", errno.EHOSTUNREACH), ("192.0.2.1", errno.ENETUNREACH)):
                with pytest.raises(OSError, match=address) as failure:
                    netlink.route_to(address)
                assert failure.value.errno == code

    await namespaces.within(namespace, ask)


async def test_only_what_was_made_by_us_is_taken_back(namespace):
    def take_back():
        with Netlink() as netlink, IPRoute() as library:
            netlink.send(
                rtnetlink.unreachable("10.8.0.0/24", protocol=THEIRS),
                rtnetlink.unreachable("10.9.0.0/24", protocol=OURS),
                rtnetlink.address(1, "192.0.2.1", label="lo:wherry"),
                rtnetlink.address(1, "192.0.2.2"),
            )
            netlink.send(
                rtnetlink.reachable_again("10.9.0.0/24", protocol=OURS),
                rtnetlink.address_removed(1, "192.0.2.1", label="lo:wherry"),
            )
            for message, code in (
                (rtnetlink.reachable_again("10.8.0.0/24", protocol=OURS), errno.ESRCH),
                (rtnetlink.address_removed(1, "192.0.2.2", label="lo:wherry"), errno.EADDRNOTAVAIL),
            ):
                with pytest.raises(OSError, match="netlink") as failure:
                    netlink.send(message)
                assert failure.value.errno == code
            routed = [found.get_attr("RTA_DST") for found in library.get_routes(family=socket.AF_INET, table=254)]
            return routed, [found.get_attr("IFA_LOCAL") for found in library.get_addr(family=socket.AF_INET)]

    assert await namespaces.within(namespace, take_back) == (["10.8.0.0"], ["192.0.2.2"])


async def test_a_route_over_several_links_names_none(namespace):
    def ask():
        with Netlink() as netlink, IPRoute() as library:
            links = [pair(netlink), socket.if_nametoindex("far")]
            netlink.send(*(rtnetlink.up(index) for index in links))
            library.route("add", dst="10.9.0.0/16", multipath=[{"oif": index} for index in links])
            return netlink.route_to("10.9.1.1")

    assert (await namespaces.within(namespace, ask)).device == 0
