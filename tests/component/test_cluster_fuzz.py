"""Anybody may ask for anything at any time, and anything may die: the rules hold, and peace brings order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import anyio
import pytest
from tests.component.cluster import Cluster, Host, a_cluster
from trio.testing import MockClock

from wherry.agent.link.base import UnreachableError
from wherry.agent.runtime.fake.script import Script
from wherry.model.errors import ApiError
from wherry.model.network import NetworkInterface
from wherry.model.service import Service, ServiceStatus
from wherry.model.task import TaskStatus

pytestmark = pytest.mark.anyio

GOOD = "good:1"
SCRIPTS = {
    "good": Script(pull_seconds=1),
    "slow": Script(pull_seconds=20, start_seconds=10),
    "missing": Script(pull_error="not found"),
    "broken": Script(start_error="no such command"),
    "short": Script(run_for=30, exit_code=1),
    "stubborn": Script(ignore_stop=True),
    "ill": Script(unhealthy_after=60),
    "sickly": Script(healthy_after=20, unhealthy_after=200),
}
NAMES = ("one", "two", "three")


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Chaos:
    """Does random things to a cluster."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.random = Random(seed)
        self.done: list[str] = []
        self.acts: tuple[Callable[[], Awaitable[object]], ...] = (
            *[self.create] * 3,
            *[self.update] * 6,
            *[self.roll_out] * 4,
            self.delete,
            *[self.run_task] * 2,
            *[self.stop_task] * 3,
            self.protect,
            self.stop_deployment,
            *[self.kill_container] * 3,
            *[self.toggle_agent] * 3,
            *[self.toggle_link] * 3,
            *[self.toggle_engine] * 2,
            self.forget_answers,
            self.silence,
            *[self.restart_control_plane] * 3,
        )

    async def act(self) -> None:
        """Do one thing; that it is refused is fine, that it fails is not."""
        act = self.random.choice(self.acts)
        self.done.append(f"{anyio.current_time():.2f} {act.__name__}")
        try:
            await act()
        except UnreachableError:
            return
        except ApiError as error:
            self.done[-1] += f": {error.message}"
            if error.status >= 500:
                raise

    async def peace(self) -> None:
        """Mend everything."""
        for host in self.cluster.hosts:
            host.link.up, host.link.silent, host.link.forgetful = True, False, 0.0
            host.engine.restart()
            await host.kill_agent()
            await host.start_agent()
        await self.cluster.until(self.cluster.all_connected, within=1000)

    @property
    def host(self) -> Host:
        return self.random.choice(self.cluster.hosts)

    def configuration(self) -> dict:
        minimum, maximum = self.random.choice([(100, 200), (50, 100), (0, 100), (50, 150), (100, 150), (75, 300)])
        breaker = {"enable": self.random.random() < 0.4, "rollback": self.random.random() < 0.7}
        return {"minimumHealthyPercent": minimum, "maximumPercent": maximum, "deploymentCircuitBreaker": breaker}

    def definition(self) -> str:
        return self.random.choice(["good", *SCRIPTS])

    async def create(self) -> None:
        wants = {"desiredCount": self.random.randint(0, 4), "deploymentConfiguration": self.configuration()}
        await self.cluster.create(self.random.choice(NAMES), taskDefinition=self.definition(), **wants)

    async def update(self) -> None:
        some = {
            "desiredCount": self.random.randint(0, 5),
            "deploymentConfiguration": self.configuration(),
            "healthCheckGracePeriodSeconds": self.random.choice([0, 100]),
            "taskDefinition": self.definition(),
        }
        chosen = {key: value for key, value in some.items() if self.random.random() < 0.4}
        await self.cluster.update(self.random.choice(NAMES), **chosen)

    async def roll_out(self) -> None:
        await self.cluster.update(
            self.random.choice(NAMES), taskDefinition=self.definition(), forceNewDeployment=self.random.random() < 0.5
        )

    async def delete(self) -> None:
        await self.cluster("DeleteService", service=self.random.choice(NAMES), force=self.random.random() < 0.8)

    async def run_task(self) -> None:
        await self.cluster.run_task(self.definition(), count=self.random.randint(1, 3))

    async def stop_task(self) -> None:
        if tasks := await self.cluster.tasks(last_status=[s for s in TaskStatus if s is not TaskStatus.STOPPED]):
            await self.cluster("StopTask", task=self.random.choice(tasks).task_arn)

    async def protect(self) -> None:
        tasks = [task.task_arn for task in await self.cluster.tasks(last_status="RUNNING") if task.service_arn]
        if tasks:
            chosen = self.random.sample(tasks, min(3, len(tasks)))
            wants = {"protectionEnabled": True, "expiresInMinutes": self.random.randint(1, 20)}
            await self.cluster("UpdateTaskProtection", cluster="default", tasks=chosen, **wants)

    async def stop_deployment(self) -> None:
        name = self.random.choice(NAMES)
        if found := (await self.cluster("ListServiceDeployments", service=name))["serviceDeployments"]:
            arn, stop_type = found[0]["serviceDeploymentArn"], self.random.choice(["ABORT", "ROLLBACK"])
            await self.cluster("StopServiceDeployment", serviceDeploymentArn=arn, stopType=stop_type)

    async def kill_container(self) -> None:
        host = self.host
        if containers := host.running():
            container = self.random.choice(sorted(containers, key=lambda c: c.id))
            host.engine.kill(container.id, exit_code=self.random.randint(0, 255))

    async def toggle_agent(self) -> None:
        host = self.host
        await host.kill_agent()
        if self.random.random() < 0.7:
            await host.start_agent()

    async def toggle_link(self) -> None:
        host = self.host
        if host.link.up:
            await host.link.cut()
        else:
            host.link.up = True

    async def toggle_engine(self) -> None:
        host = self.host
        if host.engine.available:
            host.engine.crash()
        else:
            host.engine.restart()

    async def forget_answers(self) -> None:
        self.host.link.forgetful = self.random.choice([0.0, 0.5])

    async def silence(self) -> None:
        host = self.host
        host.link.silent = not host.link.silent

    async def restart_control_plane(self) -> None:
        await self.cluster.stop_control_plane()
        await anyio.sleep(self.random.choice([0, self.random.uniform(0, 200)]))
        await self.cluster.start_control_plane()


