"""What is asked of the kernel for faults, on a kernel that need not have all of it: texts and filters that it takes."""

from __future__ import annotations

import re
import subprocess
from ipaddress import ip_network

import pytest
from pyroute2 import IPRoute

from wherry.agent.faults import black_hole, netem
from wherry.agent.faults.base import BlackholePort, Impairment, Kind
from wherry.agent.sandbox import eni, namespaces

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

EVERYWHERE = (ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0"), ip_network("fd00::/9"), ip_network("::/0"))


@pytest.fixture
def anyio_backend():
    return "asyncio"


def nft(*arguments: str, text: str = "") -> bytes:
    return subprocess.run(("nft", *arguments), input=text.encode(), capture_output=True, check=True).stdout


async def test_black_holes_and_the_choice_of_flows_are_rules_that_nft_takes(namespace):
    def apply() -> tuple[frozenset[str], str]:
        for traffic, protocol in (("ingress", "tcp"), ("egress", "udp")):
            hole = BlackholePort(traffic=traffic, protocol=protocol, port=65535, spared=EVERYWHERE)
            nft("-f", "-", text=black_hole.rules(hole))
        nft("-f", "-", text=black_hole.flow_rules(30, netem.SPARE))
        listed = black_hole.chains(nft("-j", "list", "chains"))
        shown = nft("list", "chain", "inet", black_hole.TABLE, black_hole.FLOWS).decode()
        for chain in listed:
            nft("-f", "-", text=black_hole.removal(chain))
        assert not black_hole.chains(nft("-j", "list", "chains"))
        return listed, shown

    listed, shown = await namespaces.within(namespace, apply)
    assert listed == {"ingress-tcp-65535", "egress-udp-65535", "flows"}
    assert shown.count("mod 100 >= 30 meta priority set 1:3") == 4


async def test_filters_are_what_tc_shows_them_to_be(namespace):
    def apply() -> str:
        with IPRoute() as netlink:
            netlink.link("add", ifname=eni.DEVICE, kind="veth", peer={"ifname": "peer"})
            [index] = netlink.link_lookup(ifname=eni.DEVICE)
            netlink.link("set", index=index, state="up")
            # Of prio and netem the kernel may have nothing: filters hang on any discipline with classes.
            netlink.tc("add", "htb", index=index, handle="1:", default=0x30)
            fault = Impairment(kind=Kind.PACKET_LOSS, targets=EVERYWHERE, spared=EVERYWHERE[:1], loss=30)
            for step in netem.plan(fault):
                if step.kind == "u32":
                    netlink.tc(step.command, step.kind, index=index, **step.members)
        command = ("tc", "filter", "show", "dev", eni.DEVICE, "parent", "1:")
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    shown = await namespaces.within(namespace, apply)
    bands, matches = re.findall(r"flowid (\S+)", shown), re.findall(r"match \S+ at \d+", shown)
    assert bands == ["1:3", "1:1", "1:1", "1:1", "1:1"]
    assert matches == [
        "match 0a000000/ff000000 at 16",
        "match 0a000000/ff000000 at 16",
        "match 00000000/00000000 at 16",
        "match fd000000/ff800000 at 24",
        "match 00000000/00000000 at 24",
    ]
