"""Which provider of a capacity provider strategy the next task goes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wherry.model.cluster import CapacityProviderStrategyItem


def next_provider(strategy: Sequence[CapacityProviderStrategyItem], counts: Mapping[str, int]) -> str:
    """Name the provider of the next task, given how many tasks each has: the base first, then in ratio of the weights.

    The strategy has been checked: it has an item, and among several one with a weight above zero.
    """
    for item in strategy:
        if counts.get(item.capacity_provider, 0) < item.base:
            return item.capacity_provider
    weighted = [item for item in strategy if item.weight > 0] or list(strategy)

    def load(item: CapacityProviderStrategyItem) -> float:
        return (counts.get(item.capacity_provider, 0) - item.base) / max(item.weight, 1)

    return min(weighted, key=load).capacity_provider
