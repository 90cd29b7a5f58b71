"""What else is under the server's roof: the health check, and who is let in to the channels of agents."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from msgspec import json
from tests.aws import Aws
from tests.builders import KEYRING, SCOPE, Counter, an_instance

from wherry.api import table
from wherry.api.sts import sessions
from wherry.app.application import application
from wherry.app.control_plane import trust_of
from wherry.model.instance import InstanceStatus
from wherry.store import Store
from wherry.wire.gateway import Gateway

pytestmark = pytest.mark.anyio

HOST = (b"host", b"localhost:4566")
TRUST_OF_EC2 = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
    '"Principal": {"Service": "ec2.amazonaws.com"}}]}'
)


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def ask(aws: Aws, kind: str, path: str, query: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Any:
    """Send one request or upgrade by ASGI; return the status and the decoded body of the answer."""
    gateway = Gateway(
        services=table.services(aws.ctx),
        region=SCOPE.region,
        account_id=SCOPE.account_id,
        trust=trust_of(aws.ctx),
        clock=aws.ctx.clock,
        entropy=Counter(),
    )
    router = application(aws.ctx, gateway, trust_of(aws.ctx))
    scope = {
        "type": kind,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [HOST, *headers],
        "extensions": {"websocket.http.response": {}},
    } | ({"method": "GET"} if kind == "http" else {})
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": f"{kind}.{'request' if kind == 'http' else 'connect'}"}

    async def send(message: Any) -> None:
        answers.append(message)

    await router(scope, receive, send)
    body = b"".join(answer.get("body", b"") for answer in answers)
    return answers[0]["status"], json.decode(body)


async def put(aws: Aws, *entities: Any) -> None:
    def write(tx: Any) -> None:
        for entity in entities:
            tx.put(entity)

    await aws.store.write(write)


async def test_health_counts_the_agents_that_are_connected(memory_store: Store) -> None:
    aws = Aws(memory_store)
    await put(aws, an_instance(number=1), an_instance(number=2, agent_connected=False), an_instance(number=3))
    status, body = await ask(aws, "http", "/health")
    assert (status, body["status"], body["agents"]) == (200, "ok", 2)


@pytest.mark.parametrize("header", [(b"origin", b"http://evil.example"), (b"host", b"evil.example")])
async def test_health_is_nothing_for_web_pages(memory_store: Store, header: tuple[bytes, bytes]) -> None:
    assert (await ask(Aws(memory_store), "http", "/health", headers=(header,)))[0] == 403


@pytest.mark.parametrize(("path", "name"), [("/acs/ws", "containerInstanceArn"), ("/tcs/ws", "containerInstance")])
async def test_the_agent_of_an_instance_that_was_given_up_is_told_so_before_the_upgrade(
    memory_store: Store, path: str, name: str
) -> None:
    aws = Aws(memory_store)
    await put(aws, an_instance(status=InstanceStatus.INACTIVE))
    for arn in (an_instance().container_instance_arn, "unknown"):
        status, body = await ask(aws, "websocket", path, f"{name}={arn}")
        assert (status, body["type"]) == (400, "InactiveInstanceException")


@pytest.mark.parametrize("path", ["/acs/ws", "/tcs/ws"])
async def test_web_pages_open_no_channels(memory_store: Store, path: str) -> None:
    status, body = await ask(Aws(memory_store), "websocket", path, headers=((b"origin", b"http://localhost:4566"),))
    assert (status, body["type"]) == (403, "AccessDeniedException")


@pytest.mark.parametrize(("path", "name"), [("/acs/ws", "containerInstanceArn"), ("/tcs/ws", "containerInstance")])
async def test_a_name_with_a_nul_character_is_refused_before_any_database_sees_it(
    store: Store, path: str, name: str
) -> None:
    status, body = await ask(Aws(store), "websocket", path, f"{name}=%00")
    assert (status, body["type"]) == (400, "ClientException")


@pytest.mark.parametrize(
    ("path", "name", "action"),
    [("/acs/ws", "containerInstanceArn", "Poll"), ("/tcs/ws", "containerInstance", "StartTelemetrySession")],
)
async def test_an_agent_with_credentials_of_a_role_needs_a_policy_for_its_channels(
    memory_store: Store, path: str, name: str, action: str
) -> None:
    aws = Aws(memory_store)
    await put(aws, an_instance(status=InstanceStatus.INACTIVE))
    role = {"RoleName": "agent", "AssumeRolePolicyDocument": TRUST_OF_EC2}
    role_id = (await aws("CreateRole", of="iam", **role))["Role"]["RoleId"]
    arn = an_instance().container_instance_arn
    query = f"{name}={quote(arn, safe='')}"
    headers = signed_upgrade(aws, role_id, path, query)
    status, body = await ask(aws, "websocket", path, query, headers)
    assert (status, body["type"]) == (400, "AccessDeniedException")
    assert f"ecs:{action} on resource: {arn}" in body["message"]["message"]
    policy = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
    await aws("AttachRolePolicy", of="iam", RoleName="agent", PolicyArn=policy)
    status, body = await ask(aws, "websocket", path, query, headers)
    assert (status, body["type"]) == (400, "InactiveInstanceException"), "it was let in as far as that"


def signed_upgrade(aws: Aws, role_id: str, path: str, query: str) -> tuple[tuple[bytes, bytes], ...]:
    """Sign an upgrade with temporary credentials of the role `agent`; return the headers."""
    made = sessions.mint(
        KEYRING,
        role_arn=f"arn:aws:iam::{SCOPE.account_id}:role/agent",
        role_id=role_id,
        session_name="host",
        expires_at=time.time() + 3600,
        entropy=aws.ctx.entropy,
    )
    aws.now = time.time()
    request = AWSRequest(method="GET", url=f"http://localhost:4566{path}?{query}")
    credentials = Credentials(made.access_key_id, made.secret_access_key, made.session_token)
    SigV4Auth(credentials, "ecs", SCOPE.region).add_auth(request)
    return tuple((header.lower().encode(), value.encode()) for header, value in request.headers.items())
