"""What a task is given out of Parameter Store and Secrets Manager, and what is said when it cannot be had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.agent.worlds import a_container, a_task

from wherry.agent.link.base import AccessKey, RefusedError, UnreachableError
from wherry.agent.runtime.base import Login, RuntimeFault
from wherry.agent.spec import Secret, SecretTarget, TaskSpec
from wherry.agent.supplies import secrets
from wherry.agent.supplies.supplies import Supplies

pytestmark = pytest.mark.anyio
ROLE = AccessKey(access_key_id="ASIAEXECUTION", secret_access_key="shh", session_token="token")
PARAMETER_ARN = "arn:aws:ssm:us-east-1:000000000000:parameter/db/port"
SECRET_ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Stores:
    """Answers as the two services do."""

    def __init__(self, parameters: Mapping[str, str] = {}, secret: Mapping[str, Any] = {}) -> None:
        self.parameters, self.secret = parameters, secret
        self.calls: list[tuple[str, str, dict[str, Any], AccessKey | None]] = []
        self.error: Exception | None = None

    async def call(self, operation: str, parameters: Mapping[str, Any], *, service: str = "ecs", signer=None):
        self.calls.append((service, operation, dict(parameters), signer))
        if self.error is not None:
            raise self.error
        if operation == "GetSecretValue":
            return dict(self.secret)
        assert parameters["WithDecryption"] is True
        assert len(parameters["Names"]) <= 10
        found = []
        for asked in parameters["Names"]:
            plain = asked.removeprefix("arn:aws:ssm:us-east-1:000000000000:parameter")
            name, colon, version = plain.partition(":")
            if name in self.parameters:
                arn = f"arn:aws:ssm:us-east-1:000000000000:parameter/{name.removeprefix('/')}"
                one = {"Name": name, "ARN": arn, "Value": self.parameters[name]}
                found.append(one | ({"Selector": colon + version} if version else {}))
        return {"Parameters": found, "InvalidParameters": []}


def a_task_with(*values_from: str) -> TaskSpec:
    return a_task(
        a_container("web", secrets=tuple(Secret(name=f"S{i}", value_from=v) for i, v in enumerate(values_from)))
    )


async def test_parameters_are_had_by_name_and_by_arn_and_by_version_in_the_name_of_the_execution_role() -> None:
    stores = Stores({"/db/port": "5432", "plain": "x"})
    asked = ("/db/port", PARAMETER_ARN, "plain", "/db/port:3")
    values = await secrets.fetch(a_task_with(*asked), stores, ROLE)
    assert values == {"/db/port": "5432", PARAMETER_ARN: "5432", "plain": "x", "/db/port:3": "5432"}
    assert [(service, operation, signer) for service, operation, _, signer in stores.calls] == [
        ("ssm", "GetParameters", ROLE)
    ]


async def test_many_parameters_are_asked_for_ten_at_a_time_and_each_once() -> None:
    names = [f"/p/{number}" for number in range(23)]
    stores = Stores(dict.fromkeys(names, "v"))
    assert set(await secrets.fetch(a_task_with(*names, *names), stores, None)) == set(names)
    assert [len(call[2]["Names"]) for call in stores.calls] == [10, 10, 3]


@pytest.mark.parametrize(
    ("value_from", "asked", "expected"),
    [
        (SECRET_ARN, {"SecretId": SECRET_ARN}, '{"user": "app", "port": 5432}'),
        (f"{SECRET_ARN}:user::", {"SecretId": SECRET_ARN}, "app"),
        (f"{SECRET_ARN}:port::", {"SecretId": SECRET_ARN}, "5432"),
        (f"{SECRET_ARN}:user:AWSPREVIOUS:", {"SecretId": SECRET_ARN, "VersionStage": "AWSPREVIOUS"}, "app"),
        (f"{SECRET_ARN}:user::v-1", {"SecretId": SECRET_ARN, "VersionId": "v-1"}, "app"),
    ],
)
async def test_secrets_are_had_whole_or_by_key_stage_and_version(value_from, asked, expected) -> None:
    stores = Stores(secret={"SecretString": '{"user": "app", "port": 5432}'})
    assert await secrets.fetch(a_task_with(value_from), stores, ROLE) == {value_from: expected}
    assert stores.calls == [("secretsmanager", "GetSecretValue", asked, ROLE)]


@pytest.mark.parametrize(
    ("value_from", "secret", "sentence"),
    [
        ("/missing", {}, "unable to retrieve secrets from ssm: invalid parameters: /missing"),
        (f"{SECRET_ARN}:no::", {"SecretString": "{}"}, "did not contain json key no"),
        (f"{SECRET_ARN}:no::", {"SecretString": "plain"}, "is no JSON object"),
        (f"{SECRET_ARN}:no::", {"SecretString": "[" * 5000}, "is no JSON object"),
        (SECRET_ARN, {"SecretBinary": "AA=="}, "has no text"),
    ],
)
async def test_what_is_not_there_fails_the_task_and_is_named(value_from, secret, sentence) -> None:
    with pytest.raises(RuntimeFault, match=sentence) as caught:
        await secrets.fetch(a_task_with(value_from), Stores(secret=secret), ROLE)
    assert caught.value.name == "ResourceInitializationError"


@pytest.mark.parametrize("value_from", ["/p", SECRET_ARN])
async def test_a_refusal_fails_the_task_and_an_unreachable_control_plane_does_not(value_from) -> None:
    stores = Stores()
    stores.error = RefusedError("AccessDeniedException", "User: x is not authorized")
    with pytest.raises(RuntimeFault, match="AccessDeniedException: User: x is not authorized"):
        await secrets.fetch(a_task_with(value_from), stores, ROLE)
    stores.error = UnreachableError("down")
    with pytest.raises(UnreachableError):
        await secrets.fetch(a_task_with(value_from), stores, ROLE)


def test_a_container_gets_its_own_values_and_they_win() -> None:
    container = a_container(
        "web",
        environment={"S": "old", "OTHER": "o"},
        secrets=(
            Secret(name="S", value_from="/p"),
            Secret(name="token", value_from="/log", target=SecretTarget.LOG_DRIVER),
        ),
    )
    outfitted = secrets.given(container, {"/p": "new", "/log": "l", "/another": "a"})
    assert outfitted.environment == {"S": "new", "OTHER": "o"}


def test_no_text_shows_what_was_fetched() -> None:
    login = Login(username="user", password="hidden")
    held = Supplies(secrets={"/key": "hidden"}, files={"file": {"A": "hidden"}}, logins={"parameter": login})
    assert "hidden" not in f"{held!r} {held} {held.__rich_repr__()}"
    assert repr(held) == "Supplies(1 secrets, 1 files, 1 logins)"
