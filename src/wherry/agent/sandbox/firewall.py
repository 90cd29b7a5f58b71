"""The host's rules for ENIs: tasks reach each other, the outside and the agent, although Docker's default is to drop.

Rules match the ENIs' link names, not addresses: they are written once, and all agents of a host share them.
Docker's verdict can only be overruled from within its own chain DOCKER-USER (an accept in another nftables chain does
not end the walk), so that part goes by iptables; address translation, and that no task speaks in another's name, is an
nftables table of ours.
"""

from __future__ import annotations

from pathlib import Path

import anyio

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.sandbox import names

CHAIN = "WHERRY-FORWARD"
INPUT_CHAIN = "WHERRY-INPUT"
_ENI = f"{names.LINK_PREFIX}+"

# What goes to a bridge of Docker's is left to Docker's own rules: only published ports are open to tasks.
# To the host itself only what the agent serves there is opened, where the host's own rules would keep tasks out.
_FILTER = f"""\
*filter
:{CHAIN} - [0:0]
:{INPUT_CHAIN} - [0:0]
-A {INPUT_CHAIN} -i {_ENI} -d {names.ENDPOINTS_ADDRESS} -p tcp --dport 80 -j ACCEPT
-A {CHAIN} -i {_ENI} -o {_ENI} -j ACCEPT
-A {CHAIN} -o {_ENI} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A {CHAIN} -i {_ENI} -o docker+ -j RETURN
-A {CHAIN} -i {_ENI} -o br-+ -j RETURN
-A {CHAIN} -i {_ENI} -j ACCEPT
COMMIT
"""

# Declared, deleted and declared again in one transaction: whatever was there, this is what there is.
# A packet of a task is dropped unless its source is routed to that task: root in a container can write any (NET_RAW).
_TABLE = f"""\
table ip wherry
delete table ip wherry
table ip wherry {{
    chain origin {{
        type filter hook prerouting priority raw; policy accept;
        iifname "{names.LINK_PREFIX}*" fib saddr . iif oif missing drop
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        iifname "{names.LINK_PREFIX}*" oifname != "{names.LINK_PREFIX}*" masquerade
    }}
}}
"""

_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


async def ensure() -> None:
    """Put the rules in place and let the host forward; safe to call at any time."""
    _let_host_forward()
    await _run("iptables-restore", "--wait", "--noflush", text=_FILTER)
    for parent, chain in ((await _parent_chain(), CHAIN), ("INPUT", INPUT_CHAIN)):
        if not await _succeeds("iptables", "--wait", "-C", parent, "-j", chain):
            await _run("iptables", "--wait", "-I", parent, "-j", chain)
    await _run("nft", "-f", "-", text=_TABLE)


async def remove() -> None:
    """Take the rules away again; for when the host's last ENI is gone."""
    for parent, chain in (("DOCKER-USER", CHAIN), ("FORWARD", CHAIN), ("INPUT", INPUT_CHAIN)):
        while await _succeeds("iptables", "--wait", "-D", parent, "-j", chain):
            continue
    for chain in (CHAIN, INPUT_CHAIN):
        if await _succeeds("iptables", "--wait", "-F", chain):
            await _run("iptables", "--wait", "-X", chain)
    if await _succeeds("nft", "list", "table", "ip", "wherry"):
        await _run("nft", "delete", "table", "ip", "wherry")


def _let_host_forward() -> None:
    if _IP_FORWARD.read_text().strip() != "1":
        _IP_FORWARD.write_text("1")


async def _parent_chain() -> str:
    """Find the chain to hook into: Docker's own for users' rules, where it keeps one."""
    return "DOCKER-USER" if await _succeeds("iptables", "--wait", "-S", "DOCKER-USER") else "FORWARD"


async def _succeeds(*command: str) -> bool:
    try:
        result = await anyio.run_process(command, check=False)
    except FileNotFoundError as error:
        raise _missing(command[0]) from error
    return result.returncode == 0


async def _run(*command: str, text: str = "") -> None:
    try:
        result = await anyio.run_process(command, input=text.encode(), check=False)
    except FileNotFoundError as error:
        raise _missing(command[0]) from error
    if result.returncode != 0:
        reason = result.stderr.decode(errors="replace").strip()
        raise RuntimeFault("ResourceInitializationError", f"{' '.join(command)}: {reason}")


def _missing(program: str) -> RuntimeFault:
    return RuntimeFault(
        "ResourceInitializationError", f"{program} is not installed on this host; install nftables and iptables"
    )
