"""How many durable writes and how many reads the store does in a second.

    python bench/store.py [URL ...]

Each URL is an empty database; without one, a SQLite file in the current directory is made and removed again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Awaitable, Callable

import anyio

from wherry.model.task import Container, Task, TaskStatus
from wherry.store import Store, Tx

SECONDS = 3.0
SERVICES, TASKS_PER_SERVICE = 200, 50

Work = Callable[[int, int], Awaitable[object]]


def task(name: str, *, service: int | None = None) -> Task:
    """Build a task of the usual size: two containers, about 900 bytes of JSON."""
    arn = "arn:aws:ecs:eu-west-1:123456789012"
    containers = tuple(
        Container(container_arn=f"{arn}:container/web/{name}/{part}", name=part, image=f"registry.example/{part}:1")
        for part in ("backend", "frontend")
    )
    return Task(
        task_arn=f"{arn}:task/web/{name}",
        cluster_arn=f"{arn}:cluster/web",
        task_definition_arn=f"{arn}:task-definition/web:1",
        family="web",
        group="service:web",
        service_arn=None if service is None else f"{arn}:service/web/{service}",
        last_status=TaskStatus.RUNNING,
        containers=containers,
        created_at=time.time(),
    )


def fill(tx: Tx) -> None:
    """Write the tasks that are read later."""
    for service in range(SERVICES):
        for n in range(TASKS_PER_SERVICE):
            tx.put(task(f"{service}-{n}", service=service))


async def rate(work: Work, *, at_once: int) -> float:
    """Run `work(worker, n)` over and over with so many workers; return how many were done in a second."""
    done = 0

    async def worker(number: int) -> None:
        nonlocal done
        n = 0
        while True:
            await work(number, n)
            done += 1
            n += 1

    began = time.perf_counter()
    with anyio.move_on_after(SECONDS):
        async with anyio.create_task_group() as group:
            for number in range(at_once):
                group.start_soon(worker, number)
    return done / (time.perf_counter() - began)


async def measure(url: str) -> None:
    """Print the rates of one database."""
    async with Store.open(url) as store:
        await store.write(fill)
        keys = [found.task_arn for found in await store.read(Tx.find, Task, limit=1000)]
        services = [found.service_arn for found in await store.read(Tx.find, Task, limit=1000)]

        async def write(worker: int, n: int) -> None:
            await store.write(Tx.put, task(f"new-{label}-{worker}-{n}"))

        async def get(worker: int, n: int) -> None:
            await store.read(Tx.get, Task, keys[(worker * 97 + n) % len(keys)])

        async def find(worker: int, n: int) -> None:
            await store.read(find_service, services[(worker * 97 + n) % len(services)])

        print(url.split(":", 1)[0])
        for label in (1, 8, 64):
            print(f"  durable writes/s, {label:2} at once: {await rate(write, at_once=label):8,.0f}")
        for label in (1, 8):
            print(f"  reads of one task/s, {label} at once: {await rate(get, at_once=label):8,.0f}")
        print(f"  reads of a service's {TASKS_PER_SERVICE} tasks/s: {await rate(find, at_once=8):8,.0f}")


def find_service(tx: Tx, service_arn: str) -> list[Task]:
    """Read what a service's controller reads."""
    return tx.find(Task, service_arn=service_arn)


if __name__ == "__main__":
    if sys.argv[1:]:
        for each in sys.argv[1:]:
            anyio.run(measure, each)
    else:
        with tempfile.TemporaryDirectory(dir=".", prefix="bench-") as directory:
            anyio.run(measure, f"sqlite:///{directory}/wherry.db")
