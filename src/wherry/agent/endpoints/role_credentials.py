"""GET /v2/credentials/ID: where SDKs find the credentials of a task's role (reference 14.3)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from wherry.agent.credentials import Held, RoleCredentialsStore, RoleType
from wherry.agent.endpoints.answers import UnknownIdError, json_answer
from wherry.agent.endpoints.callers import Caller, caller
from wherry.agent.endpoints.residents import Residents
from wherry.agent.endpoints.server import Routes
from wherry.agent.memory import Assignment


def routes(held: RoleCredentialsStore, residents: Residents) -> Routes:
    """List the paths."""

    async def v1(request: web.Request) -> web.Response:
        return _answer(request.query.get("id", ""), "CredentialsV1Request", caller(request), held, residents)

    async def v2(request: web.Request) -> web.Response:
        identifier = request.match_info.get("id", "")
        return _answer(identifier, "CredentialsV2Request", caller(request), held, residents)

    return [
        web.get("/v1/credentials", v1),
        web.get("/v2/credentials", v2),
        web.get("/v2/credentials/", v2),
        web.get("/v2/credentials/{id}", v2),
    ]


def _answer(identifier: str, api: str, who: Caller, held: RoleCredentialsStore, residents: Residents) -> web.Response:
    if not identifier:
        return json_answer(_error("NoIdInRequest", f"{api}: No Credential ID in the request", 400), status=400)
    found = held.find(identifier)
    if found is not None:
        assignment = residents.assignment(found.task_arn)
        if assignment is not None and may_have(who, found.role_type, assignment):
            return json_answer(_credentials(found))
    elif any(_awaits(one, identifier, who) for one in residents.assignments()):
        error = _error("CredentialsUninitialized", f"{api}: Credentials uninitialized for ID", 503)
        return json_answer(error, status=503)
    raise UnknownIdError(400, _error("InvalidIdInRequest", f"{api}: Credentials not found", 400))


def may_have(who: Caller, role_type: RoleType, assignment: Assignment) -> bool:
    """Say who may have what: a task its own task role; the host, whose engine logs for the task, the execution role."""
    if role_type is RoleType.EXECUTION:
        return who.is_host
    return assignment.spec.eni is not None and assignment.spec.eni.ipv4_address == who.address


def _awaits(assignment: Assignment, identifier: str, who: Caller) -> bool:
    """Tell whether these are credentials that are still to come, as after a start without what was held before."""
    spec = assignment.spec
    ids = {RoleType.APPLICATION: spec.task_credentials_id, RoleType.EXECUTION: spec.execution_credentials_id}
    return any(known == identifier and may_have(who, role_type, assignment) for role_type, known in ids.items())


def _credentials(held: Held) -> dict[str, str]:
    own = held.credentials
    return {
        "RoleArn": own.role_arn,
        "AccessKeyId": own.access_key_id,
        "SecretAccessKey": own.secret_access_key,
        "Token": own.session_token,
        "Expiration": own.expiration,
    }


def _error(code: str, message: str, status: int) -> dict[str, Any]:
    return {"code": code, "message": message, "HTTPErrorCode": status}
