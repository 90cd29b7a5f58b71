"""A service in a world of dictionaries: tasks start, run, fail and die as a test says, and the scheduler answers.

Every plan is carried out by the real applier, and checked against what must never happen, as it is made.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs
from tests.builders import DIGEST, NOW, SCOPE, Counter, a_container_definition, a_service, a_task_definition

from wherry.control.apply import Applier, World
from wherry.control.plan.actions import Plan, StartTasks
from wherry.control.plan.service import plan
from wherry.control.services import load
from wherry.model import rollout
from wherry.model import task as tasks
from wherry.model.service import (
    CircuitBreaker,
    Deployment,
    DeploymentConfiguration,
    DeploymentStatus,
    RolloutState,
    Service,
    ServiceEvent,
    ServiceStatus,
)
from wherry.model.task import DesiredStatus, HealthStatus, StopCode, Task, TaskStatus
from wherry.model.taskdef import HealthCheck
from wherry.settings import Timing

TIMING = Timing()
KEYS = {
    "Service": "service_arn",
    "Deployment": "deployment_id",
    "ServiceRevision": "service_revision_arn",
    "Task": "task_arn",
    "TaskDefinition": "task_definition_arn",
    "ServiceEvent": "id",
}


class Rows:
    """The part of a transaction that the scheduler uses, over dictionaries."""

    def __init__(self) -> None:
        self.tables: dict[type, dict[str, Any]] = {}

    def get(self, type_: type, key: str) -> Any:
        return self.tables.get(type_, {}).get(key)

    def find(self, type_: type, *, order: tuple[str, ...] = (), limit: int | None = None, **equals: Any) -> list[Any]:
        def fits(row: Any) -> bool:
            return all(
                getattr(row, k) in v if isinstance(v, tuple) else getattr(row, k) == v for k, v in equals.items()
            )

        found = [row for row in self.tables.get(type_, {}).values() if fits(row)]
        return sorted(found, key=lambda row: [getattr(row, column) for column in order])[:limit]

    def count(self, type_: type, **equals: Any) -> int:
        return len(self.find(type_, **equals))

    def put(self, row: Any) -> Any:
        key = getattr(row, KEYS[type(row).__name__])
        table = self.tables.setdefault(type(row), {})
        assert (table[key].version if key in table else 0) == row.version, f"stale {key}"
        table[key] = structs.replace(row, version=row.version + 1)
        return table[key]

    def delete(self, row: Any) -> None:
        del self.tables[type(row)][getattr(row, KEYS[type(row).__name__])]


class ServiceWorld:
    """One service, its tasks, and the time."""

    def __init__(
        self, *, desired: int = 2, checks: bool = False, created: bool = True, capacity: int = 10_000, **config: Any
    ) -> None:
        self.now = NOW
        self.entropy = Counter()
        self.rows = Rows()
        self.checks = checks
        self.capacity = capacity
        self.wake_at: float | None = None
        service = a_service(desired_count=desired, deployment_configuration=DeploymentConfiguration(**config))
        self.arn = service.service_arn
        self.rows.put(service)
        self.revisions = 0
        if created:
            self.roll()

    # What users do

    @property
    def service(self) -> Service:
        return self.rows.get(Service, self.arn)

    def update(self, **changes: Any) -> None:
        self.rows.put(structs.replace(self.service, **changes))

    def configure(self, **changes: Any) -> None:
        self.update(deployment_configuration=structs.replace(self.service.deployment_configuration, **changes))

    def breaker(self, **changes: Any) -> None:
        self.configure(deployment_circuit_breaker=CircuitBreaker(enable=True, **changes))

    def roll(self) -> Deployment:
        """Do what UpdateService with a new task definition does."""
        self.revisions += 1
        check = HealthCheck(command=("CMD", "true")) if self.checks else None
        definition = a_task_definition(
            revision=self.revisions, container_definitions=(a_container_definition(health_check=check),)
        )
        self.rows.put(definition)
        self.update(task_definition=definition.task_definition_arn)
        given = {"scope": SCOPE, "entropy": self.entropy, "now": self.now}
        previous = self.rows.find(Deployment)
        revision = rollout.new_revision(self.service, **given)
        made = rollout.new_deployment(self.service, revision, previous=previous, **given)
        for row in (*rollout.supersede(previous, self.now), revision, made):
            self.rows.put(row)
        return self.rows.get(Deployment, made.deployment_id)

    def delete(self) -> None:
        self.update(status=ServiceStatus.DRAINING, desired_count=0)

    # What can be seen

    @property
    def tasks(self) -> list[Task]:
        return self.rows.find(Task)

    @property
    def living(self) -> list[Task]:
        return [
            t
            for t in self.tasks
            if t.desired_status is DesiredStatus.RUNNING and t.last_status.rank <= 3  # RUNNING
        ]

    @property
    def healthy(self) -> list[Task]:
        return [t for t in self.living if self._well(t)]

    def _well(self, task: Task) -> bool:
        if task.last_status is not TaskStatus.RUNNING:
            return False
        if self.checks:
            return task.health_status is HealthStatus.HEALTHY
        return task.started_at is not None and self.now >= task.started_at + TIMING.healthy_after

    @property
    def deployments(self) -> list[Deployment]:
        """What DescribeServices shows, newest first."""
        shown = [d for d in self.rows.find(Deployment) if d.status is not DeploymentStatus.INACTIVE]
        return sorted(shown, key=lambda d: -d.created_at)

    @property
    def primary(self) -> Deployment:
        return next(d for d in self.deployments if d.status is DeploymentStatus.PRIMARY)

    @property
    def said(self) -> list[str]:
        events = sorted(self.rows.find(ServiceEvent), key=lambda e: e.sequence)
        return [event.message.removeprefix("(service web) ") for event in events]

    def of(self, deployment: Deployment) -> list[Task]:
        return [t for t in self.living if t.service_revision_arn == deployment.service_revision_arn]

    # What happens to tasks

    def change(self, task: Task, **changes: Any) -> Task:
        return self.rows.put(structs.replace(self.rows.get(Task, task.task_arn), **changes))

    def place(self, task: Task, zone: str = "a", host: str = "host") -> None:
        if task.container_instance_arn is None and not task.is_stopped:
            moved = tasks.advance(task, TaskStatus.PENDING, now=self.now)
            self.rows.put(structs.replace(moved, container_instance_arn=host, availability_zone=zone))

    def run(self, task: Task) -> None:
        self.place(task)
        current = self.rows.get(Task, task.task_arn)
        ran = tasks.advance(current, TaskStatus.RUNNING, now=self.now)
        named = tuple(structs.replace(c, image_digest=DIGEST) for c in ran.containers)
        self.rows.put(structs.replace(ran, containers=named))

    def judge(self, task: Task, health: HealthStatus) -> None:
        since = self.now if health is HealthStatus.HEALTHY else None
        self.change(task, health_status=health, healthy_since=since)

    def end(self, task: Task) -> None:
        """Let a task stop, by itself or because it was told to."""
        current = self.rows.get(Task, task.task_arn)
        ran = current.started_at is not None
        code = StopCode.ESSENTIAL_CONTAINER_EXITED if ran else StopCode.TASK_FAILED_TO_START
        stopped = tasks.advance(current, TaskStatus.STOPPED, now=self.now)
        self.rows.put(
            structs.replace(stopped, desired_status=DesiredStatus.STOPPED, stop_code=current.stop_code or code)
        )

    def later(self, seconds: float) -> None:
        self.now += seconds

    # What the scheduler does

    def look(self) -> Plan:
        """Plan once and carry it out."""
        snapshot = load(self.rows, self.arn)
        decided = plan(snapshot, now=self.now, timing=TIMING)
        before = _Before(self)
        world = World(scope=SCOPE, entropy=self.entropy, now=self.now, repeat=TIMING.event_repeat)
        applier = Applier(self.rows, snapshot, world)
        for action in decided.actions:
            applier.apply(action)
        before.check(decided)
        self.wake_at = decided.wake_at
        return decided

    def schedule(self) -> None:
        """Look until there is nothing to do at this moment."""
        for _ in range(40):
            if not self.look().actions:
                return
        raise AssertionError(f"spins: {self.look()}")

    def tick(self, *, checks: HealthStatus = HealthStatus.HEALTHY) -> None:
        """Let everything that is under way arrive, schedule, and go on to the next moment that matters."""
        present = [task for task in self.tasks if not task.is_stopped]
        placed = sum(task.container_instance_arn is not None for task in present)
        for task in present:
            if task.desired_status is DesiredStatus.STOPPED:
                self.end(task)
            elif task.container_instance_arn is None and placed >= self.capacity:
                self.change(task, placement_reason="no room")
            elif task.last_status is not TaskStatus.RUNNING:
                placed += task.container_instance_arn is None
                self.run(task)
            elif self.checks and task.health_status is not HealthStatus.HEALTHY:
                self.judge(task, checks)
        self.schedule()
        if self.wake_at is not None:
            self.now = max(self.now, self.wake_at)
            self.schedule()
        else:
            self.later(1)

    def settle(self, ticks: int = 60) -> None:
        """Let time pass, with everything going well, until the service is as desired."""
        for _ in range(ticks):
            self.tick()
            if self.settled:
                return
        raise AssertionError(f"does not converge: {self.said[-5:]}")

    @property
    def settled(self) -> bool:
        if self.service.status is not ServiceStatus.ACTIVE:
            return self.service.status is ServiceStatus.INACTIVE
        return (
            len(self.deployments) == 1
            and self.primary.rollout_state is RolloutState.COMPLETED
            and len(self.healthy) == len(self.living) == self.service.desired_count
            and all(t.is_stopped for t in self.tasks if t.desired_status is DesiredStatus.STOPPED)
        )


class _Before:
    """What was, to hold what is against it."""

    def __init__(self, world: ServiceWorld) -> None:
        self.world = world
        self.tasks = {t.task_arn: t for t in world.tasks}
        self.deployments = {d.deployment_id: d for d in world.rows.find(Deployment)}
        self.healthy = {t.task_arn for t in world.healthy}

    def check(self, decided: Plan) -> None:
        world, service = self.world, self.world.service
        lower, upper = bounds(service)
        draining = service.status is not ServiceStatus.ACTIVE
        lost = self.healthy - {t.task_arn for t in world.living}
        if lost and not draining:
            assert len(world.healthy) >= lower, "below the floor"
        starts = [action for action in decided.actions if isinstance(action, StartTasks)]
        if starts:
            assert not draining, "a deleted service starts tasks"
            assert len(world.living) <= upper, "above the ceiling"
        for start in starts:
            deployment = self.deployments[start.deployment_id]
            assert deployment.rollout_state is not RolloutState.FAILED, "a failed deployment starts tasks"
            if deployment.status is not DeploymentStatus.PRIMARY:
                assert deployment.rollout_state is RolloutState.COMPLETED, "an unproven revision is restored"
        self._check_ladders()
        if not draining:
            shown = [d.status for d in world.deployments]
            assert shown.count(DeploymentStatus.PRIMARY) == 1, "not exactly one PRIMARY"

    def _check_ladders(self) -> None:
        world = self.world
        order = list(DeploymentStatus)
        for old in self.deployments.values():
            new = world.rows.get(Deployment, old.deployment_id)
            assert order.index(new.status) >= order.index(old.status), "a deployment's status went back"
            if old.rollout_state is not RolloutState.IN_PROGRESS:
                assert new.rollout_state is old.rollout_state, "a rollout state went back"
            if old.desired_count is not None:
                assert new.desired_count <= old.desired_count, "an old deployment grew"
        for old in self.tasks.values():
            new = world.rows.get(Task, old.task_arn)
            assert new.last_status.rank >= old.last_status.rank, "lastStatus went back"
            assert not (old.desired_status is DesiredStatus.STOPPED and new.desired_status is DesiredStatus.RUNNING)
            stopped_now = new.desired_status is not old.desired_status
            if stopped_now and old.protected(world.now) and world.service.status is ServiceStatus.ACTIVE:
                assert new.stopped_reason == "Task failed container health checks", "a protected task was stopped"
            assert not (old.counted and not new.counted)
            assert new.counted is False or old.is_stopped, "counted before it stopped"


def bounds(service: Service) -> tuple[int, int]:
    """Floor and ceiling, in the words of the API reference."""
    config, desired = service.deployment_configuration, service.desired_count
    lower, rest = divmod(desired * config.minimum_healthy_percent, 100)
    return lower + (rest > 0), desired * config.maximum_percent // 100
