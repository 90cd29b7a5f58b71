"""The faults that a task may ask for, and who brings them about."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from wherry.agent.spec import Struct

Networks = tuple[IPv4Network | IPv6Network, ...]
"""Addresses, each a network of one, and blocks of them."""


class Kind(StrEnum):
    """The faults by their names in paths."""

    BLACKHOLE_PORT = "network-blackhole-port"
    LATENCY = "network-latency"
    PACKET_LOSS = "network-packet-loss"


class BlackholePort(Struct, frozen=True):
    """Packets to a port vanish: those that come (`ingress`) or those that go (`egress`), but for `spared` others."""

    traffic: str
    protocol: str
    port: int
    spared: Networks = ()

    @property
    def name(self) -> str:
        """Tell this port's fault from those of others."""
        return f"{self.traffic}-{self.protocol}-{self.port}"


class Impairment(Struct, frozen=True):
    """Packets to `targets`, but for those to `spared` ones, are late or lost.

    `delay` and `jitter` are in milliseconds, `loss` in percent; so is `flows`: how many of all flows are concerned.
    """

    kind: Kind
    targets: Networks
    spared: Networks = ()
    delay: int = 0
    jitter: int = 0
    loss: int = 0
    flows: int = 100

    @property
    def name(self) -> str:
        """Tell latency from loss; a task has one of each at most."""
        return self.kind.value


Fault = BlackholePort | Impairment


class FaultUnavailableError(Exception):
    """The host cannot do that; the text says what it is missing."""


class Faults(Protocol):
    """The faults of one task. They end with its network; what is told of them is what the kernel does."""

    async def running(self) -> frozenset[str]:
        """List the names of the faults that there are now."""
        ...

    async def start(self, fault: Fault) -> None:
        """Begin a fault; none of its name is there. Raises `FaultUnavailableError`."""
        ...

    async def stop(self, name: str) -> None:
        """End the fault of this name, which is there."""
        ...
