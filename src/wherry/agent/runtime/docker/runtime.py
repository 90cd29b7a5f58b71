"""The Docker runtime: tasks as containers of a Docker Engine on this host.

What it made is found again by label and name, never by memory, so an agent that died at any point carries on.
Needs asyncio, since aiodocker does, and root, for namespaces, netlink and cgroups.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import anyio

from wherry.agent.disks import Disks
from wherry.agent.faults.kernel import NamespaceFaults
from wherry.agent.logs.stream import Line
from wherry.agent.runtime.base import (
    Access,
    Capacity,
    ExecRequest,
    Image,
    Observed,
    PullBehavior,
    RuntimeFault,
    RuntimeUnavailableError,
    Storage,
    Usage,
)
from wherry.agent.runtime.docker import disk, translate
from wherry.agent.runtime.docker.containers import Containers
from wherry.agent.runtime.docker.copies import Copies
from wherry.agent.runtime.docker.engine import Engine, EngineError, engine_url
from wherry.agent.runtime.docker.execution import DockerExecution, end_left_over, executed
from wherry.agent.runtime.docker.images import Images
from wherry.agent.runtime.docker.samples import Samples
from wherry.agent.runtime.docker.sandboxes import SandboxChoice, Sandboxes
from wherry.agent.runtime.docker.volumes import Volumes, without
from wherry.agent.runtime.together import together
from wherry.agent.sandbox import cgroups, files, names
from wherry.agent.spec import ContainerSpec, Eni, TaskSpec
from wherry.model.filesystems import FileSystems

# Not "create", which the agent knows of, nor those of exec sessions: health checks would wake it for nothing.
_EVENTS = ["start", "die", "oom", "health_status", "destroy"]


class DockerRuntime:
    """Runs the tasks of one agent; an async context manager. See `wherry.agent.runtime.base.Runtime`."""

    def __init__(
        self,
        *,
        instance: str,
        state_dir: Path,
        url: str | None = None,
        sandbox: SandboxChoice = "auto",
        file_systems: FileSystems = MappingProxyType({}),
        host_paths: tuple[str, ...] = (),
        ports_for_tasks: tuple[int, ...] = (),
    ) -> None:
        """Serve the agent called `instance`; no I/O happens yet.

        `state_dir` holds files that containers mount and must be a path of the engine's host. `url` is the engine's,
        by default DOCKER_HOST. `sandbox` "auto" is "namespace" if the engine knows the OCI runtime, else "pause".
        `file_systems` tells what EFS volumes are on this host, `host_paths` below which paths tasks may mount,
        `ports_for_tasks` which ports of the endpoints' address they are to reach, whatever the host's rules.
        """
        self.instance = names.checked_instance(instance)
        self._state_dir = state_dir
        self._url = url or engine_url()
        self._choice = sandbox
        self._file_systems = file_systems
        self._host_paths = host_paths
        self._ports_for_tasks = ports_for_tasks

    async def __aenter__(self) -> Self:
        starts = anyio.CapacityLimiter(2 * (os.cpu_count() or 1))
        self._engine = Engine(self._url)
        self._images = Images(self._engine, self._state_dir / "pulled-images.json")
        self._sandboxes = Sandboxes(
            self._engine,
            instance=self.instance,
            url=self._url,
            choice=self._choice,
            ports_for_tasks=self._ports_for_tasks,
            starts=starts,
        )
        self._containers = Containers(
            self._engine,
            self._images,
            instance=self.instance,
            starts=starts,
            unhurried=self._sandboxes.unhurried,
        )
        self._samples = Samples(self._engine, instance=self.instance)
        self._copies = Copies(self._engine, instance=self.instance)
        self._disks = Disks(self._state_dir / "volumes")
        self._volumes = Volumes(
            self._engine,
            instance=self.instance,
            file_systems=self._file_systems,
            host_paths=self._host_paths,
            disks=self._disks,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._engine.close()

    async def capacity(self) -> Capacity:
        """Tell what the host has."""
        info = await self._engine.info()
        return Capacity(
            cpu=info["NCPU"] * 1024,
            memory_mib=info["MemTotal"] // cgroups.MIB,
            engine_version=info["ServerVersion"],
            architecture=info["Architecture"],
        )

    async def ensure_sandbox(self, task: TaskSpec) -> None:
        """Make the task's cgroup, network namespace, ENI and disks, whatever of it is missing."""
        await self._sandboxes.ensure(task)
        await self._disks.ensure(task)

    async def hold_limits(self, task: TaskSpec) -> None:
        """Have the limits of a task in force that is there already, whatever a killed agent left of them."""
        await self._sandboxes.hold(task)

    async def creates_ahead(self, task: TaskSpec) -> bool:
        """Say whether the agent owns the namespace: a pause container must be there to be joined."""
        return await self._sandboxes.creates_ahead(task)

    async def remove_sandbox(self, task_arn: str, eni: Eni | None) -> None:  # noqa: ARG002  the link's name says enough
        """Take down what `ensure_sandbox` made; nothing of the task is left on the host."""
        await self._remove_sandbox(task_arn.rsplit("/", 1)[-1])

    async def sandboxes(self) -> frozenset[str]:
        """List the task ids that have any part of a sandbox of this agent."""
        found = await self._sandboxes.listed()
        return frozenset(found | self._disks.listed() | {path.name for path in self._state_dir.glob("tasks/*")})

    async def pull(self, image: str, behavior: PullBehavior, access: Access | None = None) -> Image:
        """Bring the image to the host as `behavior` says."""
        return await self._images.pull(image, behavior, access)

    async def create(self, task: TaskSpec, container: ContainerSpec) -> str:
        """Create the container, or find the one already created; return its runtime id."""
        if task.eni is None:
            raise RuntimeFault("CannotCreateContainerError", "the task has no ENI")
        binds = files.write_for(container, task.eni, self._files(task.task_id) / container.name)
        if container.mounts:
            binds = [*without(binds, container), *await self._volumes.ensure(task, container)]
        place = await self._sandboxes.place(task, container, (*binds, *container.host_binds))
        image = self._images.local_name(container.image)
        body = translate.create_body(task, container, place, instance=self.instance) | {"Image": image}
        return await self._containers.create(self._name(task, container), task, body)

    async def start(self, runtime_id: str) -> None:
        """Start a created container. One that has already run is not run again, nor one that failed to start."""
        await self._containers.start(runtime_id)

    async def restart(self, runtime_id: str) -> None:
        """Start a container again that has exited: what admitted it to its namespace is still there."""
        await self._containers.restart(runtime_id)

    async def stop(self, runtime_id: str, *, timeout: float) -> None:  # noqa: ASYNC109  the container's, not the call's
        """Send the image's stop signal, after `timeout` seconds SIGKILL; return when it has exited."""
        await self._containers.stop(runtime_id, timeout=timeout)

    async def remove(self, runtime_id: str) -> None:
        """Remove the container and its anonymous volumes."""
        await self._containers.remove(runtime_id)
        self._samples.forget(runtime_id)

    async def remove_volumes(self, task_arn: str) -> None:
        """Remove the volumes that were the task's alone."""
        await self._volumes.remove(task_arn)

    async def storage_used(self, task: TaskSpec) -> int:
        """Tell how many bytes of disk the task has written."""
        called = [self._name(task, one) for one in task.containers]
        own = await self._volumes.of(task.arn) if task.has_own_volumes else []
        return await disk.written(self._engine, called, own)

    async def volumes(self) -> frozenset[str]:
        """List the ARNs of tasks that have volumes of their own."""
        return await self._volumes.listed()

    async def containers(self) -> list[Observed]:
        """List every task container of this agent, whatever its state."""
        return await self._containers.observed([entry["Id"] for entry in await self._containers.listed()])

    async def containers_of(self, task: TaskSpec) -> list[Observed]:
        """Look up the containers of one task, by their names: the engine searches all it has for a label."""
        called = [self._name(task, one) for one in task.containers]
        return [one for one in await self._containers.observed(called) if one.task_arn == task.arn]

    async def events(self) -> AsyncIterator[str]:
        """Yield the ARN of a task each time something happened to one of its containers."""
        # The engine may have restarted.
        self._sandboxes.distrust()
        wanted = translate.filters(
            type=["container"],
            event=_EVENTS,
            label=[f"{translate.LABEL_INSTANCE}={self.instance}", translate.LABEL_TASK],
        )
        # "since" closes the gap between the call and the engine's listening to it.
        params = {"filters": wanted, "since": f"{time.time():.9f}"}
        try:
            async with self._engine.stream("GET", "events", params=params) as messages:
                async for message in messages:
                    yield message["Actor"]["Attributes"][translate.LABEL_TASK]
        except (RuntimeUnavailableError, EngineError):
            return

    async def usage(self, runtime_id: str) -> Usage | None:
        """Sample a running container; None if it is not running. Network figures are the whole task's."""
        return await self._samples.usage(runtime_id)

    async def logged(self, task_arn: str, name: str, *, since: float) -> list[Line] | None:
        """Read the engine's own copy of what a container has written; None if the container is not there."""
        return await self._copies.lines(task_arn, name, since=since)

    async def faults(self, task: TaskSpec) -> NamespaceFaults:
        """Tell and change the faults in a task's network."""
        return NamespaceFaults(await self._sandboxes.open(task))

    def execute(self, runtime_id: str, request: ExecRequest) -> AbstractAsyncContextManager[DockerExecution]:
        """Execute a command in a running container; leaving ends it."""
        return executed(self._engine, runtime_id, request)

    async def end_executions(self) -> None:
        """End the commands that an earlier life of this agent has left running."""
        await end_left_over(self._engine, [entry["Id"] for entry in await self._containers.listed()])

    async def inspect(self, runtime_id: str) -> dict[str, Any] | None:
        """Describe a container; None if there is none."""
        return await self._containers.inspect(runtime_id)

    async def stats(self, runtime_id: str) -> dict[str, Any] | None:
        """Sample a running container as the engine does; None if it is not running."""
        return await self._samples.stats(runtime_id)

    async def storage(self) -> Storage:
        """Tell how full the file system of the engine's directory is."""
        root = await self._sandboxes.root()
        try:
            found = await anyio.to_thread.run_sync(shutil.disk_usage, root)
        except OSError as error:
            raise RuntimeUnavailableError(f"{root} cannot be looked at: {error.strerror}") from error
        return Storage(utilized=found.used // cgroups.MIB, reserved=found.total // cgroups.MIB)

    async def remove_everything(self, *, is_alone: Callable[[], bool] = lambda: False) -> int:
        """Remove all containers and sandboxes of this agent at once, for `wherry down`.

        What agents share goes as well if this one `is_alone` on the host, and no ENI is left of another's.
        Returns the number of task containers. What the agent keeps elsewhere in its state directory is left alone.
        """
        found = await self._containers.listed(role=None)
        await together(self.remove, [entry["Id"] for entry in found])
        await together(self._volumes.remove, await self._volumes.listed())
        await together(self._remove_sandbox, await self.sandboxes())
        await self._sandboxes.clear(is_alone=is_alone)
        return sum(entry["Labels"].get(translate.LABEL_ROLE) == translate.ROLE_TASK for entry in found)

    async def _remove_sandbox(self, task_id: str) -> None:
        await self._sandboxes.remove(task_id)
        await self._disks.remove(task_id)
        shutil.rmtree(self._files(task_id), ignore_errors=True)

    def _files(self, task_id: str) -> Path:
        return self._state_dir / "tasks" / task_id

    def _name(self, task: TaskSpec, container: ContainerSpec) -> str:
        return translate.container_name(task, container.name, instance=self.instance)
