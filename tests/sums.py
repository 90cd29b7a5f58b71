"""The sums that the store keeps, and the same counted from the rows."""

from __future__ import annotations

from collections import defaultdict

from wherry.model.reserved import Reserved
from wherry.store import Tx
from wherry.store.tables import TABLES

Sums = dict[str, tuple[int, int, int]]


def sums_as_kept(tx: Tx) -> Sums:
    """Read what is kept: place -> CPU units, MiB, holders."""
    return {one.place: (one.cpu, one.memory, one.holders) for one in tx.find(Reserved)}


def sums_as_they_should_be(tx: Tx) -> Sums:
    """Count what every row of every table takes."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for table in TABLES:
        if table.shares is None:
            continue
        for entity in tx.find(table.type):
            for place, *amounts in table.shares(entity):
                sums[place] = [old + new for old, new in zip(sums[place], amounts, strict=True)]
    return {place: (cpu, memory, holders) for place, (cpu, memory, holders) in sums.items()}
