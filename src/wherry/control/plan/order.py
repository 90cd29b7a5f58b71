"""Which tasks go first when there are too many."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from wherry.model.task import Task, TaskStatus


def scale_in(classes: Sequence[Sequence[Task]], *, everyone: Iterable[Task]) -> Iterator[Task]:
    """Yield the tasks of `classes` in the order in which they should go.

    One class after the other; within each first what is not RUNNING, then from the zone with the most tasks of the
    service, there from the instance with the most, there the newest. `everyone` are the service's living tasks, which
    weigh the zones and instances.
    """
    zones = Counter(task.availability_zone for task in everyone)
    for tasks in classes:
        for task in _newest_first(task for task in tasks if task.last_status is not TaskStatus.RUNNING):
            yield task
            zones[task.availability_zone] -= 1
        yield from _by_weight([task for task in tasks if task.last_status is TaskStatus.RUNNING], zones)


def _by_weight(tasks: Sequence[Task], zones: Counter[str | None]) -> Iterator[Task]:
    shelves: dict[str | None, dict[str | None, list[Task]]] = defaultdict(lambda: defaultdict(list))
    for task in sorted(tasks, key=_age):
        shelves[task.availability_zone][task.container_instance_arn].append(task)
    while shelves:
        zone = max(shelves, key=lambda name: (zones[name], name or ""))
        hosts = shelves[zone]
        host = max(hosts, key=lambda name: (len(hosts[name]), name or ""))
        yield hosts[host].pop()
        zones[zone] -= 1
        if not hosts[host]:
            del hosts[host]
        if not hosts:
            del shelves[zone]


def _newest_first(tasks: Iterable[Task]) -> list[Task]:
    return sorted(tasks, key=_age, reverse=True)


def _age(task: Task) -> tuple[float, str]:
    return task.created_at, task.task_arn
