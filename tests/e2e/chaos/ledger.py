"""What was promised and what was done to whom: everything that the rules need to judge what is seen. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ServicePromise:
    """What acknowledged calls say of a service; `low` and `high` bound its desired count since the last calm."""

    name: str
    desired: int
    definition: str
    deleted: bool = False
    low: int = 0
    high: int = 0
    changed: bool = True
    hurt: bool = False

    def settle(self) -> None:
        """Begin anew after a calm."""
        self.low = self.high = self.desired
        self.changed = self.hurt = False

    def attempt(self, desired: int) -> None:
        """Note a desired count before asking for it: it may be taken without an answer."""
        self.low, self.high = min(self.low, desired), max(self.high, desired)
        self.changed = True


@dataclass
class RunPromise:
    """An acknowledged RunTask; `exits` is the code with which its container ends by itself, None for never."""

    token: str
    arns: tuple[str, ...]
    exits: int | None
    stopped: bool = False


@dataclass
class Ledger:
    """All promises, all violence."""

    services: dict[str, ServicePromise] = field(default_factory=dict)
    runs: list[RunPromise] = field(default_factory=list)
    killed: set[str] = field(default_factory=set)
    outages: list[tuple[float, float]] = field(default_factory=list)
    """From when to when there was no engine, in epoch seconds."""
    calls: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def run_of(self, arn: str) -> RunPromise | None:
        return next((run for run in self.runs if arn in run.arns), None)

    def blame(self, sentence: str) -> None:
        """Note a broken rule, once."""
        if sentence not in self.broken:
            self.broken.append(sentence)


@dataclass
class Sighting:
    """What was seen of a task over time."""

    statuses: list[str] = field(default_factory=list)
    latest: dict[str, Any] = field(default_factory=dict)
    containers: set[str] = field(default_factory=set)
