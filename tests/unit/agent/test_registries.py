"""How an agent gets at images that are not for everybody, and what is said when it does not."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.agent.worlds import a_container, a_task

from wherry.agent.link.base import AccessKey, RefusedError
from wherry.agent.runtime.base import Login, RuntimeFault
from wherry.agent.spec import AsmAuth, EcrAuth
from wherry.agent.supplies import registries

pytestmark = pytest.mark.anyio
ROLE = AccessKey(access_key_id="ASIAEXECUTION", secret_access_key="shh", session_token="token")
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/web:1"
REFUSED = "unable to pull secrets or registry auth: execution resource retrieval failed: "


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Plane:
    """A control plane with one answer, or one error."""

    def __init__(self, answer: Mapping[str, Any] | Exception) -> None:
        self.answer = answer
        self.calls: list[tuple[str, str, Mapping[str, Any], AccessKey | None]] = []

    async def call(self, operation: str, parameters: Mapping[str, Any], *, service: str = "ecs", signer=None):
        self.calls.append((service, operation, parameters, signer))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def a_token(endpoint: str = "http://10.0.0.1:4566") -> dict[str, Any]:
    token = base64.b64encode(b"AWS:pass:word").decode()
    return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": endpoint}]}


def a_task_with(auth: AsmAuth | EcrAuth | None, launch_type: str = "FARGATE"):
    return a_task(a_container("web", image=IMAGE, registry_auth=auth), launch_type=launch_type)


async def access(plane: Plane, auth: AsmAuth | EcrAuth | None, **members: str):
    task = a_task_with(auth, **members)
    logins = await registries.fetch(task, plane, ROLE)
    return registries.access(task, task.containers[0], logins, plane, lambda: ROLE)


async def test_an_image_for_everybody_asks_nobody() -> None:
    plane = Plane({})
    assert await access(plane, None) is None
    assert plane.calls == []


@pytest.mark.parametrize(("use_role", "signer"), [(True, ROLE), (False, None)])
async def test_a_token_is_asked_for_when_something_is_pulled(use_role: bool, signer: AccessKey | None) -> None:
    plane = Plane(a_token())
    found = await access(plane, EcrAuth(registry_id="000000000000", use_execution_role=use_role))
    assert found is not None
    assert plane.calls == []
    assert await found.login() == Login(username="AWS", password="pass:word", source="10.0.0.1:4566/team/web:1")
    assert plane.calls == [("ecr", "GetAuthorizationToken", {"registryIds": ["000000000000"]}, signer)]


@pytest.mark.parametrize(
    ("launch_type", "name", "text"),
    [
        ("FARGATE", "ResourceInitializationError", f"{REFUSED}unable to retrieve ecr registry auth: AccessDenied: no"),
        ("EC2", "CannotPullECRContainerError", "AccessDenied: no"),
    ],
)
async def test_a_token_that_is_refused_is_told_as_ecs_does(launch_type: str, name: str, text: str) -> None:
    found = await access(Plane(RefusedError("AccessDenied", "no")), EcrAuth(registry_id="1"), launch_type=launch_type)
    assert found is not None
    with pytest.raises(RuntimeFault) as caught:
        await found.login()
    assert (caught.value.name, caught.value.message) == (name, text)


@pytest.mark.parametrize("answer", [{}, {"authorizationData": []}, a_token() | {"authorizationData": [{}]}])
async def test_an_answer_without_a_token_is_a_fault(answer: Mapping[str, Any]) -> None:
    found = await access(Plane(answer), EcrAuth(registry_id="1"))
    assert found is not None
    with pytest.raises(RuntimeFault, match="answered without a token"):
        await found.login()


@pytest.mark.parametrize("parameter", ["registry", "arn:aws:secretsmanager:us-east-1:000000000000:secret:r-AbCdEf"])
async def test_a_secret_has_user_and_password(parameter: str) -> None:
    plane = Plane({"SecretString": '{"username": "robot", "password": "p"}'})
    found = await access(plane, AsmAuth(credentials_parameter=parameter))
    assert found is not None
    assert await found.login() == Login(username="robot", password="p")
    assert plane.calls == [("secretsmanager", "GetSecretValue", {"SecretId": parameter}, ROLE)]


@pytest.mark.parametrize("text", ["hidden", "[]", '{"username": "hidden"}', '{"username": "u", "password": 1}'])
async def test_a_secret_that_cannot_be_read_is_a_fault_that_shows_nothing_of_it(text: str) -> None:
    with pytest.raises(RuntimeFault, match="unable to retrieve secret from asm: registry: ") as caught:
        await access(Plane({"SecretString": text}), AsmAuth(credentials_parameter="registry"))
    assert "hidden" not in str(caught.value)
