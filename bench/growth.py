"""How the control plane's work grows with the number of tasks: flat is an exponent of 1 for the total."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from tests.builders import an_instance
from tests.world import World

from bench.table import Row
from wherry.store import Store, Tx

FEW, MANY = 100, 10_000
LIMIT = 1.1
BOUND_TASKS = 100

Work = Callable[[World, list[str], int], Awaitable[None]]


def measure(rounds: int, say: Callable[[str], None], *, home: Path) -> list[Row]:
    """Do every kind of work with few and with many tasks there, in CPU seconds, with the scheduler's own database."""
    totals: dict[str, dict[int, list[float]]] = {name: {FEW: [], MANY: []} for name in WORKS}
    for number in range(1, rounds + 1):
        for tasks in (FEW, MANY):
            say(f"growth, round {number} of {rounds}: {tasks:,} tasks")
            for name, cost in anyio.run(_costs, tasks, home / f"growth-{number}-{tasks}.db").items():
                totals[name][tasks].append(cost)
    return [
        Row(
            measure=f"{name}: exponent of the total, {FEW:,} to {MANY:,} tasks",
            unit="",
            ours=[exponent(few, many) for few, many in zip(costs[FEW], costs[MANY], strict=True)],
            limits={"absolute": LIMIT},
        )
        for name, costs in totals.items()
    ]


def exponent(few: float, many: float) -> float:
    """Tell with which power of the number of tasks the total grows."""
    return math.log(many / few) / math.log(MANY / FEW)


async def _costs(tasks: int, database: Path) -> dict[str, float]:
    async with Store.open(f"sqlite:///{database}") as store:
        world = await World(store).begin()
        await store.write(_hosts, tasks)
        arns: list[str] = []
        spent = {}
        for name, work in WORKS.items():
            began = time.process_time()
            await work(world, arns, tasks)
            spent[name] = time.process_time() - began
        return spent


def _hosts(tx: Tx, tasks: int) -> None:
    """Have a host for every hundred tasks, as a cluster that grows has."""
    for number in range(1, max(1, tasks // BOUND_TASKS) + 1):
        tx.put(an_instance(number=number, cpu=BOUND_TASKS * 256, memory=BOUND_TASKS * 512))


async def _run(world: World, arns: list[str], tasks: int) -> None:
    for _ in range(tasks // 10):
        answer = await world(
            "RunTask", taskDefinition="web", count=10, launchType="FARGATE", networkConfiguration=world.network
        )
        arns += [task["taskArn"] for task in answer["tasks"]]


async def _describe(world: World, arns: list[str], tasks: int) -> None:
    for first in range(0, tasks, 100):
        await world("DescribeTasks", tasks=arns[first : first + 100])


async def _list(world: World, arns: list[str], tasks: int) -> None:  # noqa: ARG001  it finds them by itself
    token: dict[str, str] = {}
    while True:
        answer = await world("ListTasks", **token)
        if answer.get("nextToken") is None:
            return
        token = {"nextToken": answer["nextToken"]}


async def _stop(world: World, arns: list[str], tasks: int) -> None:
    for arn in arns[:tasks]:
        await world("StopTask", task=arn)


WORKS: dict[str, Work] = {
    "RunTask with its placement": _run,
    "DescribeTasks": _describe,
    "ListTasks": _list,
    "StopTask": _stop,
}
