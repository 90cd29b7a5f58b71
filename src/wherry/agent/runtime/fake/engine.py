"""The fake machine and its containers: it outlives the runtime of an agent, so that a restarted agent finds them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from wherry.agent.faults.base import Fault
from wherry.agent.runtime.base import Capacity, ContainerState, Health, Login, Observed
from wherry.agent.runtime.fake.script import Script, script_of
from wherry.agent.spec import ContainerSpec, Eni, ManagedVolume, TaskSpec


class Container:
    """One container of the fake machine."""

    def __init__(
        self, runtime_id: str, *, owner: str, task: TaskSpec, spec: ContainerSpec, script: Script, now: float
    ) -> None:
        self.id = runtime_id
        self.owner = owner
        self.task = task
        self.spec = spec
        self.script = script
        self.state = ContainerState.CREATED
        self.created_at = now
        self.started_at: float | None = None
        self.finished_at: float | None = None
        self.exit_code: int | None = None
        self.oom_killed = False
        self.error = ""
        self.health = Health.UNKNOWN
        self.health_since: float | None = None
        self.ended = anyio.Event()

    def observed(self) -> Observed:
        """Tell what an observer sees of it."""
        return Observed(
            runtime_id=self.id,
            task_arn=self.task.arn,
            name=self.spec.name,
            state=self.state,
            exit_code=self.exit_code,
            oom_killed=self.oom_killed,
            error=self.error,
            health=self.health,
            health_since=self.health_since,
            created_at=self.created_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            image_digest=self.script.digest,
        )


class Engine:
    """The fake machine: an async context manager that runs its containers for as long as it is open.

    `clock` tells epoch seconds; `cached` are the images that it has from the beginning.
    """

    def __init__(
        self,
        *,
        scripts: Mapping[str, Script] | None = None,
        cpu: int = 4096,
        memory_mib: int = 16384,
        clock: Callable[[], float] = time.time,
        cached: frozenset[str] = frozenset(),
    ) -> None:
        """Make a machine of `cpu` units and `memory_mib`."""
        self.scripts = dict(scripts or {})
        self.capacity = Capacity(cpu=cpu, memory_mib=memory_mib, engine_version="fake")
        self.clock = clock
        self.available = True
        self.images = set(cached)
        self.pulls: list[str] = []
        self.logins: list[Login] = []
        self.containers: dict[str, Container] = {}
        self.sandboxes: dict[tuple[str, str], Eni | None] = {}
        self.volumes: set[tuple[str, str]] = set()
        self.disks: dict[tuple[str, str], tuple[ManagedVolume, ...]] = {}
        self.kept: list[str] = []
        self.faults: dict[tuple[str, str], dict[str, Fault]] = {}
        self.lacking = ""
        self._listeners: set[MemoryObjectSendStream[Container]] = set()

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self.crash()
        self._tasks.cancel_scope.cancel()
        return await self._tasks.__aexit__(kind, error, trace)

    def script(self, image: str) -> Script:
        """Find what a container of this image does."""
        return self.scripts.get(image) or script_of(image)

    def crash(self) -> None:
        """Stop answering, as when the engine's process has died; its containers live on."""
        self.available = False
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def restart(self) -> None:
        """Answer again."""
        self.available = True

    @contextmanager
    def listen(self) -> Iterator[MemoryObjectReceiveStream[Container]]:
        """Open a stream of the containers to which something happens; it ends when the engine crashes."""
        send, receive = anyio.create_memory_object_stream[Container](max_buffer_size=math.inf)
        self._listeners.add(send)
        try:
            yield receive
        finally:
            self._listeners.discard(send)
            send.close()
            receive.close()

    def tell(self, container: Container) -> None:
        """Wake whoever listens."""
        for listener in self._listeners:
            listener.send_nowait(container)

    def run(self, container: Container) -> None:
        """Let the container's script begin."""
        container.state, container.started_at = ContainerState.RUNNING, self.clock()
        self.tell(container)
        self._tasks.start_soon(self._live, container)

    def end(self, container: Container, exit_code: int, *, oom: bool = False) -> None:
        """End a running container; tests use it to kill one."""
        if container.state is ContainerState.RUNNING:
            container.state, container.finished_at = ContainerState.EXITED, self.clock()
            container.exit_code, container.oom_killed = exit_code, oom
            container.ended.set()
            self.tell(container)

    def kill(self, runtime_id: str, exit_code: int = 137) -> None:
        """Kill a container from outside."""
        self.end(self.containers[runtime_id], exit_code)

    async def _live(self, container: Container) -> None:
        script = container.script
        async with anyio.create_task_group() as group:
            if container.spec.health_check is not None:
                group.start_soon(self._turn, container, script.healthy_after, Health.HEALTHY)
                group.start_soon(self._turn, container, script.unhealthy_after, Health.UNHEALTHY)
            with anyio.move_on_after(script.run_for):
                await container.ended.wait()
            self.end(container, 137 if script.oom else script.exit_code, oom=script.oom)
            group.cancel_scope.cancel()

    async def _turn(self, container: Container, after: float | None, health: Health) -> None:
        if after is not None:
            await anyio.sleep(after)
            container.health, container.health_since = health, self.clock()
            self.tell(container)
