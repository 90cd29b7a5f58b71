"""What must hold at every single commit, whatever happens: checked on the bell, while the commit is still warm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from wherry.api.ecs import service_views
from wherry.control.plan import census, texts
from wherry.control.plan.census import Clock, Health
from wherry.model.instance import ContainerInstance
from wherry.model.network import NetworkInterface
from wherry.model.service import DeploymentStatus, Service, ServiceStatus
from wherry.model.task import DesiredStatus, StopCode, Task, TaskStatus
from wherry.settings import Timing
from wherry.store import Store, Tx, placing

if TYPE_CHECKING:
    from tests.component.cluster import Machine

_SERVICE_RANK = {status: rank for rank, status in enumerate(ServiceStatus)}


class Rules:
    """Listens to the bell and writes down what was broken; a listener must not raise."""

    def __init__(self, store: Store, clock: Callable[[], float], timing: Timing) -> None:
        self.broken: list[str] = []
        self.commits = 0
        self._store, self._clock, self._timing = store, clock, timing
        self.fewest_healthy: dict[str, int] = {}
        self.most_living: dict[str, int] = {}
        self._tasks: dict[str, Task] = {}
        self._services: dict[str, Service] = {}

    def hear(self, keys: frozenset[tuple[str, str]]) -> None:
        self.commits += 1
        self._store._read(lambda tx: self._check(tx, keys))

    def forget_extremes(self) -> None:
        """Begin anew to watch how few healthy and how many living tasks each service has."""
        self.fewest_healthy, self.most_living = {}, {}

    def _check(self, tx: Tx, keys: frozenset[tuple[str, str]]) -> None:
        before = {key: self._tasks[key] for kind, key in keys if kind == "task" and key in self._tasks}
        after = {key: task for kind, key in keys if kind == "task" and (task := tx.get(Task, key)) is not None}
        for arn, task in after.items():
            self._check_task(tx, before.get(arn), task)
        for kind, key in keys:
            if kind == "service" and (service := tx.get(Service, key)) is not None:
                self._check_service(tx, service, before, after)
        for instance_arn in {t.container_instance_arn for a, t in after.items() if _just_placed(before.get(a), t)}:
            self._check_room(tx, instance_arn)
        for arn in before.keys() - after.keys():
            del self._tasks[arn]
        self._tasks |= after

    def _say(self, sentence: str) -> None:
        self.broken.append(f"{self._clock():.1f}: {sentence}")

    def _check_task(self, tx: Tx, before: Task | None, task: Task) -> None:
        """Statuses only climb; a task keeps its host; it has an interface exactly while it has a place."""
        if before is not None:
            if task.last_status.rank < before.last_status.rank:
                self._say(f"{task.task_arn} went back from {before.last_status} to {task.last_status}")
            if before.desired_status is DesiredStatus.STOPPED and task.desired_status is DesiredStatus.RUNNING:
                self._say(f"{task.task_arn} was to stop, and is to run again")
            if before.container_instance_arn not in (None, task.container_instance_arn):
                self._say(f"{task.task_arn} moved")
            for old, new in zip(before.containers, task.containers, strict=True):
                if new.last_status.rank < old.last_status.rank or old.exit_code not in (None, new.exit_code):
                    self._say(f"{task.task_arn}: container {old} became {new}")
        interfaces = tx.count(NetworkInterface, task_arn=task.task_arn)
        if interfaces != (task.container_instance_arn is not None and not task.is_stopped):
            self._say(f"{task.task_arn} is {task.last_status} and has {interfaces} interfaces")

    def _check_room(self, tx: Tx, instance_arn: str | None) -> None:
        """No host is given more than it has."""
        instance = tx.get(ContainerInstance, instance_arn or "")
        on_it = tx.find(Task, container_instance_arn=instance_arn, last_status=placing.ALIVE)
        if (
            instance is None
            or instance.cpu < sum(t.cpu for t in on_it)
            or instance.memory < sum(t.memory for t in on_it)
        ):
            self._say(f"{instance_arn} was given more than it has")

    def _check_service(self, tx: Tx, service: Service, before: dict[str, Task], after: dict[str, Task]) -> None:
        known = self._services.get(service.service_arn)
        same = known is not None and known.created_at == service.created_at
        if known is not None and same and _SERVICE_RANK[service.status] < _SERVICE_RANK[known.status]:
            self._say(f"{service.service_arn} went back from {known.status} to {service.status}")
        self._services[service.service_arn] = service
        self._check_picture(tx, service)
        if service.status is ServiceStatus.ACTIVE:
            own = {arn: task for arn, task in after.items() if task.service_arn == service.service_arn}
            self._check_limits(tx, service, before, own)

    def _check_limits(self, tx: Tx, service: Service, before: dict[str, Task], own: dict[str, Task]) -> None:
        """Nothing is started above the ceiling; nothing healthy or protected is stopped below the floor."""
        limits = census.limits(service)
        clock = Clock(now=self._clock(), timing=self._timing, grace=service.health_check_grace_period_seconds or 0)
        living = [t for t in tx.find(Task, service_arn=service.service_arn, counted=False) if census.lives(t)]
        if own.keys() - self._tasks.keys() and len(living) > limits.upper:
            self._say(f"{service.service_name} has {len(living)} tasks, allowed are {limits.upper}")
        dismissed = [before[arn] for arn, task in own.items() if arn in before and _dismissed(before[arn], task)]
        healthy = sum(census.health(task, clock) is Health.HEALTHY for task in living)
        name = service.service_name
        self.fewest_healthy[name] = min(healthy, self.fewest_healthy.get(name, healthy))
        self.most_living[name] = max(len(living), self.most_living.get(name, 0))
        if any(census.health(task, clock) is Health.HEALTHY for task in dismissed) and healthy < limits.lower:
            self._say(f"{service.service_name} was left with {healthy} healthy tasks, the floor is {limits.lower}")
        if any(task.protected(self._clock()) for task in dismissed):
            self._say(f"{service.service_name} lost a protected task")

    def _check_picture(self, tx: Tx, service: Service) -> None:
        """What DescribeServices shows agrees with the tasks, and with itself."""
        seen = service_views.view(service_views.picture(tx, service))
        running = tx.count(Task, service_arn=service.service_arn, last_status=TaskStatus.RUNNING)
        pending = tx.count(Task, service_arn=service.service_arn, last_status=service_views.PENDING)
        shown = seen["deployments"]
        if (seen["runningCount"], seen["pendingCount"]) != (running, pending):
            self._say(f"{service.service_name} shows other counts than it has tasks")
        if service.status is ServiceStatus.INACTIVE:
            return
        if [d["status"] for d in shown].count(DeploymentStatus.PRIMARY) != 1:
            self._say(f"{service.service_name} has not one PRIMARY deployment: {[d['status'] for d in shown]}")
        sums = [sum(d[count] for d in shown) for count in ("runningCount", "pendingCount")]
        if sums != [running, pending]:
            self._say(f"{service.service_name}: deployments show {sums}, tasks are {[running, pending]}")

    def check_machines(self, machines: Iterable[Machine]) -> None:
        """No container ran twice, on one machine or on two."""
        starts: Counter[str] = Counter()
        for machine in machines:
            starts.update(machine.starts)
        doubled = [container for container, times in starts.items() if times > 1]
        if doubled:
            self._say(f"containers ran more than once: {doubled}")


def _just_placed(before: Task | None, task: Task) -> bool:
    return task.container_instance_arn is not None and (before is None or before.container_instance_arn is None)


def _dismissed(before: Task, task: Task) -> bool:
    """Tell whether the scheduler stopped a task for no fault of its own."""
    return (
        before.desired_status is DesiredStatus.RUNNING
        and task.desired_status is DesiredStatus.STOPPED
        and task.stop_code is StopCode.SERVICE_SCHEDULER_INITIATED
        and task.stopped_reason != texts.FAILED_HEALTH_CHECKS
    )
