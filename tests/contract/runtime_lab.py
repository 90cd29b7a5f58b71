"""Where the runtime suite works: each kind of runtime, with containers that do the same in all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiodocker
import anyio
from tests.hierarchies import admitted, cgroups
from tests.images import TEST_IMAGE, ensure_test_image

from wherry.agent.runtime.base import Observed, PullBehavior, Runtime
from wherry.agent.runtime.docker.engine import engine_url
from wherry.agent.runtime.docker.runtime import DockerRuntime
from wherry.agent.runtime.fake.engine import Engine
from wherry.agent.runtime.fake.runtime import FakeRuntime
from wherry.agent.sandbox import eni, names, namespaces
from wherry.agent.spec import ContainerSpec, Eni, TaskSpec

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/default"
FOREVER = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
DEAF = "trap '' TERM; while :; do sleep 1; done"
MISSING = "localhost:1/no/such:image"

_numbers = count(4)


def task(*containers: ContainerSpec, number: int | None = None, **fields: Any) -> TaskSpec:
    """Describe a task with an address that no other task of this process has."""
    number = next(_numbers) if number is None else number
    return TaskSpec(
        arn=f"arn:aws:ecs:eu-west-1:123456789012:task/default/{number:032x}",
        cluster=CLUSTER,
        family="suite",
        version="7",
        containers=containers,
        eni=Eni(
            id=f"eni-{number:017x}",
            attachment_arn=f"arn:aws:ecs:eu-west-1:123456789012:attachment/{number}",
            mac_address=f"0a:00:00:00:{number >> 8:02x}:{number & 255:02x}",
            ipv4_address=f"10.213.{number >> 8}.{number & 255}",
            gateway_cidr="10.213.0.1/16",
            private_dns_name=f"ip-10-213-{number >> 8}-{number & 255}.eu-west-1.compute.internal",
        ),
        **fields,
    )


class Lab:
    """One runtime under test and the words for its containers."""

    def __init__(
        self, runtime: Runtime, *, other: Runtime, containers: Callable[..., ContainerSpec], crash: Any
    ) -> None:
        self.runtime = runtime
        self.other = other
        """Another agent's runtime, on the same engine."""
        self.container = containers
        self.missing = MISSING
        self.crash = crash

    async def started(self, spec: TaskSpec) -> list[str]:
        """Bring a task up; return the runtime ids of its containers."""
        await self.runtime.ensure_sandbox(spec)
        ids = []
        for container in spec.containers:
            await self.runtime.pull(container.image, PullBehavior.PREFER_CACHED)
            ids.append(await self.runtime.create(spec, container))
            await self.runtime.start(ids[-1])
        return ids

    async def until(self, spec: TaskSpec, holds: Callable[[Observed], bool]) -> Observed:
        """Wait until the task's first container is as wanted: on the runtime's events, and not for ever."""
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                changed = anyio.Event()

                async def listen() -> None:
                    nonlocal changed
                    async for _ in self.runtime.events():
                        changed.set()
                        changed = anyio.Event()

                group.start_soon(listen)
                while True:
                    waiting = changed
                    found = (await self.runtime.containers_of(spec))[0]
                    if holds(found):
                        group.cancel_scope.cancel()
                        return found
                    # The health check's log has no event of its own, so look again now and then.
                    with anyio.move_on_after(0.25):
                        await waiting.wait()
        raise AssertionError("not reached")


def fake_container(does: str = "forever", *, name: str = "web", **fields: Any) -> ContainerSpec:
    """Describe a container by its script."""
    images = {
        "forever": "fake/forever",
        "deaf": "fake/deaf?ignore_stop=true",
        "exit-3": "fake/exits?run_for=0&exit_code=3",
        "unstartable": "fake/broken?start_error=no such file or directory",
        "hungry": "fake/hungry?run_for=0&oom=true",
        "sick": "fake/sick?unhealthy_after=0.01&healthy_after=9999",
        "missing": "fake/missing?pull_error=manifest unknown",
    }
    return ContainerSpec(name=name, image=images[does], **fields)


