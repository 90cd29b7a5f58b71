"""`bench/run`: measure everything side by side, show it as it comes, keep every sample."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import cyclopts
from rich.console import Console

from bench import calls, containers, growth, idle, logs
from bench.table import Row, as_json, as_markdown, rendered

app = cyclopts.App(help="Compare Wherry with docker run, Docker Swarm and MiniStack, on this machine, in one run.")
PARTS = ("idle", "containers", "calls", "growth", "logs")


@app.default
def run(
    *,
    ministack: Path,
    rounds: Annotated[int, cyclopts.Parameter(help="samples of each; the median counts")] = 5,
    only: Annotated[list[str] | None, cyclopts.Parameter(help=f"parts to measure, of: {', '.join(PARTS)}")] = None,
    log_events: Annotated[int, cyclopts.Parameter(help="how many log events there are to look through")] = logs.EVENTS,
    out: Annotated[Path, cyclopts.Parameter(name="--json", help="where the samples go")] = Path("bench-results.json"),
) -> None:
    """Measure, print the table, write it as JSON and, beside that, as Markdown."""
    console = Console()
    wanted = only or list(PARTS)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as folder, console.status("starting") as status:
        home = Path(folder)
        parts = {
            "idle": lambda: idle.measure(rounds, status.update, program=ministack, home=home),
            "containers": lambda: containers.measure(rounds, status.update, program=ministack, home=home),
            "calls": lambda: calls.measure(rounds, status.update, program=ministack, home=home),
            "growth": lambda: growth.measure(rounds, status.update, home=home),
            "logs": lambda: logs.measure(rounds, status.update, home=home, events=log_events),
        }
        for part in wanted:
            measured = parts[part]()
            console.print(rendered(measured))
            rows += measured
            out.with_suffix(".md").write_text(as_markdown(rows))
            out.write_text(json.dumps({"cores": os.cpu_count(), "rounds": rounds, "rows": as_json(rows)}, indent=1))
    if len(wanted) > 1:
        console.print(rendered(rows))
    console.print(f"{os.cpu_count()} cores, medians of {rounds}; every sample is in {out}")


if __name__ == "__main__":
    app()
