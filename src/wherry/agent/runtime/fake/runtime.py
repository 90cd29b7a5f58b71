"""The fake runtime: what an agent does to the fake machine, as it would to a Docker Engine."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.lowlevel

from wherry.agent.logs.stream import Line
from wherry.agent.runtime.base import (
    Access,
    Capacity,
    ContainerGoneError,
    ContainerState,
    ExecRequest,
    Image,
    Observed,
    PullBehavior,
    RuntimeFault,
    RuntimeUnavailableError,
    Storage,
    Usage,
)
from wherry.agent.runtime.fake import documents
from wherry.agent.runtime.fake.engine import Container, Engine
from wherry.agent.runtime.fake.execution import FakeExecution, executed
from wherry.agent.runtime.fake.faults import FakeFaults
from wherry.agent.spec import ContainerSpec, Eni, ManagedVolume, TaskSpec, TaskVolume

DISK_GIB = 100
"""How large the disk of the machine is; one GiB of it is taken."""


class FakeRuntime:
    """What an agent called `instance` sees of a fake machine. See `wherry.agent.runtime.base.Runtime`."""

    def __init__(self, engine: Engine, *, instance: str = "fake") -> None:
        """Use the machine, which other agents may share."""
        self._engine = engine
        self.instance = instance
        self._pulled: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def capacity(self) -> Capacity:
        """Tell what the machine has."""
        return (await self._reach()).capacity

    async def ensure_sandbox(self, task: TaskSpec) -> None:
        """Remember the task, its ENI and its disks; an address belongs to one task of the machine."""
        engine = await self._reach()
        key = (self.instance, task.task_id)
        for other, eni in engine.sandboxes.items():
            if other != key and eni and task.eni and eni.ipv4_address == task.eni.ipv4_address:
                raise RuntimeFault(
                    "ResourceInitializationError", f"address {eni.ipv4_address} cannot be given to a task: it is in use"
                )
        engine.sandboxes[key] = task.eni
        if key in engine.disks:
            return
        for volume in task.managed_volumes:
            taken = sum(disk.size_gib for disks in engine.disks.values() for disk in disks)
            if taken + volume.size_gib >= DISK_GIB:
                message = f"volume {volume.id} cannot be made: there is no room for {volume.size_gib} GiB"
                raise RuntimeFault("ResourceInitializationError", message)
            engine.disks[key] = (*engine.disks.get(key, ()), volume)

    async def hold_limits(self, task: TaskSpec) -> None:  # noqa: ARG002  there are none
        """Reach the engine, as every call must."""
        await self._reach()

    async def creates_ahead(self, task: TaskSpec) -> bool:  # noqa: ARG002  all tasks are alike here
        """Say that containers are created whenever it is convenient."""
        return True

    async def remove_sandbox(self, task_arn: str, eni: Eni | None) -> None:  # noqa: ARG002  known by the task
        """Forget the task's ENI, its faults, and its disks but for those that are to be kept."""
        engine, key = await self._reach(), (self.instance, task_arn.rsplit("/", 1)[-1])
        engine.sandboxes.pop(key, None)
        engine.faults.pop(key, None)
        engine.kept += [disk.id for disk in engine.disks.pop(key, ()) if disk.keep]

    async def sandboxes(self) -> frozenset[str]:
        """List the task ids that have a sandbox of this agent."""
        engine = await self._reach()
        return frozenset(
            task_id for instance, task_id in (*engine.sandboxes, *engine.disks) if instance == self.instance
        )

    async def pull(self, image: str, behavior: PullBehavior, access: Access | None = None) -> Image:
        """Pull as the image's script says."""
        engine = await self._reach()
        script = engine.script(image)
        cached = image in engine.images
        skip = behavior is PullBehavior.PREFER_CACHED or (behavior is PullBehavior.ONCE and image in self._pulled)
        if not (cached and skip):
            engine.pulls.append(image)
            if access is not None:
                engine.logins.append(await access.login())
            await anyio.sleep(script.pull_seconds)
            await self._reach()
            if not script.pull_error:
                engine.images.add(image)
                self._pulled.add(image)
            elif not (cached and behavior is PullBehavior.DEFAULT):
                raise RuntimeFault("CannotPullContainerError", script.pull_error)
        return Image(id="sha256:" + hashlib.sha256(image.encode()).hexdigest(), digest=script.digest)

    async def create(self, task: TaskSpec, container: ContainerSpec) -> str:
        """Create the container, or find the one already created."""
        engine = await self._reach()
        runtime_id = self._id(task, container)
        if runtime_id not in engine.containers:
            if container.image not in engine.images:
                raise RuntimeFault("CannotCreateContainerError", f"No such image: {container.image}")
            script = engine.script(container.image)
            if script.create_error:
                raise RuntimeFault("CannotCreateContainerError", script.create_error)
            own = TaskVolume | ManagedVolume
            if any(isinstance(task.volume(mount.volume).source, own) for mount in container.mounts):
                engine.volumes.add((self.instance, task.arn))
            engine.containers[runtime_id] = Container(
                runtime_id, owner=self.instance, task=task, spec=container, script=script, now=engine.clock()
            )
        return runtime_id

    async def start(self, runtime_id: str) -> None:
        """Start a created container; one that has run, or failed to start, is not started again."""
        engine = await self._reach()
        container = engine.containers.get(runtime_id)
        if container is None:
            raise ContainerGoneError(runtime_id)
        if container.state is not ContainerState.CREATED:
            return
        await anyio.sleep(container.script.start_seconds)
        await self._reach()
        container.error = container.error or container.script.start_error
        if container.error:
            raise RuntimeFault("CannotStartContainerError", container.error)
        if container.state is ContainerState.CREATED:
            engine.run(container)

    async def restart(self, runtime_id: str) -> None:
        """Run the script of a container once more that has exited."""
        engine = await self._reach()
        container = engine.containers.get(runtime_id)
        if container is None:
            raise ContainerGoneError(runtime_id)
        if container.script.start_error:
            raise RuntimeFault("CannotStartContainerError", container.script.start_error)
        if container.state is ContainerState.EXITED:
            container.ended, container.exit_code, container.finished_at = anyio.Event(), None, None
            engine.run(container)

    async def stop(self, runtime_id: str, *, timeout: float) -> None:  # noqa: ASYNC109  the container's, not the call's
        """Stop the container: at once, or after `timeout` seconds with 137 if its script ignores the signal."""
        engine = await self._reach()
        container = engine.containers.get(runtime_id)
        if container is None or container.state is not ContainerState.RUNNING:
            return
        if not container.script.ignore_stop:
            engine.end(container, container.script.stop_exit_code)
            return
        with anyio.move_on_after(timeout):
            await container.ended.wait()
        await self._reach()
        engine.end(container, 137)

    async def remove(self, runtime_id: str) -> None:
        """Remove the container, running or not."""
        engine = await self._reach()
        container = engine.containers.pop(runtime_id, None)
        if container is not None:
            engine.end(container, 137)
            engine.tell(container)

    async def remove_volumes(self, task_arn: str) -> None:
        """Forget the task's volumes, which no container may hold any more."""
        engine = await self._reach()
        if any(container.task.arn == task_arn and self._owns(container) for container in engine.containers.values()):
            raise RuntimeFault("CannotRemoveVolumeError", "volume is in use")
        engine.volumes.discard((self.instance, task_arn))

    async def storage_used(self, task: TaskSpec) -> int:
        """Add up what the scripts of the task's containers say that they write."""
        engine = await self._reach()
        own = (one for one in engine.containers.values() if one.task.arn == task.arn and self._owns(one))
        return sum(container.script.writes for container in own)

    async def volumes(self) -> frozenset[str]:
        """List the tasks that have volumes of their own."""
        engine = await self._reach()
        return frozenset(arn for instance, arn in engine.volumes if instance == self.instance)

    async def containers(self) -> list[Observed]:
        """List every container of this agent."""
        engine = await self._reach()
        own = [container for container in engine.containers.values() if self._owns(container)]
        return sorted((container.observed() for container in own), key=lambda one: (one.task_arn, one.name))

    async def containers_of(self, task: TaskSpec) -> list[Observed]:
        """Look up the containers of one task, as many others as there may be."""
        engine = await self._reach()
        found = (engine.containers.get(self._id(task, one)) for one in task.containers)
        return sorted((one.observed() for one in found if one is not None), key=lambda one: one.name)

    async def events(self) -> AsyncIterator[str]:
        """Yield the ARN of a task each time something happened to one of its containers."""
        if not self._engine.available:
            return
        with self._engine.listen() as happened:
            async for container in happened:
                if self._owns(container):
                    yield container.task.arn

    async def logged(self, task_arn: str, name: str, *, since: float) -> list[Line] | None:  # noqa: ARG002
        """Tell that containers of a script write nothing."""
        there = [one for one in await self.containers() if one.task_arn == task_arn and one.name == name]
        return [] if there else None

    async def usage(self, runtime_id: str) -> Usage | None:
        """Sample a running container: a hundredth of a core, one MiB."""
        engine = await self._reach()
        container = engine.containers.get(runtime_id)
        if container is None or container.state is not ContainerState.RUNNING or container.started_at is None:
            return None
        limit = container.spec.memory or engine.capacity.memory_mib * 2**20
        return Usage(cpu_seconds=(engine.clock() - container.started_at) / 100, memory=2**20, memory_limit=limit)

    @asynccontextmanager
    async def execute(self, runtime_id: str, request: ExecRequest) -> AsyncIterator[FakeExecution]:
        """Execute a command in a running container; leaving ends it."""
        container = (await self._reach()).containers.get(runtime_id)
        if container is None or container.state is not ContainerState.RUNNING:
            raise RuntimeFault("ExecuteCommandError", f"container {runtime_id} is not running")
        async with executed(request, container.ended) as execution:
            yield execution

    async def faults(self, task: TaskSpec) -> FakeFaults:
        """Tell and change what is noted of a task."""
        engine = await self._reach()
        return FakeFaults(engine.faults.setdefault((self.instance, task.task_id), {}), lacking=engine.lacking)

    async def end_executions(self) -> None:
        """Do nothing: a command ends with the agent that executes it."""
        await self._reach()

    async def inspect(self, runtime_id: str) -> dict[str, Any] | None:
        """Describe a container as Docker would."""
        container = (await self._reach()).containers.get(runtime_id)
        return None if container is None else documents.inspected(container.observed(), container.spec)

    async def stats(self, runtime_id: str) -> dict[str, Any] | None:
        """Sample a running container as Docker would."""
        usage = await self.usage(runtime_id)
        if usage is None:
            return None
        observed = self._engine.containers[runtime_id].observed()
        return documents.stats(observed, usage, now=self._engine.clock())

    async def storage(self) -> Storage:
        """Tell of a disk of 100 GiB, one of which is in use."""
        await self._reach()
        return Storage(utilized=1024, reserved=DISK_GIB * 1024)

    async def remove_everything(self) -> int:
        """Remove all containers and sandboxes of this agent; return the number of containers."""
        found = await self.containers()
        for container in found:
            await self.remove(container.runtime_id)
        for arn in await self.volumes():
            await self.remove_volumes(arn)
        for task_id in await self.sandboxes():
            await self.remove_sandbox(task_id, None)
        return len(found)

    async def _reach(self) -> Engine:
        """Reach the engine, as every call must; a checkpoint, for a call to a real one would wait here."""
        await anyio.lowlevel.checkpoint()
        if not self._engine.available:
            raise RuntimeUnavailableError("the fake engine has crashed")
        return self._engine

    def _id(self, task: TaskSpec, container: ContainerSpec) -> str:
        return hashlib.sha256(f"{self.instance}\n{task.arn}\n{container.name}".encode()).hexdigest()

    def _owns(self, container: Container) -> bool:
        return container.owner == self.instance
