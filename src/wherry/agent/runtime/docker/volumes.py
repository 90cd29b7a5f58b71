"""Volumes of the engine: a task's own, those that stay, and the directories of network file systems.

A task's own volume has a name made from the agent's instance id and the task's ARN, and both in its labels: it is found
again after a crash, and no other agent of the host takes it for its own. One that is shared has the name that the task
definition gives it, as on ECS, and belongs to the agent that made it, or to whoever made it by hand.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, assert_never

import anyio.to_thread
import msgspec
from msgspec.structs import replace

from wherry.agent.disks import Disks
from wherry.agent.runtime.base import RuntimeFault, RuntimeUnavailableError
from wherry.agent.runtime.docker import translate
from wherry.agent.runtime.docker.engine import Engine, EngineError
from wherry.agent.runtime.together import together
from wherry.agent.spec import (
    ContainerSpec,
    HostPath,
    ManagedVolume,
    Mount,
    NetworkFileSystem,
    SharedVolume,
    TaskSpec,
    TaskVolume,
    Volume,
)
from wherry.model import host_rules
from wherry.model.filesystems import FileSystems

EFS_FAILED = "failed to invoke EFS utils commands to set up EFS volumes"
"""How Fargate begins to say that a file system could not be mounted."""


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of POST /volumes/create."""

    name: str
    driver: str
    options: Mapping[str, str]
    labels: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """Write the call's body."""
        options, labels = dict(self.options), dict(self.labels)
        return {"Name": self.name, "Driver": self.driver, "DriverOpts": options, "Labels": labels}


