"""The faults of a fake task: noted, and nothing more."""

from __future__ import annotations

from wherry.agent.faults.base import BlackholePort, Fault, FaultUnavailableError


class FakeFaults:
    """The faults of one task, in a set that outlives the agent. See `wherry.agent.faults.base.Faults`."""

    def __init__(self, running: dict[str, Fault], *, lacking: str = "") -> None:
        """Note them by name in `running`; where the machine is `lacking` something, only black holes are to be had."""
        self._running = running
        self._lacking = lacking

    async def running(self) -> frozenset[str]:
        """List the names that are noted."""
        return frozenset(self._running)

    async def start(self, fault: Fault) -> None:
        """Note a fault."""
        if self._lacking and not isinstance(fault, BlackholePort):
            raise FaultUnavailableError(self._lacking)
        self._running[fault.name] = fault

    async def stop(self, name: str) -> None:
        """Strike a name out."""
        del self._running[name]
