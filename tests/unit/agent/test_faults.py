"""What a request for a fault means, and what is asked of the kernel for it."""

from __future__ import annotations

import errno
import json
import socket
from ipaddress import ip_network
from typing import Any, Self

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.exceptions import NetlinkError

from wherry.agent.faults import black_hole, kernel, netem
from wherry.agent.faults.base import BlackholePort, Impairment, Kind
from wherry.agent.faults.black_hole import FLOWS, TABLE
from wherry.agent.faults.requests import InvalidRequestError, parse

HOLE = {"Port": 8080, "Protocol": "tcp", "TrafficType": "ingress"}
LATENCY = {"DelayMilliseconds": 200, "JitterMilliseconds": 10, "Sources": ["10.0.0.0/8"]}
LOSS = {"LossPercent": 30, "Sources": ["10.0.0.1"]}
GOOD = {Kind.BLACKHOLE_PORT: HOLE, Kind.LATENCY: LATENCY, Kind.PACKET_LOSS: LOSS}
ENDPOINTS = ip_network("169.254.170.2/32")


def read(kind: Kind, **changes: object) -> object:
    return parse(kind, json.dumps(GOOD[kind] | changes).encode())


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.BLACKHOLE_PORT, "Port"),
        (Kind.BLACKHOLE_PORT, "Protocol"),
        (Kind.BLACKHOLE_PORT, "TrafficType"),
        (Kind.LATENCY, "DelayMilliseconds"),
        (Kind.LATENCY, "JitterMilliseconds"),
        (Kind.LATENCY, "Sources"),
        (Kind.PACKET_LOSS, "LossPercent"),
        (Kind.PACKET_LOSS, "Sources"),
    ],
)
def test_what_is_required_is_missed_by_name(kind, name):
    with pytest.raises(InvalidRequestError, match=f"^required parameter {name} is missing$"):
        read(kind, **{name: None})


@pytest.mark.parametrize(
    ("kind", "name", "value", "shown"),
    [
        (Kind.BLACKHOLE_PORT, "Protocol", "icmp", "icmp"),
        (Kind.BLACKHOLE_PORT, "TrafficType", "both", "both"),
        (Kind.BLACKHOLE_PORT, "SourcesToFilter", ["10.0.0.1", "example.org"], "example.org"),
        (Kind.BLACKHOLE_PORT, "SourcesToFilter", ["10.0.0.1; flush ruleset"], "10.0.0.1; flush ruleset"),
        (Kind.BLACKHOLE_PORT, "SourcesToFilter", ["fe80::1%eth0"], "fe80::1%eth0"),
        (Kind.BLACKHOLE_PORT, "SourcesToFilter", ["10.0.0.0/255.0.0.0"], "10.0.0.0/255.0.0.0"),
        (Kind.BLACKHOLE_PORT, "SourcesToFilter", [None], ""),
        (Kind.LATENCY, "Sources", ["10.0.0.0/33"], "10.0.0.0/33"),
        (Kind.LATENCY, "FlowsPercent", 0, "0"),
        (Kind.LATENCY, "FlowsPercent", 101, "101"),
        (Kind.LATENCY, "DelayMilliseconds", 2**40, str(2**40)),
        (Kind.PACKET_LOSS, "LossPercent", 0, "0"),
        (Kind.PACKET_LOSS, "LossPercent", 101, "101"),
        (Kind.PACKET_LOSS, "SourcesToFilter", ["10.0.0.300"], "10.0.0.300"),
    ],
)
def test_a_value_that_means_nothing_is_shown(kind, name, value, shown):
    with pytest.raises(InvalidRequestError) as caught:
        read(kind, **{name: value})
    assert str(caught.value) == f"invalid value {shown} for parameter {name}"


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("body", [b"", b" \n"])
def test_a_body_that_is_missing_is_missed(kind, body):
    with pytest.raises(InvalidRequestError, match=r"^required request body is missing$"):
        parse(kind, body)


@given(kind=st.sampled_from(Kind), body=st.binary(max_size=60))
def test_no_body_is_more_than_refused(kind, body):
    with pytest.raises(InvalidRequestError):
        parse(kind, body)