class Volumes:
    """The volumes of one agent."""

    def __init__(
        self, engine: Engine, *, instance: str, file_systems: FileSystems, host_paths: tuple[str, ...], disks: Disks
    ) -> None:
        """Use `engine` for the agent called `instance`.

        `file_systems` are those that its host knows, `host_paths` those below which tasks may mount. `disks` tells what
        device a disk is; it need be there only when a container starts.
        """
        self._disks = disks
        self._engine = engine
        self._instance = instance
        self._file_systems = file_systems
        self._host_paths = host_paths

    async def ensure(self, task: TaskSpec, container: ContainerSpec) -> list[str]:
        """Make the volumes that a container mounts, as far as they are not there; return its binds.

        Raises `RuntimeFault`: CannotCreateVolumeError, or ResourceInitializationError for a network file system.
        """
        return [await self._bind(task, mount) for mount in container.mounts]

    async def remove(self, task_arn: str) -> None:
        """Remove the volumes that are the task's alone; raises `RuntimeFault` if one is still in use."""
        await together(self._delete, [entry["Name"] for entry in await self._listing(task_arn)])

    async def listed(self) -> frozenset[str]:
        """List the ARNs of tasks that have volumes of their own."""
        return frozenset(entry["Labels"][translate.LABEL_TASK] for entry in await self._listing())

    async def of(self, task_arn: str) -> list[dict[str, Any]]:
        """List a task's own volumes as the engine does."""
        return await self._listing(task_arn)

    async def _bind(self, task: TaskSpec, mount: Mount) -> str:
        volume = task.volume(mount.volume)
        source = await self._source(task, volume)
        # An engine would copy what the image has at that path to an empty disk, for which it would mount it too early.
        options = ["nocopy"] if isinstance(volume.source, ManagedVolume) else []
        options += ["ro"] if mount.read_only else []
        return ":".join([source, mount.path, *([",".join(options)] if options else [])])

    async def _source(self, task: TaskSpec, volume: Volume) -> str:
        """Return what the engine is to mount: a path, or the name of a volume that is there now."""
        match volume.source:
            case HostPath(path=path):
                return await self._host_path(path)
            case TaskVolume() as own:
                led = replace(own, options=await self._led(own.driver, own.options))
                return await self._create(own_volume(task, volume.name, led, instance=self._instance))
            case SharedVolume() as shared:
                return await self._shared(volume.name, shared)
            case NetworkFileSystem() as wanted:
                return await self._file_system(task, volume.name, wanted)
            case ManagedVolume() as managed:
                options = {"type": managed.file_system, "device": self._disks.device(task, managed)}
                disk = TaskVolume(options=options)
                return await self._create(own_volume(task, volume.name, disk, instance=self._instance))
            case other:
                assert_never(other)

    async def _host_path(self, path: str) -> str:
        """Return where a path really leads, for a task may have left a link where another mounts."""
        return await anyio.to_thread.run_sync(allowed, path, self._host_paths)

    async def _led(self, driver: str, options: dict[str, str]) -> dict[str, str]:
        """Return driver options with where the path of the host that they mount, if they do, really leads."""
        for demand in host_rules.of_volume(driver, options):
            real = await self._host_path(demand.what)
            if options.get("device") == demand.what:
                options = {**options, "device": real}
        return options

    async def _file_system(self, task: TaskSpec, name: str, wanted: NetworkFileSystem) -> str:
        known = self._file_systems.get(wanted.id)
        if known is None:
            raise _unmounted(f"{wanted.id} is not mapped on this host: name it in the setting WHERRY_EFS of its agent")
        path = known.path.rstrip("/") + "/" + wanted.root.strip("/")
        if known.server is None:
            return await anyio.to_thread.run_sync(partial(inside, known.path, path, identity=wanted.id))
        # A hard mount, as the EFS mount helper makes it: while the server is away programs wait, and lose nothing.
        options = ["nfsvers=4.1", "rsize=1048576", "wsize=1048576", "hard", "timeo=600", "retrans=2", "noresvport"]
        options += ["xprtsec=tls"] if wanted.encrypted else []
        nfs = TaskVolume(
            options={"type": "nfs", "device": f":{path}", "o": ",".join((f"addr={known.server}", *options))}
        )
        return await self._create(own_volume(task, name, nfs, instance=self._instance))

    async def _shared(self, name: str, shared: SharedVolume) -> str:
        await self._led(shared.driver, shared.options)
        found = await self._inspect(name)
        if found is None and not shared.autoprovision:
            raise _uncreated(f"volume {name} does not exist on this host, and autoprovision is false")
        if found is None:
            labels = shared.labels | {translate.LABEL_INSTANCE: self._instance}
            wanted = VolumeSpec(name=name, driver=shared.driver, options=shared.options, labels=labels)
            await self._create(wanted)
            # Whoever else made it in this moment has been first: what is there counts.
            found = await self._inspect(name)
        if found is not None and (objection := mismatch(found, shared, instance=self._instance)) is not None:
            raise _uncreated(f"volume {name} {objection}")
        if found is not None and translate.LABEL_INSTANCE in (found.get("Labels") or {}):
            # A task asked for what it mounts, and links may have changed since.
            await self._led(found["Driver"], found.get("Options") or {})
        return name

    async def _create(self, wanted: VolumeSpec) -> str:
        try:
            await self._engine.call("POST", "volumes/create", body=wanted.body())
        except EngineError as error:
            raise _uncreated(f"Error response from daemon: {error.message}") from error
        return wanted.name

    async def _inspect(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._engine.call("GET", f"volumes/{name}")
        except EngineError as error:
            if error.status == 404:
                return None
            raise _uncreated(f"Error response from daemon: {error.message}") from error
        return found

    async def _delete(self, name: str) -> None:
        try:
            await self._engine.call("DELETE", f"volumes/{name}")
        except EngineError as error:
            if error.status != 404:
                raise RuntimeFault("CannotRemoveVolumeError", f"Error response from daemon: {error.message}") from error

    async def _listing(self, task_arn: str | None = None) -> list[dict[str, Any]]:
        task = translate.LABEL_TASK if task_arn is None else f"{translate.LABEL_TASK}={task_arn}"
        wanted = translate.filters(label=[f"{translate.LABEL_INSTANCE}={self._instance}", task])
        try:
            answer: dict[str, Any] = await self._engine.call("GET", "volumes", params={"filters": wanted})
        except EngineError as error:
            raise RuntimeUnavailableError(error.message) from error
        return answer.get("Volumes") or []


def allowed(path: str, host_paths: Iterable[str]) -> str:
    """Return what `path` really is, if that is one of `host_paths` or below one; raises `RuntimeFault` if not."""
    real = os.path.realpath(path)
    if not host_rules.is_below(real, map(os.path.realpath, host_paths)):
        raise RuntimeFault("HostConfigError", f"The path {path} of the host leads to {real}, which is not allowed.")
    return real


def own_volume(task: TaskSpec, name: str, volume: TaskVolume, *, instance: str) -> VolumeSpec:
    """Describe a volume that is the task's alone: the stock agent's pattern of a name, and labels that win."""
    digest = hashlib.sha256(f"{instance}\n{task.arn}\n{name}".encode()).hexdigest()[:24]
    return VolumeSpec(
        # The engine makes a directory of the name.
        name=f"ecs-{task.family[:80]}-{task.version}-{name[:80]}-{digest}",
        driver=volume.driver,
        options=volume.options,
        labels=volume.labels
        | {
            translate.LABEL_TASK: task.arn,
            translate.LABEL_CLUSTER: task.cluster,
            translate.LABEL_INSTANCE: instance,
        },
    )


def mismatch(found: Mapping[str, Any], wanted: SharedVolume, *, instance: str) -> str | None:
    """Say why a volume that is there cannot be the shared one that is wanted (the stock agent's rules); else None."""
    labels, options = found.get("Labels") or {}, found.get("Options") or {}
    owner = labels.get(translate.LABEL_INSTANCE)
    if owner not in (None, instance):
        return "was made by another Wherry of this host: give the volume another name"
    if translate.LABEL_TASK in labels:
        return "belongs to a single task: give the volume another name"
    if found.get("Driver") != wanted.driver:
        return f"has the driver {found.get('Driver')}, not {wanted.driver}"
    if wanted.options and options != wanted.options:
        return "has other driverOpts than the task definition"
    if any(labels.get(name) != value for name, value in wanted.labels.items()):
        return "has other labels than the task definition"
    return None


def inside(base: str, path: str, *, identity: str) -> str:
    """Return the directory that `path` really is, if that is `base` or below it; raises `RuntimeFault` if not.

    Whoever writes to the file system can put links there: none may lead to the rest of the host.
    """
    real, root = Path(os.path.realpath(path)), Path(os.path.realpath(base))
    if not real.is_relative_to(root):
        raise _unmounted(f"the root directory of {identity} leads out of the file system")
    if not real.is_dir():
        raise _unmounted(f"the root directory of {identity} does not exist: make it first")
    return str(real)


def without(binds: Iterable[str], container: ContainerSpec) -> tuple[str, ...]:
    """Leave out the binds of ours at whose place the container mounts something itself."""
    taken = {mount.path.rstrip("/") for mount in container.mounts}
    return tuple(bind for bind in binds if bind.rpartition(":")[2] not in taken)


def _uncreated(message: str) -> RuntimeFault:
    return RuntimeFault("CannotCreateVolumeError", message)


def _unmounted(message: str) -> RuntimeFault:
    return RuntimeFault("ResourceInitializationError", f"{EFS_FAILED}: {message}")
