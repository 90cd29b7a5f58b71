"""What a container uses, as the engine counts it, with rates between two samples.

The engine is asked at most once a second for each container, however often a task asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from wherry.agent.runtime.base import Runtime
from wherry.agent.spec import Struct

FRESH = 1.0
"""Seconds for which a sample is passed on again."""
APART = 1.0
"""Seconds between the first two samples of a container, which has none to be compared with."""
OLD = 120.0
"""Seconds after which a sample is of no use any more."""

Stats = dict[str, Any]
"""The engine's answer to GET /containers/{id}/stats, and `network_rate_stats`."""


class Sample(Struct, frozen=True):
    """An answer of the engine, and when it was given (seconds of a clock that only goes forward)."""

    stats: Stats
    at: float


class _Series:
    """The last two samples of one container."""

    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.before: Sample | None = None
        self.last: Sample | None = None


class Statistics:
    """Samples containers when they are asked about."""

    def __init__(self, runtime: Runtime, *, clock: Callable[[], float]) -> None:
        """Ask `runtime`; `clock` only goes forward."""
        self._runtime = runtime
        self._clock = clock
        self._series: dict[str, _Series] = {}

    async def of(self, runtime_id: str) -> Stats | None:
        """Tell what a container uses; None if it does not run. Raises what `Runtime.stats` raises."""
        self._forget_old()
        series = self._series.setdefault(runtime_id, _Series())
        async with series.lock:
            if series.before is None or series.last is None or self._clock() - series.last.at >= FRESH:
                if not await self._sample(runtime_id, series):
                    return None
                if series.before is None:
                    await anyio.sleep(APART)
                    if not await self._sample(runtime_id, series):
                        return None
            if series.before is None or series.last is None:
                return None
            return compared(series.before, series.last)

    async def _sample(self, runtime_id: str, series: _Series) -> bool:
        stats = await self._runtime.stats(runtime_id)
        if stats is None:
            self._series.pop(runtime_id, None)
            return False
        series.before, series.last = series.last, Sample(stats=stats, at=self._clock())
        return True

    def _forget_old(self) -> None:
        oldest = self._clock() - OLD
        gone = [one for one, series in self._series.items() if series.last is not None and series.last.at < oldest]
        for runtime_id in gone:
            del self._series[runtime_id]


def compared(before: Sample, last: Sample) -> Stats:
    """Say what the last sample says, with what was before it and the rates between the two. Pure."""
    seconds = last.at - before.at
    received, sent = (_total(last.stats, way) - _total(before.stats, way) for way in ("rx_bytes", "tx_bytes"))
    rates = None
    if seconds > 0:
        rates = {
            "rx_bytes_per_sec": max(0.0, received / seconds),
            "tx_bytes_per_sec": max(0.0, sent / seconds),
        }
    told = {**last.stats, "preread": before.stats.get("read"), "precpu_stats": before.stats.get("cpu_stats")}
    return told if rates is None else told | {"network_rate_stats": rates}


def _total(stats: Stats, way: str) -> int:
    return sum(int(device.get(way, 0)) for device in (stats.get("networks") or {}).values())
