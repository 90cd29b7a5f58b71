"""/api/ID/task-protection/v1/state: a task protects itself from scale-in, by its own role (reference 14.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
import structlog
from aiohttp import web

from wherry.agent.credentials import RoleCredentialsStore, RoleType
from wherry.agent.endpoints.answers import UnknownIdError, json_answer
from wherry.agent.endpoints.callers import caller
from wherry.agent.endpoints.residents import Residents
from wherry.agent.endpoints.server import Routes
from wherry.agent.link.base import ControlPlane, RefusedError, UnreachableError
from wherry.agent.spec import TaskSpec

log = structlog.get_logger()

PATIENCE = 4.0
"""Seconds that the control plane may take, as with the stock agent."""


class _Wanted(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """The body of a PUT."""

    protection_enabled: bool | None = None
    expires_in_minutes: int | None = None


class _Refusal(Exception):  # noqa: N818  an answer, on its way out
    """An answer other than the protection."""

    def __init__(self, status: int, code: str, message: str, *, arn: str = "", request_id: str = "") -> None:
        super().__init__(message)
        error = {"Arn": arn} if arn else {}
        self.status = status
        self.body: dict[str, Any] = {"requestID": request_id} if request_id else {}
        self.body |= {"error": error | {"Code": code, "Message": message}}


class Protection:
    """Calls the control plane in the name of the task that asks."""

    def __init__(self, residents: Residents, credentials: RoleCredentialsStore, control_plane: ControlPlane) -> None:
        """Find tasks among `residents`, and what they may sign with in `credentials`."""
        self._residents = residents
        self._credentials = credentials
        self._control_plane = control_plane

    def routes(self) -> Routes:
        """List the paths."""
        path = "/api/{id}/task-protection/v1/state"
        return [web.get(path, self._get), web.put(path, self._put)]

    async def _get(self, request: web.Request) -> web.Response:
        task = self._task(request)
        return await self._answer(task, "GetTaskProtection", {})

    async def _put(self, request: web.Request) -> web.Response:
        task = self._task(request)
        try:
            wanted = msgspec.json.decode(await request.read(), type=_Wanted)
        except msgspec.MsgspecError:
            text = "UpdateTaskProtection: failed to decode request"
            return _refused(_Refusal(400, "InvalidParameterException", text))
        if wanted.protection_enabled is None:
            text = "Invalid request: does not contain 'ProtectionEnabled' field"
            return _refused(_Refusal(400, "InvalidParameterException", text, arn=task.arn))
        parameters: dict[str, Any] = {"protectionEnabled": wanted.protection_enabled}
        if wanted.expires_in_minutes is not None:
            parameters["expiresInMinutes"] = wanted.expires_in_minutes
        return await self._answer(task, "UpdateTaskProtection", parameters)

    def _task(self, request: web.Request) -> TaskSpec:
        resident = self._residents.of_token(request.match_info["id"], caller(request))
        if resident is None:
            unknown = _Refusal(404, "ResourceNotFoundException", "Failed to find a task for the request")
            raise UnknownIdError(unknown.status, unknown.body)
        return resident.assignment.spec

    async def _answer(self, task: TaskSpec, operation: str, parameters: Mapping[str, Any]) -> web.Response:
        try:
            return json_answer(protection(await self._call(task, operation, parameters), task.arn))
        except _Refusal as refusal:
            log.warning("task_protection_refused", task=task.arn, operation=operation, error=str(refusal))
            return _refused(refusal)

    async def _call(self, task: TaskSpec, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call ECS by the task role."""
        signer = self._credentials.signer(task.arn, RoleType.APPLICATION)
        if signer is None:
            text = "Invalid Request: no task IAM role credentials available for task"
            raise _Refusal(403, "AccessDeniedException", text, arn=task.arn)
        try:
            with anyio.fail_after(PATIENCE):
                return await self._control_plane.call(
                    operation, {"cluster": task.cluster, "tasks": [task.arn], **parameters}, signer=signer
                )
        except TimeoutError as error:
            text = "Timed out calling ECS Task Protection API"
            raise _Refusal(504, "RequestCanceled", text, arn=task.arn) from error
        except RefusedError as error:
            raise _Refusal(
                error.status, error.code, error.message, arn=task.arn, request_id=error.request_id
            ) from error
        except UnreachableError as error:
            raise _Refusal(500, "ServerException", str(error), arn=task.arn) from error


def protection(answer: Mapping[str, Any], task_arn: str) -> dict[str, Any]:
    """Translate the answer of ECS about one task; raises `_Refusal` if it is not about one. Pure."""
    failures, protected = answer.get("failures") or [], answer.get("protectedTasks") or []
    if len(failures) == 1:
        [failure] = failures
        return {"failure": {name.title(): failure.get(name) for name in ("arn", "detail", "reason")}}
    if failures or len(protected) != 1:
        raise _Refusal(500, "ServerException", "Unexpected error occurred", arn=task_arn)
    [one] = protected
    until = one.get("expirationDate")
    return {
        "protection": {
            "ExpirationDate": None if until is None else _rfc3339(until),
            "ProtectionEnabled": one.get("protectionEnabled"),
            "TaskArn": one.get("taskArn"),
        }
    }


def _refused(refusal: _Refusal) -> web.Response:
    return json_answer(refusal.body, status=refusal.status)


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
