"""GET /v3/ID and /v4/ID, with /task, /taskWithTags, /stats and /task/stats: what a container may know of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from wherry.agent.endpoints import documents
from wherry.agent.endpoints.answers import UnknownIdError, json_answer
from wherry.agent.endpoints.callers import caller
from wherry.agent.endpoints.documents import Document, Inspected
from wherry.agent.endpoints.residents import Resident, Residents
from wherry.agent.endpoints.server import Routes
from wherry.agent.endpoints.statistics import Statistics
from wherry.agent.endpoints.tags import Tags
from wherry.agent.progress import ContainerView, Phase
from wherry.agent.runtime.base import Runtime, RuntimeFault, RuntimeUnavailableError
from wherry.agent.runtime.together import together
from wherry.agent.sandbox import clock

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NO_CONTAINER = "unable to get container ID from request: unable to get docker ID from v3 endpoint ID: {id}"
_NO_TASK = "unable to get task arn from request: unable to get task Arn from v3 endpoint ID: {id}"
_STATUS = {3: {"container": 400, "task": 500, "container stats": 400, "task stats": 400}}
"""What the stock agent answers to an id that is not known, where that is not 404."""


class Metadata:
    """Describes containers and tasks to themselves."""

    def __init__(self, residents: Residents, runtime: Runtime, statistics: Statistics, tags: Tags) -> None:
        """Find containers among `residents`."""
        self._residents = residents
        self._runtime = runtime
        self._statistics = statistics
        self._tags = tags

    def routes(self) -> Routes:
        """List the paths of both versions."""
        found: list[web.AbstractRouteDef] = []
        for version in (3, 4):
            base = f"/v{version}/{{id}}"
            found += [
                web.get(base, self._handler("container", version, self._container)),
                web.get(f"{base}/task", self._handler("task", version, self._task)),
                web.get(f"{base}/taskWithTags", self._handler("task", version, self._task_with_tags)),
                web.get(f"{base}/stats", self._handler("container stats", version, self._container_stats)),
                web.get(f"{base}/task/stats", self._handler("task stats", version, self._task_stats)),
            ]
        return found

    def _handler(self, what: str, version: int, describe: Callable[[Resident, int], Awaitable[Any]]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            identifier = request.match_info["id"]
            resident = self._residents.of_token(identifier, caller(request))
            if resident is None:
                status = _STATUS.get(version, {}).get(what, 404)
                reason = (_NO_CONTAINER if what == "container" else _NO_TASK).format(id=identifier)
                raise UnknownIdError(status, f"V{version} {what}{_suffix(what)} handler: {reason}")
            try:
                return json_answer(await describe(resident, version))
            except (RuntimeUnavailableError, RuntimeFault) as error:
                log.warning("metadata_unavailable", task=resident.assignment.arn, what=what, error=str(error))
                return json_answer(_failed(what, resident, version), status=500)

        return handle

    async def _container(self, resident: Resident, version: int) -> Document:
        one = resident.view.container(resident.container.name)
        return documents.container(resident.view, one, await self._inspect(one), version=version)

    async def _task(self, resident: Resident, version: int) -> Document:
        view = resident.view
        # Docker knows those that are created; those that are pulled are shown as well, as the stock agent does.
        shown = [one for one in view.containers if one.phase >= Phase.PULLED]
        inspected: dict[str, Inspected | None] = {}

        async def inspect(one: ContainerView) -> None:
            inspected[one.name] = await self._inspect(one)

        await together(inspect, shown)
        described = [documents.container(view, one, inspected[one.name], version=version) for one in shown]
        if version < 4:
            return documents.task(view, described, version=version)
        storage = await self._runtime.storage()
        return documents.task(view, described, version=version, storage=storage, drift=clock.drift())

    async def _task_with_tags(self, resident: Resident, version: int) -> Document:
        document = await self._task(resident, version)
        return document | await self._tags.of(resident.assignment.spec, version=version)

    async def _container_stats(self, resident: Resident, version: int) -> Any:
        one = resident.view.container(resident.container.name)
        stats = None if one.memory.runtime_id is None else await self._statistics.of(one.memory.runtime_id)
        if stats is None:
            raise RuntimeFault("CannotDescribeContainerError", "the container does not run")
        return _of_version(stats, version)

    async def _task_stats(self, resident: Resident, version: int) -> Document:
        """Map the engine's ids of the task's containers to their statistics; null for one that does not run."""
        found: Document = {}

        async def sample(runtime_id: str) -> None:
            stats = await self._statistics.of(runtime_id)
            found[runtime_id] = None if stats is None else _of_version(stats, version)

        ids = [one.memory.runtime_id for one in resident.view.containers if one.memory.runtime_id is not None]
        await together(sample, ids)
        return found

    async def _inspect(self, one: ContainerView) -> Inspected | None:
        return None if one.memory.runtime_id is None else await self._runtime.inspect(one.memory.runtime_id)


def _of_version(stats: dict[str, Any], version: int) -> dict[str, Any]:
    """Leave out what version 3 does not have."""
    if version >= 4:
        return stats
    return {name: value for name, value in stats.items() if name != "network_rate_stats"}


def _suffix(what: str) -> str:
    return "" if what.endswith("stats") else " metadata"


def _failed(what: str, resident: Resident, version: int) -> str:
    arn, runtime_id = resident.assignment.arn, resident.assignment.memory(resident.container.name).runtime_id
    match what:
        case "container":
            return f"unable to generate metadata for container '{runtime_id}'"
        case "task":
            return f"Unable to generate metadata for {'v4 ' if version >= 4 else ''}task: '{arn}'"
        case "container stats":
            return f"Unable to get container stats for: {runtime_id}"
        case _:
            return f"Unable to get task stats for: {arn}"
