"""The host's rules for ENIs: tasks reach each other, the outside and the agent, although Docker's default is to drop.

Rules match the ENIs' link names, not addresses: they are written once, and all agents of a host share them.
Docker's verdict can only be overruled from within its own chain DOCKER-USER (an accept in another nftables chain does
not end the walk), so that part goes by iptables; address translation, and that no task speaks in another's name, is an
nftables table of ours. That table also leads what is sent to port 80 of the endpoints' address to the port that agents
listen on: port 80 of all other addresses, and of all addresses together, is for whoever wants it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.sandbox import names

CHAIN = "WHERRY-FORWARD"
INPUT_CHAIN = "WHERRY-INPUT"
TABLE = "wherry"
ENDPOINTS_CHAIN = "endpoints"
_ENI = f"{names.LINK_PREFIX}+"

# What goes to a bridge of Docker's is left to Docker's own rules: only published ports are open to tasks.
_FORWARD = f"""\
*filter
:{CHAIN} - [0:0]
-A {CHAIN} -i {_ENI} -o {_ENI} -j ACCEPT
-A {CHAIN} -o {_ENI} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A {CHAIN} -i {_ENI} -o docker+ -j RETURN
-A {CHAIN} -i {_ENI} -o br-+ -j RETURN
-A {CHAIN} -i {_ENI} -j ACCEPT
COMMIT
"""

_TO_AGENTS = f"ip daddr {names.ENDPOINTS_ADDRESS} tcp dport 80 dnat to {names.ENDPOINTS_ADDRESS}:{names.ENDPOINTS_PORT}"

# Declared, deleted and declared again in one transaction: whatever was there, this is what there is.
# A packet of a task is dropped unless its source is routed to that task: root in a container can write any (NET_RAW).
# Port 80 is translated before Docker's rules (priority -100), for a port that is published on all addresses takes
# this one too. The source stays: agents know by it who asks. What the host itself asks passes the output hook alone.
_TABLE = f"""\
table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
    chain origin {{
        type filter hook prerouting priority raw; policy accept;
        iifname "{names.LINK_PREFIX}*" fib saddr . iif oif missing drop
    }}
    chain {ENDPOINTS_CHAIN} {{
        type nat hook prerouting priority -110; policy accept;
        {_TO_AGENTS}
    }}
    chain endpoints_of_host {{
        type nat hook output priority -110; policy accept;
        {_TO_AGENTS}
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        iifname "{names.LINK_PREFIX}*" oifname != "{names.LINK_PREFIX}*" masquerade
    }}
}}
"""

_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")

LOCK = Path("/run/wherry/firewall.lock")
"""Held by the agent that changes the rules; the kernel gives it back if that dies."""
_LOOK = 0.02
"""Seconds between two looks at whether the lock is free."""


async def ensure(ports: Iterable[int] = ()) -> None:
    """Put the rules in place and let the host forward; safe to call at any time.

    `ports` are those of the endpoints' address that tasks reach besides the agent's own.
    """
    _let_host_forward()
    async with _turn():
        await _run("iptables-restore", "--wait", "--noflush", text=_FORWARD)
        await _open((names.ENDPOINTS_PORT, *ports))
        for parent, chain in ((await _parent_chain(), CHAIN), ("INPUT", INPUT_CHAIN)):
            if not await _succeeds("iptables", "--wait", "-C", parent, "-j", chain):
                await _run("iptables", "--wait", "-I", parent, "-j", chain)
        await ensure_endpoints()


async def ensure_endpoints() -> None:
    """Put the table in place, by which port 80 of the endpoints' address leads to agents; safe to call at any time."""
    await _run("nft", "-f", "-", text=_TABLE)


async def leads_to_agents() -> bool:
    """Tell whether the table is still there: others reload rules, or remove Wherry's with their own last task."""
    return await _succeeds("nft", "list", "chain", "ip", TABLE, ENDPOINTS_CHAIN)


async def remove(*, is_needed: Callable[[], bool]) -> bool:
    """Take the rules away again unless somebody needs them; tell whether that was done.

    `is_needed` is asked while nobody changes them: whoever comes later puts them back, after this.
    """
    async with _turn():
        if is_needed():
            return False
        for parent, chain in (("DOCKER-USER", CHAIN), ("FORWARD", CHAIN), ("INPUT", INPUT_CHAIN)):
            while await _succeeds("iptables", "--wait", "-D", parent, "-j", chain):
                continue
        for chain in (CHAIN, INPUT_CHAIN):
            for change in ("-F", "-X"):
                await _succeeds("iptables", "--wait", change, chain)
        await _succeeds("nft", "delete", "table", "ip", TABLE)
    return True


@asynccontextmanager
async def _turn() -> AsyncIterator[None]:
    """Have the rules of this host to ourselves, among all of its agents."""
    LOCK.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await anyio.sleep(_LOOK)
        yield
    finally:
        os.close(descriptor)


async def _open(ports: Iterable[int]) -> None:
    """Let tasks have these ports of the endpoints' address, and no other of the host, where its own rules would not.

    Another agent of the host may have opened other ones: nothing is closed before all are.
    """
    if not await _succeeds("iptables", "--wait", "-S", INPUT_CHAIN):
        await _succeeds("iptables", "--wait", "-N", INPUT_CHAIN)
    for port in ports:
        rule = (
            INPUT_CHAIN,
            "-i",
            _ENI,
            "-d",
            names.ENDPOINTS_ADDRESS,
            "-p",
            "tcp",
            "--dport",
            f"{port}",
            "-j",
            "ACCEPT",
        )
        if not await _succeeds("iptables", "--wait", "-C", *rule):
            await _run("iptables", "--wait", "-A", *rule)


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
