"""What else is under the server's roof: the health check, and who is let in to the channels of agents."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json
from tests.aws import Aws
from tests.builders import SCOPE, Counter, an_instance

from wherry.api import table
from wherry.app import control_plane
from wherry.model.instance import InstanceStatus
from wherry.store import Store
from wherry.wire.gateway import Gateway
from wherry.wire.trust import Trust

pytestmark = pytest.mark.anyio

TRUST = Trust(listen="127.0.0.1")
HOST = (b"host", b"localhost:4566")


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def ask(aws: Aws, kind: str, path: str, query: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Any:
    """Send one request or upgrade by ASGI; return the status and the decoded body of the answer."""
    gateway = Gateway(
        services=table.services(aws.ctx),
        region=SCOPE.region,
        account_id=SCOPE.account_id,
        trust=TRUST,
        clock=aws.ctx.clock,
        entropy=Counter(),
    )
    application = control_plane.application(aws.ctx, gateway, TRUST)
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

    await application(scope, receive, send)
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
