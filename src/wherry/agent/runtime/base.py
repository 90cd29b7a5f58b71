"""The seam between the agent's decisions and whatever runs containers.

Every method is idempotent: "already" is success, so that a crash between any two calls is mended by calling again.
A task's containers are known by labels, never by memory: after a restart `containers()` tells all that is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from wherry.agent.faults.base import Faults
from wherry.agent.logs.stream import Line
from wherry.agent.spec import ContainerSpec, Eni, TaskSpec


class PullBehavior(StrEnum):
    """When an image is pulled (the stock agent's ECS_IMAGE_PULL_BEHAVIOR)."""

    DEFAULT = "default"
    """Pull; if that fails use the cached image."""
    ALWAYS = "always"
    """Pull; a failed pull fails the container."""
    ONCE = "once"
    """Pull only if this agent has not pulled the image for an earlier task."""
    PREFER_CACHED = "prefer-cached"
    """Pull only if the engine has no such image."""


class RuntimeFault(Exception):  # noqa: N818 - a fault of the task, not an error of ours
    """A container could not be brought a step further; becomes the container's `reason`.

    `name` is the agent's error name as in `CannotPullContainerError`.
    """

    def __init__(self, name: str, message: str) -> None:
        """Take the error's ECS `name` and the engine's `message`."""
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class ContainerGoneError(RuntimeFault):
    """The container is not there any more, and was not started by this call."""

    def __init__(self, runtime_id: str) -> None:
        """Take the id under which it was known."""
        super().__init__("CannotStartContainerError", f"No such container: {runtime_id}")


class RuntimeUnavailableError(Exception):
    """The engine does not answer: nothing is known, nothing was decided; try again later."""


class ContainerState(StrEnum):
    """What the engine says of a container."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class Health(StrEnum):
    """Container health in ECS words."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every value here."""


class Observed(Struct, frozen=True):
    """One container as the engine sees it now.

    Times are epoch seconds; `error` is the engine's word on a failed start.
    """

    runtime_id: str
    task_arn: str
    name: str
    state: ContainerState
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    health: Health = Health.UNKNOWN
    health_since: float | None = None
    health_output: str = ""
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    image_digest: str | None = None


class Login(Struct, frozen=True):
    """A user and password for a registry; no text shows them. `source` is where the image is, if not under its name."""

    username: str
    password: str
    source: str | None = None

    def __repr__(self) -> str:
        return f"Login(source={self.source!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("source", self.source)]


class Access(Struct, frozen=True):
    """How an image is got at that is not for everybody: `login` is asked if there is anything to pull.

    Pulls for the same `owner` are one pull. What `login` raises, a pull raises.
    """

    owner: str
    login: Callable[[], Awaitable[Login]]


class Image(Struct, frozen=True):
    """An image as it will be run: `id` is the engine's; `digest` the registry's, if it has one (`sha256:...`)."""

    id: str
    digest: str | None


class Usage(Struct, frozen=True):
    """One sample of a container: `cpu_seconds` and the network figures only grow; memory in bytes."""

    cpu_seconds: float
    memory: int
    memory_limit: int
    network_rx: int = 0
    network_tx: int = 0
    block_read: int = 0
    block_written: int = 0


class Storage(Struct, frozen=True):
    """The file system that containers write to, in MiB: what is in use, and how much there is."""

    utilized: int
    reserved: int


class Capacity(Struct, frozen=True):
    """What the host can give to tasks: CPU units (1024 a core), memory in MiB, and what the engine calls itself."""

    cpu: int
    memory_mib: int
    engine_version: str
    architecture: str = "x86_64"


class ExecOutput(Struct, frozen=True):
    """What a command that was executed in a container has written; `error` tells that it is standard error."""

    data: bytes
    error: bool = False


class ExecRequest(Struct, frozen=True):
    """A command to execute as root in a running container. With a `tty` it has a terminal of `columns` by `rows`."""

    session_id: str
    command: tuple[str, ...]
    tty: bool = True
    columns: int | None = None
    rows: int | None = None


class Execution(Protocol):
    """A command that is being executed; each method raises `RuntimeUnavailableError` if the engine goes away."""

    async def read(self) -> ExecOutput | None:
        """Wait for output; None once there will be none. Who does not read lets the command wait."""
        ...

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it takes none. Input for a command that has ended is let go."""
        ...

    async def end_input(self) -> None:
        """Let its standard input end; a terminal's never does."""
        ...

    async def resize(self, *, columns: int, rows: int) -> None:
        """Change the size of its terminal."""
        ...

    async def exit_code(self) -> int | None:
        """Tell how it ended; None if nobody knows."""
        ...


class Runtime(Protocol):
    """Runs containers.

    Raises `RuntimeFault` for a fault of the task, `RuntimeUnavailableError` for one of the engine.
    """

    async def capacity(self) -> Capacity:
        """Tell what the host has."""
        ...

    async def ensure_sandbox(self, task: TaskSpec) -> None:
        """Make the task's cgroup, network namespace, ENI and disks, whatever of it is missing.

        A disk that cannot be had is the fault `ResourceInitializationError`.
        """
        ...

    async def hold_limits(self, task: TaskSpec) -> None:
        """Have the limits of a task in force that is there already, whatever a killed agent left of them."""
        ...

    async def creates_ahead(self, task: TaskSpec) -> bool:
        """Say whether this task's containers can be created, not started, before its sandbox is there."""
        ...

    async def remove_sandbox(self, task_arn: str, eni: Eni | None) -> None:
        """Take down what `ensure_sandbox` made; nothing of the task is left on the host but disks that are to be kept.

        No container of the task runs any more.
        """
        ...

    async def sandboxes(self) -> frozenset[str]:
        """List the task ids that have any part of a sandbox of this agent, so that leftovers can be removed."""
        ...

    async def pull(self, image: str, behavior: PullBehavior, access: Access | None = None) -> Image:
        """Bring the image to the host as `behavior` says; `CannotPullContainerError` and kin if it cannot be had."""
        ...

    async def create(self, task: TaskSpec, container: ContainerSpec) -> str:
        """Create the container, or find the one already created; return its runtime id."""
        ...

    async def start(self, runtime_id: str) -> None:
        """Start a created container. A container that has already run is not run again."""
        ...

    async def restart(self, runtime_id: str) -> None:
        """Start a container again that has exited; one that runs is left alone."""
        ...

    async def stop(self, runtime_id: str, *, timeout: float) -> None:  # noqa: ASYNC109 - Docker's grace period, not a cancel scope
        """Send the image's stop signal, after `timeout` seconds SIGKILL; return when it has exited."""
        ...

    async def remove(self, runtime_id: str) -> None:
        """Remove the container and its anonymous volumes."""
        ...

    async def remove_volumes(self, task_arn: str) -> None:
        """Remove the volumes that were the task's alone; its containers are gone already."""
        ...

    async def storage_used(self, task: TaskSpec) -> int:
        """Tell how many bytes of disk the task's containers have written, in their layers and its own volumes."""
        ...

    async def volumes(self) -> frozenset[str]:
        """List the ARNs of tasks that have volumes of their own, so that leftovers can be removed."""
        ...

    async def containers(self) -> list[Observed]:
        """List every task container of this agent, whatever its state; never anybody else's."""
        ...

    async def containers_of(self, task: TaskSpec) -> list[Observed]:
        """List the containers of one task."""
        ...

    def events(self) -> AsyncIterator[str]:
        """Yield the ARN of a task each time something happened to one of its containers.

        Ends when the engine goes away. A hint only: whoever misses one finds the truth by `containers_of`.
        """
        ...

    async def logged(self, task_arn: str, name: str, *, since: float) -> list[Line] | None:
        """Read what a container has written since an instant (epoch seconds), oldest first; None if it is not there."""
        ...

    async def usage(self, runtime_id: str) -> Usage | None:
        """Sample a running container; None if it is not running."""
        ...

    async def inspect(self, runtime_id: str) -> dict[str, Any] | None:
        """Describe a container in the shape of Docker's GET /containers/{id}/json; None if there is none."""
        ...

    async def stats(self, runtime_id: str) -> dict[str, Any] | None:
        """Sample a running container in the shape of Docker's GET /containers/{id}/stats; None if it is not running.

        `networks` has the task's interface.
        """
        ...

    async def storage(self) -> Storage:
        """Tell how full the file system is that containers write to."""
        ...

    async def faults(self, task: TaskSpec) -> Faults:
        """Tell and change the faults in the network of a task that has a sandbox."""
        ...

    def execute(self, runtime_id: str, request: ExecRequest) -> AbstractAsyncContextManager[Execution]:
        """Execute a command in a running container; leaving ends it, with whatever it has begun.

        Raises the fault `ExecuteCommandError` if it cannot be begun. A missing program is no fault: its exit code is
        127, or 126.
        """
        ...

    async def end_executions(self) -> None:
        """End the commands that an earlier life of this agent has left running in its containers."""
        ...
