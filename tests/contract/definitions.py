"""From the parameters of RegisterTaskDefinition to containers of a real engine, by every step that lies between.

An agent without a control plane carries the tasks through: what it reports is kept, and can be waited for.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiodocker
import anyio
from tests.builders import NOW, SCOPE, Counter
from tests.contract.runtime_lab import leftovers
from tests.images import TEST_IMAGE, ensure_test_image

from wherry.agent.credentials import RoleCredentialsStore
from wherry.agent.journal import Journal
from wherry.agent.link.objects import ObjectError, ObjectStore
from wherry.agent.roster import Roster
from wherry.agent.runner import Surroundings
from wherry.agent.runtime.base import PullBehavior
from wherry.agent.runtime.docker.engine import engine_url
from wherry.agent.runtime.docker.runtime import DockerRuntime
from wherry.agent.runtime.docker.sandboxes import SandboxChoice
from wherry.api.acs.payload import Terms, payload_task
from wherry.api.ecs import overrides, volume_configurations
from wherry.model.birth import new_task
from wherry.model.network import NetworkInterface, Subnet
from wherry.model.protocol.task import PayloadTask
from wherry.model.taskdef_draft import draft
from wherry.model.taskdef_rules import check

FOREVER = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
PATIENCE = 30.0

_numbers = count(4)
_entropy = Counter()


def runs(script: str, *, name: str = "main", **members: Any) -> dict[str, Any]:
    """Describe a container that runs a script and ends with it."""
    return {"name": name, "image": TEST_IMAGE, "command": ["/bin/sh", "-c", script]} | members


def stays(script: str = "", *, name: str = "main", **members: Any) -> dict[str, Any]:
    """Describe a container that runs a script and then waits for its stop signal."""
    return runs(f"{script}\n{FOREVER}", name=name, **members)


def payload(
    *containers: dict[str, Any],
    fargate: bool = False,
    override: dict[str, Any] | None = None,
    configured: list[dict[str, Any]] | None = None,
    **members: Any,
) -> PayloadTask:
    """Register, run and translate a task definition; `configured` are the volumeConfigurations."""
    params = {
        "family": "fields",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE" if fargate else "EC2"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": list(containers),
    } | members
    check(params)
    definition = draft(params).revision(1, scope=SCOPE, now=NOW, registered_by="me")
    changed = overrides.read(override)
    task = new_task(
        definition,
        scope=SCOPE,
        cluster_arn=SCOPE.cluster("default"),
        now=NOW,
        entropy=_entropy,
        group="family:fields",
        launch_type="FARGATE" if fargate else "EC2",
        platform_version="1.4.0" if fargate else None,
        network_configuration=None,
        overrides=changed,
        volume_configurations=volume_configurations.read_launch({"volumeConfigurations": configured}),
        tags=(),
    )
    subnet = Subnet(subnet_id="subnet-a", vpc_id="vpc-1", cidr_block="10.214.0.0/16", availability_zone="us-east-1a")
    return payload_task(
        task,
        definition=definition,
        interface=_interface(next(_numbers), task.task_arn),
        subnet=subnet,
        terms=Terms(region=SCOPE.region, stop_timeout=2),
    )


def _interface(number: int, task_arn: str) -> NetworkInterface:
    return NetworkInterface(
        network_interface_id=f"eni-{number:017x}",
        attachment_id=f"00000000-0000-4000-9000-{number:012x}",
        subnet_id="subnet-a",
        vpc_id="vpc-1",
        availability_zone="us-east-1a",
        private_ip_address=f"10.214.{number >> 8}.{number & 255}",
        mac_address=f"0a:00:00:01:{number >> 8:02x}:{number & 255:02x}",
        security_group_ids=(),
        task_arn=task_arn,
    )


class Listener:
    """A control plane that takes every report and does nothing else."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.parameters: dict[str, str] = {}

    async def call(self, operation: str, parameters: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        if operation == "GetParameters":
            found = [{"Name": name, "Value": self.parameters[name]} for name in parameters["Names"]]
            return {"Parameters": found, "InvalidParameters": []}
        if operation == "SubmitTaskStateChange":
            self.reports.append(dict(parameters))
        return {"acknowledgment": "ACK"}

    async def connect(self, endpoint: str, query: Mapping[str, str]) -> Any:
        raise NotImplementedError(endpoint, query)


class Bucket:
    """An object store in a dictionary, by ARN."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = objects

    async def read(self, arn: str, signer: Any) -> bytes:  # noqa: ARG002  anybody may read
        if arn not in self.objects:
            raise ObjectError("it is not there")
        return self.objects[arn]


class Bench:
    """An agent on the real engine, into which tasks are put, and which may be killed and started again."""

    def __init__(self, runtime: DockerRuntime, docker: aiodocker.Docker, journal: Path) -> None:
        self.runtime = runtime
        self.docker = docker
        self.control_plane = Listener()
        self.options: dict[str, Any] = {}
        self.objects: ObjectStore | None = None
        self.credentials = RoleCredentialsStore()
        self.roster: Roster
        self._journal = journal

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Roster]:
        """Run an agent; at the end it is killed, and its tasks live on for the next one."""
        journal = Journal.open(self._journal)
        around = Surroundings(
            runtime=self.runtime,
            control_plane=self.control_plane,
            journal=journal,
            clock=time.time,
            entropy=os.urandom,
            pull_behavior=PullBehavior.PREFER_CACHED,
            sweep=1,
            objects=self.objects,
            credentials=self.credentials,
        )
        try:
            async with anyio.create_task_group() as group:
                self.roster = Roster(around, stop_timeout=2, **self.options)
                group.start_soon(self.roster.run)
                yield self.roster
                group.cancel_scope.cancel()
        finally:
            journal.close()

    async def run(self, *containers: dict[str, Any], **members: Any) -> PayloadTask:
        """Put a task in; return when it is RUNNING."""
        task = self.begin(*containers, **members)
        await self.told(task, "RUNNING")
        return task

    async def ended(self, *containers: dict[str, Any], **members: Any) -> dict[str, Any]:
        """Put a task in; return the report of its end."""
        return await self.told(self.begin(*containers, **members), "STOPPED")

    def begin(self, *containers: dict[str, Any], **members: Any) -> PayloadTask:
        """Put a task in."""
        task = payload(*containers, **members)
        self.roster.assign([task])
        return task

    async def stop(self, task: PayloadTask) -> dict[str, Any]:
        """Stop a task; return the report of its end."""
        self.roster.stop([task.arn])
        return await self.told(task, "STOPPED")

    async def gone(self, task: PayloadTask) -> bool:
        """Wait until the engine has nothing of a task any more."""
        label = {"label": [f"com.amazonaws.ecs.task-arn={task.arn}"]}

        async def look() -> bool:
            containers = await self.docker.containers.list(all=True, filters=label)
            return not containers and not (await self.docker.volumes.list(filters=label))["Volumes"]

        return bool(await eventually(look))

    async def told(self, task: PayloadTask, status: str) -> dict[str, Any]:
        """Wait for the report that a task has this status; one that has ended before fails."""

        async def look() -> dict[str, Any] | None:
            reports = [one for one in self.control_plane.reports if one["task"] == task.arn]
            found = next((one for one in reports if one["status"] == status), None)
            assert found or not any(one["status"] == "STOPPED" for one in reports), reports
            return found

        found: dict[str, Any] = await eventually(look)
        return found

    async def inspected(self, task: PayloadTask, name: str = "main") -> dict[str, Any]:
        """Ask the engine about a container of a task."""
        labels = [f"com.amazonaws.ecs.task-arn={task.arn}", f"com.amazonaws.ecs.container-name={name}"]
        (found,) = await self.docker.containers.list(all=True, filters={"label": labels})
        return dict(await found.show())

    async def inside(self, task: PayloadTask, command: str, name: str = "main") -> str:
        """Run a shell command in a container of a task; return what it says."""
        runtime_id = (await self.inspected(task, name))["Id"]
        session = await self.docker.containers.container(runtime_id).exec(["/bin/sh", "-c", command])
        said = b""
        async with session.start(detach=False) as stream:
            while (message := await stream.read_out()) is not None:
                said += message.data
        return said.decode()

    async def listens(self, task: PayloadTask) -> None:
        """Wait until a task's first process would notice its stop signal: RUNNING is said as soon as it has begun."""

        async def look() -> bool:
            status = await self.inside(task, "busybox cat /proc/1/status")
            caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
            return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)

        await eventually(look)


def container(report: Mapping[str, Any], name: str = "main") -> dict[str, Any]:
    """Pick a container out of a report."""
    found: dict[str, Any] = next(one for one in report["containers"] if one["containerName"] == name)
    return found


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    """Wait for the first true value of `look`, and not for ever."""
    with anyio.fail_after(PATIENCE):
        while True:
            if value := await look():
                return value
            await anyio.sleep(0.02)


@asynccontextmanager
async def a_bench(tmp_path: Path, *, sandbox: SandboxChoice = "namespace", **runtime: Any) -> AsyncIterator[Bench]:
    """Have an agent on this machine's engine; nothing of it is left afterwards."""
    instance = f"fields-{os.getpid()}"
    async with aiodocker.Docker(engine_url()) as docker:
        await ensure_test_image(docker)
        async with DockerRuntime(instance=instance, state_dir=tmp_path / "own", sandbox=sandbox, **runtime) as engine:
            bench = Bench(engine, docker, tmp_path / "journal.db")
            try:
                yield bench
            finally:
                await engine.remove_everything()
        left = await leftovers(docker, instance)
        assert left == [], left
