"""What tasks stand in on this host: the cgroup, the network namespace and the ENI of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio
import anyio.to_thread
import msgspec

from wherry.agent.runtime.base import RuntimeFault, RuntimeUnavailableError
from wherry.agent.runtime.docker import translate
from wherry.agent.runtime.docker.engine import Engine, is_local
from wherry.agent.runtime.docker.owners import NamespaceSandbox, PauseSandbox, Sandbox
from wherry.agent.runtime.docker.registration import RUNTIME, refresh_wrapper
from wherry.agent.sandbox import cgroups, eni, firewall, link_local, names, namespaces, quota
from wherry.agent.spec import ContainerSpec, TaskSpec

SandboxChoice = Literal["auto", "namespace", "pause"]


class _Host(msgspec.Struct, frozen=True, kw_only=True):
    """What was found when the engine was first met; `paused` are the tasks that had a pause container then."""

    hierarchy: cgroups.Hierarchy
    registered: bool
    by_namespace: bool
    root: Path
    paused: frozenset[str]
    namespace: NamespaceSandbox
    pause: PauseSandbox


class Sandboxes:
    """The sandboxes of the agent called `instance`."""

    def __init__(
        self,
        engine: Engine,
        *,
        instance: str,
        url: str,
        choice: SandboxChoice,
        ports_for_tasks: tuple[int, ...],
        starts: anyio.CapacityLimiter,
    ) -> None:
        """Use `engine`, which is at `url`, and open no more namespaces at once than `starts` lets."""
        self._engine = engine
        self._instance = instance
        self._url = url
        self._choice = choice
        self._ports_for_tasks = ports_for_tasks
        self._starts = starts
        self._setup = anyio.Lock()
        self._host: _Host | None = None
        self._forwarding = False

    async def ensure(self, task: TaskSpec) -> None:
        """Make the task's cgroup, network namespace and ENI, whatever of it is missing."""
        if task.eni is None or task.network_mode != "awsvpc":
            raise RuntimeFault(
                "ResourceInitializationError",
                f"this agent runs tasks in network mode awsvpc with an ENI only, not {task.network_mode}",
            )
        host = await self._known()
        await self._check_reach(host)
        await cgroups.ensure(host.hierarchy, self._instance, task)
        try:
            async with self._starts:
                namespace = await self._owner(host, task).open(task)
            await eni.attach(
                task.eni,
                namespace=namespace,
                link=names.link(self._instance, task.task_id),
                alias=names.link_alias(self._instance, task.task_id),
            )
        except OSError as error:
            raise RuntimeFault("ResourceInitializationError", f"network of the task: {error}") from error

    async def creates_ahead(self, task: TaskSpec) -> bool:
        """Say whether the agent owns the namespace: a pause container must be there to be joined."""
        host = await self._known()
        return self._owner(host, task) is host.namespace

    async def open(self, task: TaskSpec) -> Path:
        """Make the task's namespace unless there is one; return a path that names it."""
        return await self._owner(await self._known(), task).open(task)

    async def place(self, task: TaskSpec, container: ContainerSpec, binds: tuple[str, ...]) -> translate.Place:
        """Say how a container is created into the task's sandbox."""
        host = await self._known()
        parent = cgroups.parent(host.hierarchy, self._instance, task.task_id)
        place = self._owner(host, task).place(task, cgroup_parent=parent, binds=binds)
        if container.network_disabled:
            return msgspec.structs.replace(place, network_mode="none", runtime=None, hostname=None)
        return place

    async def listed(self) -> set[str]:
        """List the task ids that have any part of a sandbox of this agent."""
        host = await self._known()
        try:
            found = cgroups.listed(host.hierarchy, self._instance)
            for owner in (host.namespace, host.pause):
                found |= await owner.listed()
        except OSError as error:
            raise RuntimeUnavailableError(f"this host's sandboxes cannot be listed: {error}") from error
        aliases = (names.task_of_alias(self._instance, alias) for alias in eni.listed().values())
        found |= {task_id for task_id in aliases if task_id is not None}
        return found

    async def remove(self, task_id: str) -> None:
        """Take down what `ensure` made."""
        host = await self._known()
        try:
            await eni.detach(names.link(self._instance, task_id))
            for owner in (host.namespace, host.pause):
                await owner.close(task_id)
            await cgroups.remove(host.hierarchy, self._instance, task_id)
        except OSError as error:
            raise RuntimeFault("ResourceInitializationError", f"sandbox of task {task_id}: {error}") from error

    async def clear(self, *, is_alone: Callable[[], bool]) -> None:
        """Take down what no single task has; what agents share as well if this one `is_alone` and no ENI is left."""
        host = await self._known()
        cgroups.remove_empty(host.hierarchy, self._instance)
        if await firewall.remove(is_needed=lambda: bool(eni.listed()) or not is_alone()):
            await anyio.to_thread.run_sync(link_local.remove, names.ENDPOINTS_ADDRESS)
            self._forwarding = False

    def distrust(self) -> None:
        """Make sure of the firewall's rules anew before the next sandbox: an engine that restarts writes its own."""
        self._forwarding = False

    @asynccontextmanager
    async def unhurried(self, task_id: str) -> AsyncIterator[None]:
        """Lift the task's CPU quota while its first container is set up."""
        host = await self._known()
        with quota.lifted(host.hierarchy, self._instance, task_id):
            yield

    async def hold(self, task: TaskSpec) -> None:
        """Have the quota in force that an agent lifted and was killed."""
        host = await self._known()
        quota.hold(host.hierarchy, self._instance, task)

    async def root(self) -> Path:
        """Tell which directory of the host is the engine's."""
        return (await self._known()).root

    async def _known(self) -> _Host:
        """Meet the engine once. A runtime registered since is noticed at the agent's next start."""
        async with self._setup:
            if self._host is None:
                info = await self._engine.info()
                hierarchy = cgroups.Hierarchy(version=int(info["CgroupVersion"]), driver=info["CgroupDriver"])
                pause = PauseSandbox(self._instance, self._engine, hierarchy, info["Architecture"])
                registered = RUNTIME in info["Runtimes"]
                if registered:
                    _refresh_wrapper()
                self._host = _Host(
                    hierarchy=hierarchy,
                    registered=registered,
                    by_namespace=self._choice == "namespace" or (self._choice == "auto" and registered),
                    root=Path(info["DockerRootDir"]),
                    paused=frozenset(await pause.listed()),
                    namespace=NamespaceSandbox(self._instance),
                    pause=pause,
                )
            return self._host

    def _owner(self, host: _Host, task: TaskSpec) -> Sandbox:
        """Choose the owner of a task's namespace: whoever has it already, else as the agent was told.

        Process and IPC namespaces that a task shares need a process of the task to hold them: a pause container.
        """
        if (namespaces.DIRECTORY / names.namespace(self._instance, task.task_id)).exists():
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


def _refresh_wrapper() -> None:
    try:
        refresh_wrapper()
    except OSError as error:
        raise RuntimeUnavailableError(f"the OCI runtime cannot be brought to this version: {error}") from error
