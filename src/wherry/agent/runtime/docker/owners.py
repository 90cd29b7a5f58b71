"""Who owns a task's network namespace: the agent itself, or a container that does nothing else.

`NamespaceSandbox` makes a named namespace, and the OCI runtime "wherry" starts containers in it: nothing runs for the
sandbox, and starting is quickest. `PauseSandbox` works with any engine: a pause container without a network, whose
namespace the task's containers join. Either way the namespace is empty at first; the ENI is put into it from outside.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Protocol

import anyio.to_thread

from wherry.agent.runtime.base import RuntimeFault, RuntimeUnavailableError
from wherry.agent.runtime.docker import pause, translate
from wherry.agent.runtime.docker.engine import GONE, Engine, EngineError
from wherry.agent.runtime.docker.registration import RUNTIME
from wherry.agent.sandbox import cgroups, files, names, namespaces
from wherry.agent.spec import TaskSpec

ADMITTED = Path("/run/wherry/containers")
"""One file a container, named by its id, with the path of its network namespace: what the OCI runtime goes by."""


class Sandbox(Protocol):
    """The owner of tasks' network namespaces."""

    async def open(self, task: TaskSpec) -> Path:
        """Make the task's namespace unless there is one; return a path that names it."""
        ...

    async def close(self, task_id: str) -> None:
        """Let go of the task's namespace."""
        ...

    async def listed(self) -> set[str]:
        """List the ids of tasks that have a namespace."""
        ...

    def place(self, task: TaskSpec, *, cgroup_parent: str, binds: tuple[str, ...]) -> translate.Place:
        """Say how a container is created into the task's namespace."""
        ...


class NamespaceSandbox:
    """Namespaces of the agent's own, in /run/netns."""

    def __init__(self, instance: str) -> None:
        """Serve the agent called `instance`."""
        self._instance = instance

    async def open(self, task: TaskSpec) -> Path:
        """Make the namespace."""
        return await anyio.to_thread.run_sync(namespaces.create, names.namespace(self._instance, task.task_id))

    async def close(self, task_id: str) -> None:
        """Remove the namespace, and let no container into it any more."""
        name = names.namespace(self._instance, task_id)
        for file in admitted_to(namespaces.DIRECTORY / name):
            file.unlink(missing_ok=True)
        await anyio.to_thread.run_sync(namespaces.remove, name)

    async def listed(self) -> set[str]:
        """List by the namespaces' names."""
        found = (names.task_of_namespace(self._instance, name) for name in namespaces.listed("wherry-"))
        return {task_id for task_id in found if task_id is not None}

    def place(self, task: TaskSpec, *, cgroup_parent: str, binds: tuple[str, ...]) -> translate.Place:
        """Tell the engine to make no network at all; the OCI runtime puts the task's in place of the host's."""
        return translate.Place(
            network_mode="host",
            runtime=RUNTIME,
            cgroup_parent=cgroup_parent,
            binds=binds,
            hostname=None if task.eni is None else files.hostname_of(task.eni),
            pid_mode=task.pid_mode,
            ipc_mode=task.ipc_mode,
        )


