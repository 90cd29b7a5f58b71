"""The containers of one agent on the engine: made, started, stopped, removed and looked at."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import anyio

from wherry.agent.logs.faults import unanswered
from wherry.agent.runtime.base import ContainerGoneError, Observed, RuntimeFault, RuntimeUnavailableError
from wherry.agent.runtime.docker import translate
from wherry.agent.runtime.docker.engine import GONE, UNBOUNDED, Engine, EngineError
from wherry.agent.runtime.docker.images import Images
from wherry.agent.runtime.docker.owners import admit, dismiss
from wherry.agent.runtime.docker.registration import RUNTIME
from wherry.agent.runtime.together import together
from wherry.agent.sandbox import names, namespaces
from wherry.agent.spec import TaskSpec

_REMOVAL = 60.0
"""Seconds within which the engine has removed a container."""
_UNANSWERED_STARTS, _UNANSWERED_PAUSE = 20, 0.5
"""How often a container is started whose log driver finds nobody, and the seconds between: this agent has just come."""


class _Place(NamedTuple):
    """What starting a container asks for: whose it is, and whether its namespace is one of the agent's own."""

    task_id: str
    by_namespace: bool


class Containers:
    """The containers of the agent called `instance`."""

    def __init__(
        self,
        engine: Engine,
        images: Images,
        *,
        instance: str,
        starts: anyio.CapacityLimiter,
        unhurried: Callable[[str], AbstractAsyncContextManager[None]],
    ) -> None:
        """Use `engine`, which is asked to create and start no more at once than `starts` lets.

        `unhurried` is entered with the task's id while one of its containers is started.
        """
        self._engine = engine
        self._images = images
        self._instance = instance
        self._starts = starts
        self._unhurried = unhurried
        self._reads = anyio.CapacityLimiter(16)
        self._digests: dict[tuple[str, str], str | None] = {}
        # Those that were created here and not asked to start yet: what a look would tell of these is known.
        self._untouched: dict[str, _Place] = {}

    async def create(self, name: str, task: TaskSpec, body: dict[str, Any]) -> str:
        """Create a container of the task, or find the one of this name already created; return its id."""
        while True:
            runtime_id = await self._created(name, body)
            if runtime_id is not None:
                self._untouched[runtime_id] = _Place(task.task_id, body["HostConfig"].get("Runtime") == RUNTIME)
                return runtime_id
            # Created before, or by a create of ours that is still under way, such as one that outlived its agent.
            existing = await self.inspect(name)
            if existing is not None and not translate.vanishes(existing):
                return self._own(existing, task)
            await anyio.sleep(0.05)

    async def _created(self, name: str, body: dict[str, Any]) -> str | None:
        """Create a container; None if there is one of this name."""
        try:
            async with self._starts:
                created = await self._engine.call("POST", "containers/create", params={"name": name}, body=body)
        except EngineError as error:
            if error.status == 409:
                return None
            raise _fault("CannotCreateContainerError", error) from error
        return str(created["Id"])

    async def start(self, runtime_id: str) -> None:
        """Start a created container. One that has already run is not run again, nor one that failed to start."""
        place = self._untouched.pop(runtime_id, None) or await self._startable(runtime_id)
        if place is None:
            return
        if place.by_namespace:
            admit(runtime_id, namespaces.DIRECTORY / names.namespace(self._instance, place.task_id))
        try:
            async with self._unhurried(place.task_id):
                await self._run(runtime_id)
        except EngineError as error:
            if error.status in {404, 409} and GONE.search(error.message):
                raise ContainerGoneError(runtime_id) from error
            raise _fault("CannotStartContainerError", error) from error

    async def _startable(self, runtime_id: str) -> _Place | None:
        """Tell where a container is to run that can still be started; None for one that has run already."""
        inspected = await self.inspect(runtime_id)
        if inspected is None or translate.vanishes(inspected):
            raise ContainerGoneError(runtime_id)
        state = inspected["State"]
        if state["Status"] != "created":
            return None
        if state["Error"] and not unanswered(state["Error"]):
            raise RuntimeFault("CannotStartContainerError", f"Error response from daemon: {state['Error']}")
        return _Place(_task_id(inspected), inspected["HostConfig"]["Runtime"] == RUNTIME)

    async def restart(self, runtime_id: str) -> None:
        """Start a container again that has exited: what admitted it to its namespace is still there."""
        try:
            await self._run(runtime_id)
        except EngineError as error:
            raise _fault("CannotStartContainerError", error) from error

    async def _run(self, runtime_id: str) -> None:
        """Have the engine start a container; again, for a while, if its log driver finds nobody."""
        for attempts_left in reversed(range(_UNANSWERED_STARTS)):
            try:
                async with self._starts:
                    await self._engine.call("POST", f"containers/{runtime_id}/start")
            except EngineError as error:
                if not attempts_left or not unanswered(error.message):
                    raise
                await anyio.sleep(_UNANSWERED_PAUSE)
            else:
                return

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
        self._untouched.pop(runtime_id, None)
        try:
            await self._engine.call("DELETE", f"containers/{runtime_id}", params={"force": "1", "v": "1"})
        except EngineError as error:
            if error.status == 409:
                await self._until_gone(runtime_id, error)
            elif error.status != 404:
                raise _fault("CannotRemoveContainerError", error) from error
        dismiss(runtime_id)

    async def _until_gone(self, runtime_id: str, refusal: EngineError) -> None:
        """Wait for a removal that is in progress already, such as one whose agent has ended."""
        given_up = anyio.current_time() + _REMOVAL
        while await self.inspect(runtime_id) is not None:
            if anyio.current_time() > given_up:
                raise _fault("CannotRemoveContainerError", refusal)
            await anyio.sleep(0.02)

    async def inspect(self, name: str) -> dict[str, Any] | None:
        """Describe a container, by id or name; None if there is none."""
        try:
            found: dict[str, Any] = await self._engine.call("GET", f"containers/{name}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise _fault("CannotInspectContainerError", error) from error
        return found

    async def listed(self, *, role: str | None = translate.ROLE_TASK) -> list[dict[str, Any]]:
        """List what the engine says of each container of this agent; `role` None: of pause containers too."""
        wanted = [f"{translate.LABEL_INSTANCE}={self._instance}"]
        if role is not None:
            wanted.append(f"{translate.LABEL_ROLE}={role}")
        params = {"all": "1", "filters": translate.filters(label=wanted)}
        try:
            found: list[dict[str, Any]] = await self._engine.call("GET", "containers/json", params=params)
        except EngineError as error:
            raise RuntimeUnavailableError(error.message) from error
        return found

    async def observed(self, containers: list[str]) -> list[Observed]:
        """Look at these containers, by id or name, as far as they are there and this agent's."""
        found: list[Observed] = []

        async def look(container: str) -> None:
            async with self._reads:
                inspected = await self.inspect(container)
                if inspected is not None and self._is_own(inspected) and not translate.vanishes(inspected):
                    found.append(translate.observed(inspected, digest=await self._digest(inspected)))

        await together(look, containers)
        return sorted(found, key=lambda one: (one.task_arn, one.name))

    def _is_own(self, inspected: dict[str, Any]) -> bool:
        labels = inspected["Config"]["Labels"] or {}
        return bool(labels.get(translate.LABEL_INSTANCE) == self._instance and labels.get(translate.LABEL_TASK))

    def _own(self, inspected: dict[str, Any], task: TaskSpec) -> str:
        labels = inspected["Config"]["Labels"] or {}
        if labels.get(translate.LABEL_INSTANCE) != self._instance or labels.get(translate.LABEL_TASK) != task.arn:
            raise RuntimeFault(
                "CannotCreateContainerError", f"the name {inspected['Name']} is taken by a container of somebody else"
            )
        return str(inspected["Id"])

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
