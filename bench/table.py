"""What a measurement is, and how it is shown: medians, ratios, and whether what must be reached was."""

from __future__ import annotations

from statistics import median
from typing import Any, Literal

import msgspec
from rich.table import Table

_YES, _NO = "[green]yes[/]", "[red]no[/]"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of Wherry and of whom it is compared with; the samples are in `unit`.

    `limits` maps a name in `others` to the ratio of medians, Wherry's to theirs, that must be reached: at most that if
    `better` is "less", at least that if it is "more". The name "absolute" limits Wherry's own median.
    """

    measure: str
    unit: str
    ours: list[float]
    others: dict[str, list[float]] = {}
    limits: dict[str, float] = {}
    better: Literal["less", "more"] = "less"


def ratio(row: Row, other: str) -> float:
    """Divide Wherry's median by the other's."""
    return median(row.ours) / median(row.others[other])


def value(row: Row, limit: str) -> float:
    """Tell what this limit is held against."""
    return median(row.ours) if limit == "absolute" else ratio(row, limit)


def reached(row: Row, limit: str) -> bool:
    """Say whether this limit is kept."""
    found, bound = value(row, limit), row.limits[limit]
    return found <= bound if row.better == "less" else found >= bound


def rendered(rows: list[Row]) -> Table:
    """Draw the table that people read."""
    table = Table("measure", "Wherry", "compared with", "ratio", "must be", "reached")
    for row in rows:
        head = [row.measure, _amount(median(row.ours), row.unit)]
        for line in _lines(row):
            table.add_row(*head, *line)
            head = ["", ""]
    return table


def as_markdown(rows: list[Row]) -> str:
    """Write the table for a page of the documentation, a line for each comparison."""
    lines = ["| measure | Wherry | compared with | ratio | must be |", "|---|---|---|---|---|"]
    for row in rows:
        head = [row.measure, _amount(median(row.ours), row.unit)]
        for compared, found, bound, verdict in _lines(row):
            limit = f"{bound} (missed)" if verdict == _NO else bound
            lines.append(f"| {' | '.join([*head, compared, found, limit])} |")
            head = ["", ""]
    return "\n".join(lines) + "\n"


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Give every sample, median and ratio as builtins for JSON."""
    return [
        msgspec.to_builtins(row)
        | {
            "median": median(row.ours),
            "medians": {name: median(samples) for name, samples in row.others.items()},
            "ratios": {name: ratio(row, name) for name in row.others},
            "reached": {limit: reached(row, limit) for limit in row.limits},
        }
        for row in rows
    ]


def _lines(row: Row) -> list[list[str]]:
    sign = "≤" if row.better == "less" else "≥"
    lines = []
    for name, samples in row.others.items():
        limit = [f"{sign} {row.limits[name]:g}", _verdict(row, name)] if name in row.limits else ["", ""]
        lines.append([f"{name}: {_amount(median(samples), row.unit)}", f"{ratio(row, name):.2f}", *limit])
    if "absolute" in row.limits:
        limit = [f"{sign} {_amount(row.limits['absolute'], row.unit)}", _verdict(row, "absolute")]
        lines = [[*lines[0][:2], *limit], *lines[1:]] if lines else [["", "", *limit]]
    return lines or [["", "", "", ""]]


def _verdict(row: Row, limit: str) -> str:
    return _YES if reached(row, limit) else _NO


def _amount(number: float, unit: str) -> str:
    digits = f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
    return f"{digits} {unit}".strip()
