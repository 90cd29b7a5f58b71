"""/api/ID/fault/v1/KIND/ACTION: a task injects faults into its own network, where it is allowed to (reference 14.4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from weakref import WeakValueDictionary

import anyio
import structlog
from aiohttp import web

from wherry.agent.endpoints.answers import UnknownIdError, json_answer
from wherry.agent.endpoints.callers import caller
from wherry.agent.endpoints.residents import Residents
from wherry.agent.endpoints.server import Routes
from wherry.agent.faults.base import Fault, Faults, FaultUnavailableError, Impairment, Kind
from wherry.agent.faults.requests import InvalidRequestError, parse
from wherry.agent.runtime.base import Runtime, RuntimeFault, RuntimeUnavailableError
from wherry.agent.spec import TaskSpec

log = structlog.get_logger()

PATIENCE = 5.0
"""Seconds that a request may take, as with the stock agent."""

MODES = ("host", "awsvpc")
_NO_TASK = "unable to get task arn from request: unable to get task Arn from v3 endpoint ID: {id}"
_ALREADY = {
    Kind.LATENCY: "There is already one network latency fault running",
    Kind.PACKET_LOSS: "There is already one network packet loss fault running",
}

Action = Callable[[Faults], Awaitable[str]]
"""What is done about the faults of a task; returns the status that is told."""


class _Refusal(Exception):  # noqa: N818  an answer, on its way out
    """An answer other than a status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class FaultInjection:
    """Starts, stops and tells faults for the task that asks."""

    def __init__(self, residents: Residents, runtime: Runtime) -> None:
        """Find tasks among `residents`."""
        self._residents = residents
        self._runtime = runtime
        self._busy: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    def routes(self) -> Routes:
        """List the paths."""
        actions = {"start": self._start, "stop": self._stop, "status": self._status}
        return [
            web.post(f"/api/{{id}}/fault/v1/{kind}/{name}", partial(action, kind))
            for kind in Kind
            for name, action in actions.items()
        ]

    async def _start(self, kind: Kind, request: web.Request) -> web.Response:
        return await self._answer(request, f"start {kind}", lambda body: _starting(parse(kind, body)))

    async def _stop(self, kind: Kind, request: web.Request) -> web.Response:
        return await self._answer(request, f"stop {kind}", lambda body: _stopping(_named(kind, body)))

    async def _status(self, kind: Kind, request: web.Request) -> web.Response:
        return await self._answer(request, f"check status {kind}", lambda body: _looking(_named(kind, body)))

    async def _answer(self, request: web.Request, what: str, understand: Callable[[bytes], Action]) -> web.Response:
        try:
            action = understand(await request.read())
            task = self._task(request)
            status = await self._act(task, what, action)
        except InvalidRequestError as error:
            return json_answer({"Error": str(error)}, status=400)
        except _Refusal as refusal:
            return json_answer({"Error": str(refusal)}, status=refusal.status)
        log.info("fault_injection", request=what, task=task.arn, status=status)
        return json_answer({"Status": status})

    def _task(self, request: web.Request) -> TaskSpec:
        identifier = request.match_info["id"]
        resident = self._residents.of_token(identifier, caller(request))
        if resident is None:
            raise UnknownIdError(404, {"Error": _NO_TASK.format(id=identifier)})
        task = resident.assignment.spec
        if not task.fault_injection:
            raise _Refusal(400, f"enableFaultInjection is not enabled for task: {task.arn}")
        if task.network_mode not in MODES:
            raise _Refusal(400, f"{task.network_mode} mode is not supported. Please use either host or awsvpc mode.")
        return task

    async def _act(self, task: TaskSpec, what: str, action: Action) -> str:
        """Act on the task's faults, one request at a time."""
        try:
            with anyio.fail_after(PATIENCE):
                async with self._busy.setdefault(task.arn, anyio.Lock()):
                    return await action(await self._runtime.faults(task))
        except TimeoutError as error:
            raise _Refusal(500, f"{what}: request timed out") from error
        except FaultUnavailableError as error:
            raise _Refusal(500, str(error)) from error
        except (RuntimeFault, RuntimeUnavailableError, OSError) as error:
            log.warning("fault_injection_failed", request=what, task=task.arn, error=str(error))
            raise _Refusal(500, "internal error") from error


def _named(kind: Kind, body: bytes) -> str:
    """Tell which fault is meant: of latency and loss there is one each, a black hole is described by the body."""
    return parse(kind, body).name if kind is Kind.BLACKHOLE_PORT else kind.value


def _starting(fault: Fault) -> Action:
    async def act(faults: Faults) -> str:
        running = await faults.running()
        if isinstance(fault, Impairment):
            for kind, text in _ALREADY.items():
                if kind.value in running:
                    raise _Refusal(409, text)
        if fault.name not in running:
            await faults.start(fault)
        return "running"

    return act


def _stopping(name: str) -> Action:
    async def act(faults: Faults) -> str:
        if name in await faults.running():
            await faults.stop(name)
        return "stopped"

    return act


def _looking(name: str) -> Action:
    async def act(faults: Faults) -> str:
        return "running" if name in await faults.running() else "not-running"

    return act