def docker_container(does: str = "forever", *, name: str = "web", **fields: Any) -> ContainerSpec:
    """Describe a container by its command."""
    commands: dict[str, tuple[str, ...]] = {
        "forever": ("/bin/sh", "-c", FOREVER),
        "deaf": ("/bin/sh", "-c", DEAF),
        "exit-3": ("/bin/sh", "-c", "exit 3"),
        "unstartable": ("/no/such/program",),
        "hungry": ("/bin/tail", "/dev/zero"),
        "sick": ("/bin/sh", "-c", FOREVER),
        "missing": (),
        "web": ("/bin/httpd", "-f", "-p", "80", "-h", "/www"),
    }
    if does == "hungry":
        fields.setdefault("memory", 16 * 2**20)
    image = MISSING if does == "missing" else TEST_IMAGE
    return ContainerSpec(name=name, image=image, command=commands[does], **fields)


@asynccontextmanager
async def fake_lab() -> AsyncIterator[Lab]:
    """Open a fake machine with two agents."""
    async with Engine() as engine:
        runtime, other = FakeRuntime(engine, instance="suite"), FakeRuntime(engine, instance="stranger")
        yield Lab(runtime, other=other, containers=fake_container, crash=engine.crash)
        engine.restart()
        await runtime.remove_everything()
        await other.remove_everything()
        assert not engine.containers
        assert not engine.sandboxes
        assert not engine.disks


@asynccontextmanager
async def docker_lab(sandbox: Any, state_dir: Path) -> AsyncIterator[Lab]:
    """Use the machine's engine as two agents; nothing of theirs is left on the host afterwards."""
    docker = aiodocker.Docker(engine_url())
    instance, stranger = f"suite-{sandbox}", f"stranger-{sandbox}"
    try:
        await ensure_test_image(docker)
        async with (
            DockerRuntime(instance=instance, state_dir=state_dir / "own", sandbox=sandbox) as runtime,
            DockerRuntime(instance=stranger, state_dir=state_dir / "other", sandbox=sandbox) as other,
        ):
            try:
                yield Lab(runtime, other=other, containers=docker_container, crash=None)
            finally:
                await runtime.remove_everything()
                await other.remove_everything()
        for name in (instance, stranger):
            assert await leftovers(docker, name) == []
        assert disks_in(state_dir) == []
    finally:
        await docker.close()


async def leftovers(docker: aiodocker.Docker, instance: str) -> list[str]:
    """List whatever of an agent is still on the host."""
    wanted = {"label": [f"wherry.instance={instance}"]}
    found = [one.id for one in await docker.containers.list(all=True, filters=wanted)]
    tasks = {"label": [*wanted["label"], "com.amazonaws.ecs.task-arn"]}
    found += [one["Name"] for one in (await docker.volumes.list(filters=tasks))["Volumes"] or []]
    # Routes go with their link, except those of the subnets, which go with the host's last link.
    routes = (await anyio.run_process(["ip", "route", "show", "proto", "87"])).stdout.decode().splitlines()
    return found + left_in_kernel(instance) + (routes if not eni.listed() else [])


def disks_in(folder: Path) -> list[Path]:
    """List the disks of tasks below a folder; those that were kept are files."""
    return [path for path in folder.glob("*/volumes/*") if path.is_dir()]


def left_in_kernel(instance: str) -> list[str]:
    """List the links, namespaces, cgroups and admissions of an agent."""
    found = [link for link, alias in eni.listed().items() if names.task_of_alias(instance, alias)]
    found += [name for name in namespaces.listed("wherry-") if names.task_of_namespace(instance, name)]
    found += [str(path) for path in cgroups(f"wherry/{instance}")]
    return found + admitted(instance)