class PauseSandbox:
    """Pause containers, whose namespaces the tasks' containers join."""

    def __init__(self, instance: str, engine: Engine, hierarchy: cgroups.Hierarchy, architecture: str) -> None:
        """Use `engine`, whose machine is an `architecture` as GET /info names it."""
        self._instance = instance
        self._engine = engine
        self._hierarchy = hierarchy
        self._architecture = architecture

    async def open(self, task: TaskSpec) -> Path:
        """Have the pause container run; one that has ended is replaced, for it cannot have its namespace back."""
        name = self._name(task.task_id)
        state = await self._state(name)
        if state is not None and state["Status"] not in {"created", "running"}:
            await self.close(task.task_id)
            state = None
        if state is None:
            await self._create(name, task)
        if state is None or state["Status"] == "created":
            await self._call("POST", f"containers/{name}/start")
            state = await self._state(name)
        if state is None or not state["Pid"]:
            raise RuntimeFault("ContainerNetworkingError", f"the task's pause container {name} does not run")
        return Path(f"/proc/{state['Pid']}/ns/net")

    async def close(self, task_id: str) -> None:
        """Remove the pause container."""
        with contextlib.suppress(EngineError):  # gone, or on its way
            await self._engine.call("DELETE", f"containers/{self._name(task_id)}", params={"force": "1", "v": "1"})

    async def listed(self) -> set[str]:
        """List by the pause containers' labels."""
        wanted = [f"{translate.LABEL_INSTANCE}={self._instance}", f"{translate.LABEL_ROLE}={translate.ROLE_PAUSE}"]
        params = {"all": "1", "filters": translate.filters(label=wanted)}
        try:
            found: list[dict[str, Any]] = await self._engine.call("GET", "containers/json", params=params)
        except EngineError as error:
            raise RuntimeUnavailableError(error.message) from error
        return {entry["Labels"][translate.LABEL_TASK].rsplit("/", 1)[-1] for entry in found}

    def place(self, task: TaskSpec, *, cgroup_parent: str, binds: tuple[str, ...]) -> translate.Place:
        """Join the pause container, whose hostname comes with its network."""
        owner = self._name(task.task_id)
        return translate.Place(
            network_mode=f"container:{owner}",
            cgroup_parent=cgroup_parent,
            binds=binds,
            pid_mode=translate.shared(task.pid_mode, owner),
            ipc_mode=translate.shared(task.ipc_mode, owner),
        )

    def _name(self, task_id: str) -> str:
        return f"ecs-pause-{self._instance}-{task_id}"

    async def _state(self, name: str) -> dict[str, Any] | None:
        try:
            inspected: dict[str, Any] = await self._engine.call("GET", f"containers/{name}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise RuntimeFault("ContainerNetworkingError", error.message) from error
        return dict(inspected["State"])

    async def _create(self, name: str, task: TaskSpec) -> None:
        repository, tag = await self._image()
        body = {
            "Image": f"{repository}:{tag}",
            "Cmd": ["/pause"],
            "Hostname": None if task.eni is None else files.hostname_of(task.eni),
            "Labels": translate.labels(
                task, translate.PAUSE_CONTAINER, instance=self._instance, role=translate.ROLE_PAUSE
            ),
            "HostConfig": {
                "NetworkMode": "none",
                "CgroupParent": cgroups.parent(self._hierarchy, self._instance, task.task_id),
                "CapDrop": ["ALL"],
                "ReadonlyRootfs": True,
                # It is process 1 of a namespace that the task shares, and has to bury what others leave behind.
                "Init": task.pid_mode == "task",
                "IpcMode": "shareable" if task.ipc_mode == "task" else "private",
            },
        }
        await self._call("POST", "containers/create", params={"name": name}, body=body, accepted=(409,))

    async def _image(self) -> tuple[str, str]:
        if self._architecture not in pause.ARCHITECTURES:
            raise RuntimeFault(
                "ResourceInitializationError",
                f"there is no pause image for {self._architecture}; run 'wherry doctor --fix' to do without",
            )
        repository, tag = pause.image_name(self._architecture)
        try:
            await self._engine.call("GET", f"images/{repository}:{tag}/json")
        except EngineError:
            await self._engine.progress(
                "images/create",
                params={"fromSrc": "-", "repo": repository, "tag": tag},
                body=pause.image_archive(self._architecture),
                content_type="application/x-tar",
            )
        return repository, tag

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: Any = None,
        accepted: tuple[int, ...] = (),
    ) -> None:
        try:
            await self._engine.call(method, path, params=params, body=body)
        except EngineError as error:
            if error.status in accepted:
                return
            if GONE.search(error.message):  # somebody tidied up before it ran: it is made again
                raise RuntimeUnavailableError(error.message) from error
            raise RuntimeFault("ContainerNetworkingError", error.message) from error


def admit(container_id: str, namespace: Path) -> None:
    """Let the OCI runtime start this container, in this namespace."""
    # Whoever can write here chooses the network of a container: root alone, whatever the umask.
    ADMITTED.parent.mkdir(mode=0o755, exist_ok=True)
    ADMITTED.mkdir(mode=0o700, exist_ok=True)
    (ADMITTED / container_id).write_text(f"{namespace}\n")


def dismiss(container_id: str) -> None:
    """Take back what `admit` allowed."""
    (ADMITTED / container_id).unlink(missing_ok=True)


def admitted_to(namespace: Path) -> list[Path]:
    """List the files of all containers that were admitted to a namespace."""
    try:
        return [file for file in ADMITTED.iterdir() if _read(file) == str(namespace)]
    except FileNotFoundError:
        return []


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except FileNotFoundError:  # dismissed meanwhile
        return None
