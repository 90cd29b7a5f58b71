"""A whole cluster in one process and in virtual time: control plane, agents and machines, each of which may die.

Everything is real but the containers and the network: the store, the controllers, the API behind the wire's checks, the
sessions of ACS and TCS, and the agents with their journals on disk. A thousand seconds take none.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import anyio
import botocore.session
import pytest
import trio
from anyio.abc import TaskGroup, TaskStatus
from botocore import xform_name
from botocore.waiter import SingleWaiterConfig, WaiterModel
from structlog.testing import capture_logs
from tests.builders import KEYRING, NO_LOGS, NOW, SCOPE
from tests.component.cluster_plane import Link, Plane
from tests.component.cluster_rules import Rules
from tests.sums import sums_as_kept, sums_as_they_should_be

from wherry.agent.agent import run_agent
from wherry.agent.journal import Journal
from wherry.agent.options import AgentOptions
from wherry.agent.runtime.base import ContainerState
from wherry.agent.runtime.fake.engine import Engine
from wherry.agent.runtime.fake.runtime import FakeRuntime
from wherry.agent.runtime.fake.script import Script
from wherry.api.context import Context
from wherry.api.ec2 import defaults
from wherry.model.instance import ContainerInstance
from wherry.model.service import ServiceEvent
from wherry.model.task import Task
from wherry.settings import Settings, Timing
from wherry.store import Store

REAL_PATIENCE = 60.0
"""Seconds of real time after which a wait is given up: something turns without time passing."""


def clock() -> float:
    return NOW + anyio.current_time()


class Machine(Engine):
    """A fake machine that remembers how often each container was started; `scripts` is shared by all."""

    def __init__(self, scripts: dict[str, Script], **capacity: Any) -> None:
        super().__init__(clock=clock, **capacity)
        self.scripts = scripts
        self.starts: Counter[str] = Counter()

    def run(self, container: Any) -> None:
        self.starts[container.id] += 1
        super().run(container)


class Host:
    """A machine, its link, and the agent that may be running on it."""

    def __init__(self, cluster: Cluster, path: Path, options: AgentOptions, **capacity: Any) -> None:
        self.engine = Machine(cluster.scripts, **capacity)
        self.link = Link(lambda: cluster.plane, cluster.random)
        self.options = options
        self._cluster = cluster
        self._path = path
        self._agent: anyio.CancelScope | None = None
        self._ended = anyio.Event()

    async def start_agent(self) -> None:
        self._ended = anyio.Event()
        await self._cluster.group.start(self._live)

    async def kill_agent(self) -> None:
        """End the agent wherever it is; its containers go on."""
        scope, self._agent = self._agent, None
        if scope is not None:
            scope.cancel()
            await self._ended.wait()

    async def _live(self, *, task_status: TaskStatus[None]) -> None:
        journal = Journal.open(self._path)
        # Agents are killed here, machines are not: no need to wait for the disk.
        journal._connection.execute("PRAGMA synchronous = OFF")
        try:
            with anyio.CancelScope() as self._agent:
                task_status.started()
                await run_agent(
                    runtime=FakeRuntime(self.engine),
                    control_plane=self.link,
                    journal=journal,
                    options=self.options,
                    clock=clock,
                    entropy=self._cluster.random.randbytes,
                )
        finally:
            journal.close()
            self._ended.set()

    def running(self) -> list[Any]:
        return [c for c in self.engine.containers.values() if c.state is ContainerState.RUNNING]

    def container_of(self, task_arn: str) -> Any:
        """Find the one container of a task."""
        [found] = [c for c in self.engine.containers.values() if c.task.arn == task_arn]
        return found


class Cluster:
    """The control plane of a region, and the hosts of its pool."""

    def __init__(self, store: Store, group: TaskGroup, path: Path, *, settings: Settings, seed: int) -> None:
        self.store, self.group, self.path = store, group, path
        self.random = Random(seed)
        self.ctx = Context(
            store=store,
            logs=NO_LOGS,
            settings=settings,
            scope=SCOPE,
            clock=clock,
            entropy=Random(seed + 1).randbytes,
            keyring=KEYRING,
        )
        self.plane = Plane(self.ctx)
        self.hosts: list[Host] = []
        self.scripts: dict[str, Script] = {}
        self.forgetful = 0.0
        self.subnets: list[str] = []
        self.machines = AsyncExitStack()
        self.rules = Rules(store, clock, settings.timing)
        self._news = anyio.Event()

    async def begin(self) -> None:
        now, entropy = clock(), self.ctx.entropy
        await self.store.write(defaults.seed, scope=SCOPE, vpc_cidr=None, entropy=entropy, now=now)
        await self.group.start(self.plane.run)
        self.subnets = [s["SubnetId"] for s in (await self("DescribeSubnets", of="ec2"))["Subnets"]]

    async def add_host(self, *, zones: tuple[str, ...] = (), **capacity: Any) -> Host:
        """Add a machine (of `cpu` and `memory_mib`) whose agent joins the pool; returns when it is connected."""
        options = AgentOptions(availability_zones=zones)
        host = Host(self, self.path / f"host-{len(self.hosts)}" / "journal.db", options, **capacity)
        host.link.forgetful = self.forgetful
        await self.machines.enter_async_context(host.engine)
        self.hosts.append(host)
        await host.start_agent()
        await self.until(self.all_connected)
        return host

    async def stop_control_plane(self) -> None:
        await self.plane.kill()

    async def start_control_plane(self) -> None:
        self.plane = Plane(self.ctx)
        await self.group.start(self.plane.run)

    async def restart_control_plane(self) -> None:
        await self.stop_control_plane()
        await self.start_control_plane()

    async def __call__(self, operation: str, *, of: str = "ecs", **params: Any) -> dict[str, Any]:
        return await self.plane.call(of, operation, params)

    async def until(self, condition: Callable[[], Awaitable[object]], *, within: float = 3600) -> None:
        """Wait until the condition holds, `within` so many virtual seconds; it is asked at every commit."""
        deadline, real = anyio.current_time() + within, time.monotonic() + REAL_PATIENCE
        while True:
            self._news = anyio.Event()
            if await condition():
                return
            if anyio.current_time() >= deadline or time.monotonic() > real:
                pytest.fail(f"It did not happen within {within} s. {await self.portrait()}")
            with anyio.move_on_after(min(1.0, deadline - anyio.current_time())):
                await self._news.wait()

    async def boto3_waits(self, waiter: str, **params: Any) -> None:
        """Wait as boto3 does: the same questions at the same times, judged by the same acceptors."""
        config = _waiter(waiter)
        for _ in range(config.max_attempts):
            answer = await self(config.operation, **params)
            state = next((a.state for a in config.acceptors if a.matcher_func(answer)), "retry")
            assert state != "failure", answer
            if state == "success":
                return
            await anyio.sleep(config.delay)
        pytest.fail(f"{waiter} gave up. {await self.portrait()}")

    async def all_connected(self) -> bool:
        found = await self.rows(ContainerInstance)
        return sum(instance.agent_connected for instance in found) == len(self.hosts)

    async def rows(self, type_: type[Any], **equals: Any) -> list[Any]:
        return await self.store.read(lambda tx: tx.find(type_, **equals))

    async def tasks(self, service: str | None = None, **equals: Any) -> list[Task]:
        """Read tasks, of a service of the default cluster or all; the oldest first."""
        only = {} if service is None else {"service_arn": SCOPE.service("default", service)}
        return sorted(await self.rows(Task, **only, **equals), key=lambda task: (task.created_at, task.task_arn))

    async def rows_of_task(self, arn: str) -> list[Task]:
        return [task for task in await self.tasks() if task.task_arn == arn]

    async def register(
        self, family: str = "web", image: str = "fake/web", does: Script | None = None, **changes: Any
    ) -> str:
        """Register a definition of one container, which does as `does` says wherever its image runs from now on."""
        if does is not None:
            self.scripts[image] = does
        container = {"name": "app", "image": image} | changes.pop("container", {})
        given = {
            "family": family,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [container],
        }
        answer = await self("RegisterTaskDefinition", **given | changes)
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    @property
    def network(self) -> dict[str, Any]:
        return {"awsvpcConfiguration": {"subnets": self.subnets}}

    async def create(self, name: str = "web", **changes: Any) -> dict[str, Any]:
        given = {
            "serviceName": name,
            "taskDefinition": "web",
            "desiredCount": 2,
            "launchType": "FARGATE",
            "networkConfiguration": self.network,
        }
        return (await self("CreateService", **given | changes))["service"]

    async def update(self, name: str = "web", **changes: Any) -> dict[str, Any]:
        return (await self("UpdateService", service=name, **changes))["service"]

    async def describe(self, name: str = "web") -> dict[str, Any]:
        return (await self("DescribeServices", services=[name]))["services"][0]

    async def run_task(self, family: str = "web", **changes: Any) -> dict[str, Any]:
        given = {"taskDefinition": family, "launchType": "FARGATE", "networkConfiguration": self.network}
        return await self("RunTask", **given | changes)

    async def steady(self, name: str = "web", *, within: float = 3600) -> None:
        """Wait until the service's one deployment has completed and all its tasks run."""

        async def steady() -> bool:
            service = await self.describe(name)
            [*deployments] = service["deployments"]
            return (
                len(deployments) == 1
                and deployments[0]["rolloutState"] == "COMPLETED"
                and service["runningCount"] == service["desiredCount"]
                and service["pendingCount"] == 0
            )

        await self.until(steady, within=within)

    async def said(self, name: str = "web") -> list[str]:
        """Read the events of a service without its name, the oldest first."""
        found = await self.rows(ServiceEvent, service_arn=SCOPE.service("default", name))
        texts = [event.message for event in sorted(found, key=lambda event: event.sequence)]
        return [text.removeprefix(f"(service {name}) ") for text in texts]

    async def portrait(self) -> str:
        """Describe what there is, for a test that fails."""
        names = [arn.rsplit("/", 1)[-1] for arn in (await self("ListServices", maxResults=10))["serviceArns"]]
        lines = [f"{anyio.current_time():.1f} s"]
        for name in names:
            seen = await self.describe(name)
            lines += [f"{name}: {seen['desiredCount']} wanted", *(str(d) for d in seen["deployments"])]
            lines += (await self.said(name))[-5:]
        lines += [
            f"{t.task_arn[-6:]} {t.last_status} {t.desired_status} {t.stopped_reason}" for t in await self.tasks()
        ]
        return "\n".join(lines)

    def hear(self, _: object) -> None:
        self._news.set()


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Have trio wake tasks in an order that only the seed decides, so that what failed once fails again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        patch.setattr(trio._core._run, "_r", Random(seed))
        yield


