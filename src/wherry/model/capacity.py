"""How a capacity provider strategy shares out the tasks of a service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from wherry.model.cluster import CapacityProviderStrategyItem


def share_out(
    strategy: Sequence[CapacityProviderStrategyItem], count: int, *, existing: Iterable[str | None]
) -> list[str]:
    """Choose the capacity provider of each of `count` new tasks beside `existing` ones.

    The base comes first, then whoever has the fewest tasks beyond its base for its weight; a weight of 0 takes none.
    """
    tally = Counter(existing)
    chosen = []
    for _ in range(count):
        short = next((item for item in strategy if tally[item.capacity_provider] < item.base), None)
        item = short or min(strategy, key=lambda item: _load(item, tally[item.capacity_provider]))
        tally[item.capacity_provider] += 1
        chosen.append(item.capacity_provider)
    return chosen


def _load(item: CapacityProviderStrategyItem, tasks: int) -> float:
    return (tasks - item.base) / item.weight if item.weight else float("inf")