@given(
    data=st.recursive(
        st.none() | st.integers() | st.text(),
        lambda one: (
            st.lists(one) | st.dictionaries(st.sampled_from(["Port", "Sources", "Protocol", "LossPercent"]), one)
        ),
    )
)
def test_no_value_is_more_than_refused(data):
    for kind in Kind:
        with pytest.raises(InvalidRequestError):
            parse(kind, json.dumps(data).encode())


def test_a_list_without_end_is_refused():
    with pytest.raises(InvalidRequestError, match=r"^parameter Sources has more than 1000 entries$"):
        read(Kind.LATENCY, Sources=["10.0.0.1"] * 1001)


def test_a_black_hole_is_known_by_traffic_protocol_and_port():
    assert read(Kind.BLACKHOLE_PORT, SourcesToFilter=["10.1.2.3/8", "fd00::1"], Unknown=1) == BlackholePort(
        traffic="ingress", protocol="tcp", port=8080, spared=(ip_network("10.0.0.0/8"), ip_network("fd00::1"))
    )
    assert read(Kind.BLACKHOLE_PORT).name == "ingress-tcp-8080"
    # On port 80 its end is asked for.
    assert read(Kind.BLACKHOLE_PORT, Port=80, TrafficType="egress").spared == (ENDPOINTS,)
    assert read(Kind.BLACKHOLE_PORT, Port=80).spared == ()


def test_late_and_lost_packets_are_never_those_to_the_endpoints():
    assert read(Kind.LATENCY, FlowsPercent=40, SourcesToFilter=["10.9.0.0/16"]) == Impairment(
        kind=Kind.LATENCY,
        targets=(ip_network("10.0.0.0/8"),),
        spared=(ip_network("10.9.0.0/16"), ENDPOINTS),
        delay=200,
        jitter=10,
        flows=40,
    )
    assert read(Kind.PACKET_LOSS).spared == (ENDPOINTS,)
    assert read(Kind.PACKET_LOSS).loss == 30


def test_rules_of_a_black_hole_spare_first_and_drop_then():
    spared = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert black_hole.rules(BlackholePort(traffic="egress", protocol="udp", port=53, spared=spared)).splitlines() == [
        "table inet wherry_faults {",
        "chain egress-udp-53 {",
        "type filter hook output priority filter - 10; policy accept;",
        "ip daddr 10.0.0.0/8 udp dport 53 accept",
        "ip6 daddr fd00::/8 udp dport 53 accept",
        "udp dport 53 drop",
        "}",
        "}",
    ]
    came = black_hole.rules(BlackholePort(traffic="ingress", protocol="tcp", port=80, spared=spared[:1]))
    assert "hook input" in came
    assert "ip saddr 10.0.0.0/8 tcp dport 80 accept" in came


def test_chains_of_others_are_no_faults():
    entries = [
        {"metainfo": {"version": "1.0.6"}},
        {"chain": {"family": "inet", "table": "wherry_faults", "name": "ingress-tcp-80"}},
        {"chain": {"family": "ip", "table": "wherry_faults", "name": "egress-tcp-80"}},
        {"chain": {"family": "inet", "table": "filter", "name": "input"}},
    ]
    assert black_hole.chains(json.dumps({"nftables": entries}).encode()) == {"ingress-tcp-80"}
    assert black_hole.chains(b'{"nftables": []}') == frozenset()


def steps(fault: object) -> list[tuple[str, str, dict[str, object]]]:
    return [(step.command, step.kind, step.members) for step in netem.plan(fault)]


def test_latency_is_asked_for_as_tc_would():
    """tc qdisc add … root handle 1: prio priomap 2…; … parent 1:1 handle 10: netem delay 200ms 10ms; filters."""
    assert steps(read(Kind.LATENCY)) == [
        ("add", "prio", {"root": True, "handle": "1:", "bands": 3, "priomap": [2] * 16}),
        ("add", "netem", {"parent": "1:1", "handle": "10:", "delay": 200_000, "jitter": 10_000, "limit": 100_000}),
        ("add-filter", "u32", u32(1, "1:3", "0xa9feaa02/0xffffffff+16")),
        ("add-filter", "u32", u32(2, "1:1", "0x0a000000/0xff000000+16")),
    ]


