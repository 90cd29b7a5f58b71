"""Black holes as nftables rules in a task's network. Pure: texts for `nft`, and from it.

A black hole is a chain of one table, called as the fault is, so whoever lists the chains knows which there are. The
same table chooses the flows that are late or lost, where not all are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from wherry.agent.faults.base import BlackholePort

TABLE = "wherry_faults"
FLOWS = "flows"

_HOOK = {"ingress": "input", "egress": "output"}
_OTHER_SIDE = {"ingress": "saddr", "egress": "daddr"}
_FAMILY = {4: "ip", 6: "ip6"}


def rules(fault: BlackholePort) -> str:
    """Write the rules by which a port's packets vanish, of both families; `nft` applies all of them or none."""
    match = f"{fault.protocol} dport {fault.port}"
    return _table(
        f"chain {fault.name} {{",
        f"type filter hook {_HOOK[fault.traffic]} priority filter - 10; policy accept;",
        *(f"{one} {match} accept" for one in _spared(fault)),
        f"{match} drop",
        "}",
    )


def flow_rules(percent: int, spare: str) -> str:
    """Write the rules by which all flows but so many percent have the packet priority `spare`: a class of tc's."""
    other = f"mod 100 >= {percent} meta priority set {spare}"
    ports = "th sport . th dport"
    return _table(
        f"chain {FLOWS} {{",
        "type filter hook output priority filter - 10; policy accept;",
        *(f"meta l4proto {{ tcp, udp }} jhash {family} daddr . {ports} {other}" for family in _FAMILY.values()),
        *(f"meta l4proto != {{ tcp, udp }} jhash {family} daddr {other}" for family in _FAMILY.values()),
        "}",
    )


def removal(chain: str) -> str:
    """Write what takes a chain away."""
    return f"flush chain inet {TABLE} {chain}\ndelete chain inet {TABLE} {chain}\n"


def chains(listing: bytes) -> frozenset[str]:
    """Read the names of our chains off what `nft -j list chains` printed; raises `msgspec.MsgspecError`."""
    entries: list[dict[str, Any]] = msgspec.json.decode(listing)["nftables"]
    found = (entry["chain"] for entry in entries if "chain" in entry)
    return frozenset(str(one["name"]) for one in found if (one["family"], one["table"]) == ("inet", TABLE))


def _spared(fault: BlackholePort) -> Iterator[str]:
    for network in fault.spared:
        yield f"{_FAMILY[network.version]} {_OTHER_SIDE[fault.traffic]} {network}"


def _table(*lines: str) -> str:
    return "\n".join((f"table inet {TABLE} {{", *lines, "}", ""))