async def pause(random: Random) -> None:
    await anyio.sleep(random.choice([0, 0, 0.02, random.uniform(0, 3), random.uniform(0, 30), random.uniform(0, 300)]))


async def settle(cluster: Cluster) -> None:
    """Give every service what works, and wait until it does."""
    active = [service for service in await cluster.rows(Service) if service.status is ServiceStatus.ACTIVE]
    for service in active:
        protected = [t.task_arn for t in await cluster.tasks(service.service_name, desired_status="RUNNING")]
        for start in range(0, len(protected), 10):
            chunk = protected[start : start + 10]
            await cluster("UpdateTaskProtection", cluster="default", tasks=chunk, protectionEnabled=False)
        # One task between a floor of 100 and a ceiling of 150 percent could not be exchanged at all.
        room = {"minimumHealthyPercent": 100, "maximumPercent": 200}
        wants = {"taskDefinition": GOOD, "forceNewDeployment": True, "deploymentConfiguration": room}
        await cluster.update(service.service_name, **wants)
    for service in active:
        await cluster.steady(service.service_name, within=7200)


async def empty(cluster: Cluster) -> None:
    for service in await cluster.rows(Service):
        if service.status is ServiceStatus.ACTIVE:
            await cluster("DeleteService", service=service.service_name, force=True)
    for task in await cluster.tasks(desired_status="RUNNING"):
        await cluster("StopTask", task=task.task_arn)

    async def over() -> bool:
        return all(task.is_stopped for task in await cluster.tasks())

    await cluster.until(over, within=600)
    await anyio.sleep(100)


@pytest.mark.parametrize("seed", [*range(6), 8])
async def test_after_any_storm_services_are_as_wanted_and_nothing_is_left_over(tmp_path: Path, seed: int) -> None:
    async with a_cluster(tmp_path, agents=2, seed=seed, cpu=4096, memory_mib=8192) as cluster:
        for family, does in SCRIPTS.items():
            checked = {"healthCheck": {"command": ["CMD", "true"]}} if family in {"ill", "sickly"} else {}
            await cluster.register(family, f"fake/{family}", does, container={"stopTimeout": 20, **checked})
        chaos = Chaos(cluster, seed)
        for _ in range(60):
            await chaos.act()
            await pause(chaos.random)
        await chaos.peace()
        await settle(cluster)
        wanted = {task.task_arn for task in await cluster.tasks(desired_status="RUNNING", last_status="RUNNING")}
        assert {c.task.arn for host in cluster.hosts for c in host.running()} >= wanted
        await empty(cluster)
        assert [(host.engine.containers, host.engine.sandboxes) for host in cluster.hosts] == [({}, {})] * 2
        assert await cluster.rows(NetworkInterface) == []