def u32(priority: int, band: str, *keys: str, protocol: int = 0x0800) -> dict[str, object]:
    return {"parent": "1:", "prio": priority, "protocol": protocol, "target": band, "keys": list(keys)}


def test_loss_is_told_from_latency_by_its_handle():
    [_, made, *_] = steps(read(Kind.PACKET_LOSS))
    assert made == ("add", "netem", {"parent": "1:1", "handle": "20:", "loss": 30})
    assert netem.fault_of("netem", 0x20 << 16) is Kind.PACKET_LOSS
    assert netem.fault_of("netem", 0x10 << 16) is Kind.LATENCY
    assert netem.fault_of("netem", 0x30 << 16) is None
    assert netem.fault_of("prio", 0x10 << 16) is None


def test_every_destination_and_those_of_ipv6_have_their_filters():
    fault = read(Kind.PACKET_LOSS, Sources=["0.0.0.0/0", "::/0", "2001:db8::/36"])
    assert [members for _, kind, members in steps(fault) if kind == "u32"][1:] == [
        u32(2, "1:1", "0x0/0x0+16"),
        u32(4, "1:1", "0x0/0x0+24", protocol=0x86DD),
        u32(4, "1:1", "0x20010db8/0xffffffff+24", "0x00000000/0xf0000000+28", protocol=0x86DD),
    ]


class Discipline(dict[str, int]):
    """A discipline as netlink lists it."""

    def __init__(self, kind: str, handle: str) -> None:
        super().__init__(handle=int(handle.rstrip(":"), 16) << 16)
        self.kind = kind

    def get_attr(self, name: str) -> str:
        assert name == "TCA_KIND"
        return self.kind


class Kernel:
    """An interface with disciplines, whose root is taken only once, and a table of nftables."""

    def __init__(self) -> None:
        self.disciplines: list[Discipline] = []
        self.chains: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get_qdiscs(self, index: int) -> list[Discipline]:
        assert index == 1
        return [Discipline("noqueue", "0:"), *self.disciplines]

    def tc(self, command: str, kind: str, *, index: int, **members: Any) -> None:
        assert index == 1
        if command == "del":
            assert any(one.kind == kind for one in self.disciplines)
            self.disciplines.clear()
        elif command == "add":
            if members.get("root") and self.disciplines:
                raise NetlinkError(errno.EEXIST, "Exclusivity flag on, cannot modify")
            self.disciplines.append(Discipline(kind, members["handle"]))

    def nft(self, *arguments: str, text: str = "") -> bytes:
        if arguments[0] == "-j":
            listed = [{"chain": {"family": "inet", "table": TABLE, "name": name}} for name in self.chains]
            return msgspec.json.encode({"nftables": listed})
        if "delete chain" in text:
            self.chains.discard(FLOWS)
        else:
            assert FLOWS not in self.chains, "the rules of two faults would choose"
            self.chains.add(FLOWS)
        return b""


@pytest.mark.parametrize(
    ("left", "chains"), [([("prio", "1:")], set()), ([("netem", "1:")], set()), ([], {FLOWS}), ([], set())]
)
def test_the_half_of_a_fault_does_not_keep_the_next_from_starting(monkeypatch, left, chains) -> None:
    there = Kernel()
    there.disciplines += [Discipline(*one) for one in left]
    there.chains |= chains
    monkeypatch.setattr(kernel, "IPRoute", lambda: there)
    monkeypatch.setattr(kernel, "_nft", there.nft)
    monkeypatch.setattr(socket, "if_nametoindex", lambda _: 1)
    everywhere = (ip_network("0.0.0.0/0"),)
    kernel._impair(Impairment(kind=Kind.PACKET_LOSS, targets=everywhere, loss=30, flows=50))
    assert kernel._running() == {Kind.PACKET_LOSS}
    assert there.chains == {FLOWS}
    kernel._restore()
    assert (kernel._running(), there.disciplines, there.chains) == (frozenset(), [], set())
