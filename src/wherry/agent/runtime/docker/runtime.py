"""The Docker runtime: tasks as containers of a Docker Engine on this host.

What it made is found again by label and name, never by memory, so an agent that died at any point carries on.
Needs asyncio, since aiodocker does, and root, for namespaces, netlink and cgroups.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self

import anyio
import msgspec

from wherry.agent.faults.kernel import NamespaceFaults
from wherry.agent.logs.faults import unanswered
from wherry.agent.logs.stream import Line
from wherry.agent.runtime.base import (
    Access,
    Capacity,
    ContainerGoneError,
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
from wherry.agent.runtime.docker.copies import Copies
from wherry.agent.runtime.docker.engine import GONE, UNBOUNDED, Engine, EngineError, engine_url, is_local
from wherry.agent.runtime.docker.execution import DockerExecution, end_left_over, executed
from wherry.agent.runtime.docker.images import Images
from wherry.agent.runtime.docker.owners import NamespaceSandbox, PauseSandbox, Sandbox, admit, dismiss
from wherry.agent.runtime.docker.registration import RUNTIME
from wherry.agent.runtime.docker.samples import Samples
from wherry.agent.runtime.docker.volumes import Volumes, without
from wherry.agent.runtime.together import together
from wherry.agent.sandbox import cgroups, eni, files, firewall, link_local, names, namespaces
from wherry.agent.spec import ContainerSpec, Eni, TaskSpec
from wherry.model.filesystems import FileSystems

SandboxChoice = Literal["auto", "namespace", "pause"]

# Health checks run as exec sessions, whose own events would wake the agent for nothing.
_UNANSWERED_STARTS, _UNANSWERED_PAUSE = 20, 0.5
"""How often a container is started whose log driver finds nobody, and the seconds between: this agent has just come."""
_EVENTS = ["create", "start", "die", "oom", "health_status", "destroy"]


class _Host(msgspec.Struct, frozen=True, kw_only=True):
    """What was found when the engine was first met; `paused` are the tasks that had a pause container then."""

    hierarchy: cgroups.Hierarchy
    registered: bool
    by_namespace: bool
    root: Path
    paused: frozenset[str]
    namespace: NamespaceSandbox
    pause: PauseSandbox


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
        self._starts = anyio.CapacityLimiter(2 * (os.cpu_count() or 1))
        self._reads = anyio.CapacityLimiter(16)
        self._setup = anyio.Lock()
        self._host: _Host | None = None
        self._forwarding = False
        self._digests: dict[tuple[str, str], str | None] = {}

    async def __aenter__(self) -> Self:
        self._engine = Engine(self._url)
        self._images = Images(self._engine, self._state_dir / "pulled-images.json")
        self._samples = Samples(self._engine, instance=self.instance)
        self._copies = Copies(self._engine, instance=self.instance)
        self._volumes = Volumes(
            self._engine, instance=self.instance, file_systems=self._file_systems, host_paths=self._host_paths
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._engine.close()

    async def capacity(self) -> Capacity:
        """Tell what the host has."""
        info = await self._info()
        return Capacity(
            cpu=info["NCPU"] * 1024,
            memory_mib=info["MemTotal"] // cgroups.MIB,
            engine_version=info["ServerVersion"],
            architecture=info["Architecture"],
        )

    async def ensure_sandbox(self, task: TaskSpec) -> None:
        """Make the task's cgroup, network namespace and ENI, whatever of it is missing."""
        if task.eni is None or task.network_mode != "awsvpc":
            raise RuntimeFault(
                "ResourceInitializationError",
                f"this agent runs tasks in network mode awsvpc with an ENI only, not {task.network_mode}",
            )
        host = await self._known()
        await self._check_reach(host)
        await cgroups.ensure(host.hierarchy, self.instance, task)
        try:
            async with self._starts:
                namespace = await self._sandbox(host, task).open(task)
            await eni.attach(
                task.eni,
                namespace=namespace,
                link=names.link(self.instance, task.task_id),
                alias=names.link_alias(self.instance, task.task_id),
            )
        except OSError as error:
            raise RuntimeFault("ResourceInitializationError", f"network of the task: {error}") from error

    async def creates_ahead(self, task: TaskSpec) -> bool:
        """Say whether the agent owns the namespace: a pause container must be there to be joined."""
        host = await self._known()
        return self._sandbox(host, task) is host.namespace

    async def remove_sandbox(self, task_arn: str, eni: Eni | None) -> None:  # noqa: ARG002  the link's name says enough
        """Take down what `ensure_sandbox` made; nothing of the task is left on the host."""
        await self._remove_parts(task_arn.rsplit("/", 1)[-1])

    async def sandboxes(self) -> frozenset[str]:
        """List the task ids that have any part of a sandbox of this agent."""
        host = await self._known()
        try:
            found = cgroups.listed(host.hierarchy, self.instance)
            for owner in (host.namespace, host.pause):
                found |= await owner.listed()
        except OSError as error:
            raise RuntimeUnavailableError(f"this host's sandboxes cannot be listed: {error}") from error
        aliases = (names.task_of_alias(self.instance, alias) for alias in eni.listed().values())
        found |= {task_id for task_id in aliases if task_id is not None}
        return frozenset(found | {path.name for path in self._state_dir.glob("tasks/*")})

    async def pull(self, image: str, behavior: PullBehavior, access: Access | None = None) -> Image:
        """Bring the image to the host as `behavior` says."""
        return await self._images.pull(image, behavior, access)

    async def create(self, task: TaskSpec, container: ContainerSpec) -> str:
        """Create the container, or find the one already created; return its runtime id."""
        if task.eni is None:
            raise RuntimeFault("CannotCreateContainerError", "the task has no ENI")
        name = translate.container_name(task, container.name, instance=self.instance)
        host = await self._known()
        binds = files.write_for(container, task.eni, self._state_dir / "tasks" / task.task_id / container.name)
        if container.mounts:
            binds = [*without(binds, container), *await self._volumes.ensure(task, container)]
        binds += container.host_binds
        place = self._sandbox(host, task).place(
            task,
            cgroup_parent=cgroups.parent(host.hierarchy, self.instance, task.task_id),
            binds=tuple(binds),
        )
        if container.network_disabled:
            place = msgspec.structs.replace(place, network_mode="none", runtime=None, hostname=None)
        image = self._images.local_name(container.image)
        body = translate.create_body(task, container, place, instance=self.instance) | {"Image": image}
        while True:
            try:
                async with self._starts:
                    created = await self._engine.call("POST", "containers/create", params={"name": name}, body=body)
                return str(created["Id"])
            except EngineError as error:
                if error.status != 409:
                    raise _fault("CannotCreateContainerError", error) from error
            # Created before, or by a create of ours that is still under way, such as one that outlived its agent.
            existing = await self._inspect(name)
            if existing is not None and not translate.vanishes(existing):
                return self._own(existing, task)
            await anyio.sleep(0.05)

    async def start(self, runtime_id: str) -> None:
        """Start a created container. One that has already run is not run again, nor one that failed to start."""
        inspected = await self._inspect(runtime_id)
        if inspected is None or translate.vanishes(inspected):
            raise ContainerGoneError(runtime_id)
        state = inspected["State"]
        if state["Status"] != "created":
            return
        if state["Error"] and not unanswered(state["Error"]):
            raise RuntimeFault("CannotStartContainerError", f"Error response from daemon: {state['Error']}")
        if inspected["HostConfig"]["Runtime"] == RUNTIME:
            namespace = names.namespace(self.instance, _task_id(inspected))
            admit(runtime_id, namespaces.DIRECTORY / namespace)
        for attempts_left in reversed(range(_UNANSWERED_STARTS)):
            try:
                async with self._starts:
                    await self._engine.call("POST", f"containers/{runtime_id}/start")
            except EngineError as error:
                if error.status in {404, 409} and GONE.search(error.message):
                    raise ContainerGoneError(runtime_id) from error
                if not attempts_left or not unanswered(error.message):
                    raise _fault("CannotStartContainerError", error) from error
                await anyio.sleep(_UNANSWERED_PAUSE)
            else:
                return

    async def restart(self, runtime_id: str) -> None:
        """Start a container again that has exited: what admitted it to its namespace is still there."""
        try:
            async with self._starts:
                await self._engine.call("POST", f"containers/{runtime_id}/start")
        except EngineError as error:
            raise _fault("CannotStartContainerError", error) from error

    async def stop(self, runtime_id: str, *, timeout: float) -> None:  # noqa: ASYNC109  the container's, not the call's
        """Send the image's stop signal, after `timeout` seconds SIGKILL; return when it has exited."""
        params = {"t": str(math.ceil(timeout))}
        try:
            await self._engine.call("POST", f"containers/{runtime_id}/stop", params=params, patience=UNBOUNDED)
        except EngineError as error:
            if error.status != 404:
                raise _fault("CannotStopContainerError", error) from error

    async def remove(self, runtime_id: str) -> None:
        """Remove the container and its anonymous volumes."""
        try:
            await self._engine.call("DELETE", f"containers/{runtime_id}", params={"force": "1", "v": "1"})
        except EngineError as error:
            # 409: a removal is already in progress.
            if error.status not in {404, 409}:
                raise _fault("CannotRemoveContainerError", error) from error
        dismiss(runtime_id)
        self._samples.forget(runtime_id)

    async def remove_volumes(self, task_arn: str) -> None:
        """Remove the volumes that were the task's alone."""
        await self._volumes.remove(task_arn)

    async def storage_used(self, task: TaskSpec) -> int:
        """Tell how many bytes of disk the task has written."""
        called = [translate.container_name(task, one.name, instance=self.instance) for one in task.containers]
        own = await self._volumes.of(task.arn) if task.has_own_volumes else []
        return await disk.written(self._engine, called, own)

    async def volumes(self) -> frozenset[str]:
        """List the ARNs of tasks that have volumes of their own."""
        return await self._volumes.listed()

    async def containers(self) -> list[Observed]:
        """List every task container of this agent, whatever its state."""
        return await self._observed([entry["Id"] for entry in await self._listing()])

    async def containers_of(self, task: TaskSpec) -> list[Observed]:
        """Look up the containers of one task, by their names: the engine searches all it has for a label."""
        called = [translate.container_name(task, one.name, instance=self.instance) for one in task.containers]
        return [one for one in await self._observed(called) if one.task_arn == task.arn]

    async def events(self) -> AsyncIterator[str]:
        """Yield the ARN of a task each time something happened to one of its containers."""
        # A restarted engine writes its rules anew; make sure that ours are still among them.
        self._forwarding = False
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
        return NamespaceFaults(await self._sandbox(await self._known(), task).open(task))

    def execute(self, runtime_id: str, request: ExecRequest) -> AbstractAsyncContextManager[DockerExecution]:
        """Execute a command in a running container; leaving ends it."""
        return executed(self._engine, runtime_id, request)

    async def end_executions(self) -> None:
        """End the commands that an earlier life of this agent has left running."""
        await end_left_over(self._engine, [entry["Id"] for entry in await self._listing()])

    async def inspect(self, runtime_id: str) -> dict[str, Any] | None:
        """Describe a container; None if there is none."""
        return await self._inspect(runtime_id)

    async def stats(self, runtime_id: str) -> dict[str, Any] | None:
        """Sample a running container as the engine does; None if it is not running."""
        return await self._samples.stats(runtime_id)

    async def storage(self) -> Storage:
        """Tell how full the file system of the engine's directory is."""
        root = (await self._known()).root
        try:
            found = await anyio.to_thread.run_sync(shutil.disk_usage, root)
        except OSError as error:
            raise RuntimeUnavailableError(f"{root} cannot be looked at: {error.strerror}") from error
        return Storage(utilized=found.used // cgroups.MIB, reserved=found.total // cgroups.MIB)

    async def remove_everything(self, *, alone: bool = True) -> int:
        """Remove all containers and sandboxes of this agent at once, for `wherry down`.

        What agents share goes as well if this one was `alone` on the host, and left no ENI of another's.
        Returns the number of task containers. What the agent keeps elsewhere in its state directory is left alone.
        """
        host = await self._known()
        found = await self._listing(role=None)
        await together(self.remove, [entry["Id"] for entry in found])
        await together(self._volumes.remove, await self._volumes.listed())
        await together(self._remove_parts, await self.sandboxes())
        cgroups.remove_empty(host.hierarchy, self.instance)
        if alone and not eni.listed():
            await firewall.remove()
            await anyio.to_thread.run_sync(link_local.remove, names.ENDPOINTS_ADDRESS)
            self._forwarding = False
        return sum(entry["Labels"].get(translate.LABEL_ROLE) == translate.ROLE_TASK for entry in found)

    async def _remove_parts(self, task_id: str) -> None:
        host = await self._known()
        try:
            await eni.detach(names.link(self.instance, task_id))
            for owner in (host.namespace, host.pause):
                await owner.close(task_id)
            await cgroups.remove(host.hierarchy, self.instance, task_id)
        except OSError as error:
            raise RuntimeFault("ResourceInitializationError", f"sandbox of task {task_id}: {error}") from error
        shutil.rmtree(self._state_dir / "tasks" / task_id, ignore_errors=True)

    async def _info(self) -> dict[str, Any]:
        try:
            info: dict[str, Any] = await self._engine.call("GET", "info")
        except EngineError as error:
            raise RuntimeUnavailableError(error.message) from error
        return info

    async def _known(self) -> _Host:
        """Meet the engine once. A runtime registered since is noticed at the agent's next start."""
        async with self._setup:
            if self._host is None:
                info = await self._info()
                hierarchy = cgroups.Hierarchy(version=int(info["CgroupVersion"]), driver=info["CgroupDriver"])
                pause = PauseSandbox(self.instance, self._engine, hierarchy, info["Architecture"])
                registered = RUNTIME in info["Runtimes"]
                self._host = _Host(
                    hierarchy=hierarchy,
                    registered=registered,
                    by_namespace=self._choice == "namespace" or (self._choice == "auto" and registered),
                    root=Path(info["DockerRootDir"]),
                    paused=frozenset(await pause.listed()),
                    namespace=NamespaceSandbox(self.instance),
                    pause=pause,
                )
            return self._host

    def _sandbox(self, host: _Host, task: TaskSpec) -> Sandbox:
        """Choose the owner of a task's namespace: whoever has it already, else as the agent was told.

        Process and IPC namespaces that a task shares need a process of the task to hold them: a pause container.
        """
        if (namespaces.DIRECTORY / names.namespace(self.instance, task.task_id)).exists():
            return host.namespace
        by_namespace = host.by_namespace and task.task_id not in host.paused and not task.shares_namespaces
        return host.namespace if by_namespace else host.pause

    async def _check_reach(self, host: _Host) -> None:
        if not is_local(self._url):
            raise RuntimeFault(
                "ResourceInitializationError",
                f"the engine {self._url} is on another machine: run the agent there, tasks get their network from it",
            )
        if host.by_namespace and not host.registered:
            raise RuntimeFault(
                "ResourceInitializationError",
                f"the engine has no runtime {RUNTIME}: register it with 'wherry doctor --fix', or use pause containers",
            )
        # Two tasks that begin together would both find the rules missing, and both put them in.
        async with self._setup:
            if not self._forwarding:
                await firewall.ensure(self._ports_for_tasks)
                self._forwarding = True

    async def _inspect(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._engine.call("GET", f"containers/{name}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise _fault("CannotInspectContainerError", error) from error
        return found

    def _own(self, inspected: dict[str, Any], task: TaskSpec) -> str:
        labels = inspected["Config"]["Labels"] or {}
        if labels.get(translate.LABEL_INSTANCE) != self.instance or labels.get(translate.LABEL_TASK) != task.arn:
            raise RuntimeFault(
                "CannotCreateContainerError", f"the name {inspected['Name']} is taken by a container of somebody else"
            )
        return str(inspected["Id"])

    async def _listing(self, *, role: str | None = translate.ROLE_TASK) -> list[dict[str, Any]]:
        wanted = [f"{translate.LABEL_INSTANCE}={self.instance}"]
        if role is not None:
            wanted.append(f"{translate.LABEL_ROLE}={role}")
        params = {"all": "1", "filters": translate.filters(label=wanted)}
        try:
            found: list[dict[str, Any]] = await self._engine.call("GET", "containers/json", params=params)
        except EngineError as error:
            raise RuntimeUnavailableError(error.message) from error
        return found

    async def _observed(self, containers: list[str]) -> list[Observed]:
        """Look at these containers, by id or name, as far as they are there and this agent's."""
        found: list[Observed] = []

        async def look(container: str) -> None:
            async with self._reads:
                inspected = await self._inspect(container)
                if inspected is not None and self._is_own(inspected) and not translate.vanishes(inspected):
                    found.append(translate.observed(inspected, digest=await self._digest(inspected)))

        await together(look, containers)
        return sorted(found, key=lambda one: (one.task_arn, one.name))

    def _is_own(self, inspected: dict[str, Any]) -> bool:
        labels = inspected["Config"]["Labels"] or {}
        return bool(labels.get(translate.LABEL_INSTANCE) == self.instance and labels.get(translate.LABEL_TASK))

    async def _digest(self, inspected: dict[str, Any]) -> str | None:
        key = (inspected["Image"], inspected["Config"]["Image"])
        if key not in self._digests:
            # By id: the name may have been given to another image since.
            found = await self._images.described(inspected["Image"], inspected["Config"]["Image"])
            self._digests[key] = None if found is None else found.digest
        return self._digests[key]


def _task_id(inspected: dict[str, Any]) -> str:
    return str(inspected["Config"]["Labels"][translate.LABEL_TASK]).rsplit("/", 1)[-1]


def _fault(name: str, error: EngineError) -> RuntimeFault:
    return RuntimeFault(name, f"Error response from daemon: {error.message}")
