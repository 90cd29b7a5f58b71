"""What running containers use: one sample of the engine's, and the network of the task from its ENI."""

from __future__ import annotations

from typing import Any

import anyio

from wherry.agent.runtime.base import RuntimeFault, Usage
from wherry.agent.runtime.docker import translate
from wherry.agent.runtime.docker.engine import Engine, EngineError
from wherry.agent.sandbox import eni, names


class Samples:
    """Samples containers of the agent called `instance`, a few at once."""

    def __init__(self, engine: Engine, *, instance: str) -> None:
        """Ask `engine`."""
        self._engine = engine
        self._instance = instance
        self._links: dict[str, str] = {}
        self._at_once = anyio.CapacityLimiter(16)

    def forget(self, runtime_id: str) -> None:
        """Forget a container that is gone."""
        self._links.pop(runtime_id, None)

    async def usage(self, runtime_id: str) -> Usage | None:
        """Sum a sample up; None if the container is not running."""
        sample = await self._sample(runtime_id)
        link = await self._link(runtime_id) if sample is not None else ""
        return translate.usage(sample, network=eni.traffic(link))

    async def stats(self, runtime_id: str) -> dict[str, Any] | None:
        """Pass a sample on as the engine gives it, with the task's network in place of the host's."""
        sample = await self._sample(runtime_id)
        if sample is None or translate.usage(sample, network=(0, 0)) is None:
            return None
        return sample | {"networks": {eni.DEVICE: eni.counters(await self._link(runtime_id))}}

    async def _sample(self, runtime_id: str) -> dict[str, Any] | None:
        # Without one-shot the engine takes two samples a second apart.
        params = {"stream": "0", "one-shot": "1"}
        async with self._at_once:
            return await self._ask(f"containers/{runtime_id}/stats", params)

    async def _link(self, runtime_id: str) -> str:
        """Name the host end of a container's interface; nothing if there is no such container."""
        if runtime_id not in self._links:
            inspected = await self._ask(f"containers/{runtime_id}/json", {})
            if inspected is None:
                return ""
            task_arn = str(inspected["Config"]["Labels"][translate.LABEL_TASK])
            self._links[runtime_id] = names.link(self._instance, task_arn.rsplit("/", 1)[-1])
        return self._links[runtime_id]

    async def _ask(self, path: str, params: dict[str, str]) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] | None = await self._engine.call("GET", path, params=params)
        except EngineError as error:
            if error.status in {404, 409}:
                return None
            message = f"Error response from daemon: {error.message}"
            raise RuntimeFault("CannotDescribeContainerError", message) from error
        return answer
