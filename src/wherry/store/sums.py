"""Keeps the sums of what places hold in step with the rows that hold it: in the same transaction, by the difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wherry.model.reserved import Reserved, Share


def difference(before: Iterable[Share], after: Iterable[Share]) -> Iterator[Share]:
    """Tell by how much each place changes; a place that stays as it is is left out."""
    changes: dict[str, tuple[int, int, int]] = {}
    for sign, shares in ((-1, before), (1, after)):
        for place, cpu, memory, holders in shares:
            known = changes.get(place, (0, 0, 0))
            changes[place] = (known[0] + sign * cpu, known[1] + sign * memory, known[2] + sign * holders)
    for place, change in changes.items():
        if any(change):
            yield Share(place, *change)


def added(reserved: Reserved, share: Share) -> Reserved:
    """Add a share, or take it away when it is negative."""
    return Reserved(
        place=reserved.place,
        cpu=reserved.cpu + share.cpu,
        memory=reserved.memory + share.memory,
        holders=reserved.holders + share.holders,
        version=reserved.version,
    )