@asynccontextmanager
async def a_cluster(
    path: Path, *, agents: int = 1, seed: int = 0, timing: Timing | None = None, **capacity: Any
) -> AsyncIterator[Cluster]:
    """Run a cluster in which no rule is broken and nothing is logged as an error, or fail; `path` is a directory."""
    settings = Settings(timing=timing or Timing())
    with capture_logs() as logs, deterministic(seed):
        async with Store.open("sqlite://") as store, anyio.create_task_group() as group:
            cluster = Cluster(store, group, path, settings=settings, seed=seed)
            rules = cluster.rules
            with store.bell.subscribe(rules.hear), store.bell.subscribe(cluster.hear):
                await cluster.begin()
                async with cluster.machines:
                    for _ in range(agents):
                        await cluster.add_host(**capacity)
                    yield cluster
                    for host in cluster.hosts:
                        await host.kill_agent()
                    await cluster.stop_control_plane()
                    for host in cluster.hosts:
                        await host.link.cut()
                    rules.check_machines(host.engine for host in cluster.hosts)
            assert await store.read(sums_as_kept) == await store.read(sums_as_they_should_be)
    errors = [str(log) for log in logs if log["log_level"] in {"error", "critical"}]
    if broken := rules.broken + errors:
        pytest.fail("\n".join(broken))


@cache
def _waiter(name: str) -> SingleWaiterConfig:
    model: WaiterModel = WaiterModel(botocore.session.get_session().get_data("ecs/2014-11-13/waiters-2"))
    return model.get_waiter(next(known for known in model.waiter_names if xform_name(known) == name))
