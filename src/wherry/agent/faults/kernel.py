"""The faults of a task, brought about by the kernel in the task's own network namespace.

Nothing is remembered: what there is, the kernel says. So an agent that restarts knows, and all ends with the namespace.
"""

from __future__ import annotations

import errno
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from wherry.agent.faults import netem
from wherry.agent.faults.base import BlackholePort, Fault, FaultUnavailableError, Impairment
from wherry.agent.faults.black_hole import FLOWS, chains, flow_rules, removal, rules
from wherry.agent.sandbox import eni, namespaces

PATIENCE = 5.0
"""Seconds that a command may take."""

T = TypeVar("T")

_MODULES = {"prio": "sch_prio", "netem": "sch_netem", "u32": "cls_u32"}


class NamespaceFaults:
    """The faults in one network namespace. See `wherry.agent.faults.base.Faults`; raises OSError besides."""

    def __init__(self, namespace: Path) -> None:
        """Act in the namespace at this path."""
        self._namespace = namespace

    async def running(self) -> frozenset[str]:
        """List the names of the faults that there are now."""
        return await self._within(_running)

    async def start(self, fault: Fault) -> None:
        """Begin a fault."""
        await self._within(lambda: _apply(rules(fault)) if isinstance(fault, BlackholePort) else _impair(fault))

    async def stop(self, name: str) -> None:
        """End the fault of this name."""
        impaired = name in {kind.value for kind in netem.HANDLES}
        await self._within(_restore if impaired else lambda: _apply(removal(name)))

    async def _within(self, function: Callable[[], T]) -> T:
        try:
            return await namespaces.within(self._namespace, function)
        except NetlinkError as error:
            raise OSError(error.code, f"netlink: {error}") from error


def _running() -> frozenset[str]:
    with IPRoute() as netlink:
        disciplines = netlink.get_qdiscs(index=socket.if_nametoindex(eni.DEVICE))
        impairments = [netem.fault_of(one.get_attr("TCA_KIND"), one["handle"]) for one in disciplines]
    return _chains() - {FLOWS} | {fault.value for fault in impairments if fault is not None}


def _chains() -> frozenset[str]:
    return chains(_nft("-j", "list", "chains"))


def _impair(fault: Impairment) -> None:
    with IPRoute() as netlink:
        index = socket.if_nametoindex(eni.DEVICE)
        # An agent that was killed at it may have left the half of one.
        _clear(netlink, index)
        done = []
        try:
            for step in netem.plan(fault):
                _tc(netlink, index, step)
                done.append(step)
            if fault.flows < 100:
                _apply(flow_rules(fault.flows, netem.SPARE))
        except (NetlinkError, OSError) as error:
            if done:
                _tc(netlink, index, netem.remove())
            missing = _missing(netlink, index) if isinstance(error, NetlinkError) else []
            if missing:
                raise FaultUnavailableError(_unavailable(fault, missing)) from error
            raise


def _restore() -> None:
    with IPRoute() as netlink:
        _clear(netlink, socket.if_nametoindex(eni.DEVICE))


def _clear(netlink: IPRoute, index: int) -> None:
    """Take away whatever there is of latency and loss."""
    for one in list(netlink.get_qdiscs(index=index)):
        kind = one.get_attr("TCA_KIND")
        if netem.is_root(kind, one["handle"]):
            _tc(netlink, index, netem.remove(kind))
    if FLOWS in _chains():
        _apply(removal(FLOWS))


def _tc(netlink: IPRoute, index: int, step: netem.Step) -> None:
    netlink.tc(step.command, step.kind, index=index, **step.members)


def _missing(netlink: IPRoute, index: int) -> list[str]:
    """Try what the plan is made of, each by itself, on an interface that has nothing of it; name the modules."""
    return [_MODULES[step.kind] for step in netem.trials() if not _can(netlink, index, step)]


def _can(netlink: IPRoute, index: int, step: netem.Step) -> bool:
    try:
        _tc(netlink, index, step)
    except NetlinkError as error:
        return int(error.code) != errno.ENOENT
    _tc(netlink, index, netem.remove(step.kind))
    return True


def _unavailable(fault: Impairment, missing: list[str]) -> str:
    modules = " ".join(missing)
    return (
        f"{fault.kind} needs kernel modules that the host of this task does not have: {modules}. "
        f"Load them with 'modprobe -a {modules}', or use a host whose kernel has them."
    )


def _apply(text: str) -> None:
    _nft("-f", "-", text=text)


def _nft(*arguments: str, text: str = "") -> bytes:
    """Run `nft` in the network of the calling thread, which a process inherits."""
    command = ("nft", *arguments)
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=False, timeout=PATIENCE)  # noqa: S603 - no shell
    except FileNotFoundError as error:
        raise FaultUnavailableError("nft is not installed on the host of this task: install nftables.") from error
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    if done.returncode != 0:
        raise OSError(f"nft: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
