"""Keeps the sums of what places hold in step with the rows that hold it: in the same transaction, by the difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from wherry.model.reserved import Reserved, Share


def difference(before: Iterable[Share], after: Iterable[Share]) -> Iterator[Share]:
    """Tell by how much each place changes; a place that stays as it is is left out."""
    cpu, memory, holders = Counter[str](), Counter[str](), Counter[str]()
    for sign, shares in ((-1, before), (1, after)):
        for share in shares:
            cpu[share.place] += sign * share.cpu
            memory[share.place] += sign * share.memory
            holders[share.place] += sign * share.holders
    for place in holders:
        if cpu[place] or memory[place] or holders[place]:
            yield Share(place, cpu[place], memory[place], holders[place])


def added(reserved: Reserved, share: Share) -> Reserved:
    """Add a share, or take it away when it is negative."""
    return Reserved(
        place=reserved.place,
        cpu=reserved.cpu + share.cpu,
        memory=reserved.memory + share.memory,
        holders=reserved.holders + share.holders,
        version=reserved.version,
    )
