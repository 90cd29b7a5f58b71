"""What Wherry costs before it does anything: the time until the first answer, memory, and the CPU of doing nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.lab import Cluster, a_wherry

from bench.peers import ministack, until
from bench.simulated import simulated
from bench.table import Row

WATCHED = 60.0
"""Seconds for which idle processes are watched: two sweeps, whenever it begins."""
SERVICES = 1000
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
        Row(
            measure=f"CPU with {SERVICES:,} idle services of one simulated task, sweeps included",
            unit="% of a core",
            ours=_idle_services(home, say),
            limits={"absolute": 5},
        ),
    ]


def _idle(home: Path) -> list[float]:
    with a_wherry(home / "idle") as ours:
        ours.up()
        time.sleep(2)
        return [cpu_share(ours.programs[0].process.pid)]


def _idle_services(home: Path, say: Callable[[str], None]) -> list[float]:
    with simulated(home / "services", WHERRY_HEALTHY_AFTER="1") as (wherry, agent):
        cluster = Cluster(wherry)
        cluster.register("idle", {"name": "main", "image": "fake/idle"})
        for number in range(SERVICES):
            cluster.serve(f"idle-{number}", "idle", 1)
            say(f"{number + 1:,} of {SERVICES:,} services")
        until("all to run", lambda: _running(cluster) == SERVICES, pause=1)
        time.sleep(WATCHED)
        say(f"watching {SERVICES:,} idle services")
        return [cpu_share(wherry.programs[0].process.pid, agent.pid)]


def _running(cluster: Cluster) -> int:
    (described,) = cluster.ecs.describe_clusters(clusters=["default"])["clusters"]
    return int(described["runningTasksCount"])


def cpu_share(*pids: int) -> float:
    """Watch processes for a while; returns percent of a core, of all together."""
    before = sum(map(_cpu, pids))
    time.sleep(WATCHED)
    return 100 * (sum(map(_cpu, pids)) - before) / WATCHED


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int) -> float:
    """Read a process's resident memory in MB."""
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return resident * os.sysconf("SC_PAGE_SIZE") / 1e6
