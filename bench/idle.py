"""What Wherry costs before it does anything: the time until the first answer, memory, and the CPU of doing nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.lab import a_wherry

from bench.peers import ministack, until
from bench.table import Row

WATCHED = 20.0
"""Seconds for which the idle processes are watched."""
_TICKS = os.sysconf("SC_CLK_TCK")


def measure(rounds: int, say: Callable[[str], None], *, program: Path, home: Path) -> list[Row]:
    """Start both anew in every round; the CPU is watched once, for it is a mean already."""
    starts: dict[str, list[float]] = {"ours": [], "theirs": []}
    sizes: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(1, rounds + 1):
        say(f"starting, round {number} of {rounds}")
        with a_wherry(home / f"start-{number}") as ours:
            began = time.perf_counter()
            ours.start("up")
            until("the first answer", ours.answers)
            starts["ours"].append(time.perf_counter() - began)
            until("the agent", ours.joined)
            sizes["ours"].append(_memory(ours.programs[0].process.pid))
        with ExitStack() as stack:
            began = time.perf_counter()
            theirs = stack.enter_context(ministack(program, home))
            starts["theirs"].append(time.perf_counter() - began)
            sizes["theirs"].append(_memory(theirs.process.pid))
    say(f"watching idle processes for {WATCHED:g} s")
    return [
        Row(
            measure="`wherry up` with an empty data directory → first answered call",
            unit="s",
            ours=starts["ours"],
            others={"MiniStack": starts["theirs"]},
            limits={"absolute": 1.5},
        ),
        Row(
            measure="memory (RSS) of server and agent, idle",
            unit="MB",
            ours=sizes["ours"],
            others={"MiniStack": sizes["theirs"]},
            limits={"absolute": 130},
        ),
        Row(measure="CPU of server and agent, idle", unit="% of a core", ours=_idle(home), limits={"absolute": 1}),
    ]


def _idle(home: Path) -> list[float]:
    with a_wherry(home / "idle") as ours:
        ours.up()
        time.sleep(2)
        return [cpu_share(ours.programs[0].process.pid, WATCHED)]


def cpu_share(pid: int, seconds: float) -> float:
    """Watch a process; returns percent of a core."""
    before = _cpu(pid)
    time.sleep(seconds)
    return 100 * (_cpu(pid) - before) / seconds


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int) -> float:
    """Read a process's resident memory in MB."""
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return resident * os.sysconf("SC_PAGE_SIZE") / 1e6
