"""Who is let in to a websocket."""

from __future__ import annotations

import anyio
import pytest
from starlette.websockets import WebSocket
from tests.unit.wire.test_sigv4 import SECRET, signed

from wherry.wire import sigv4
from wherry.wire.errors import WireError
from wherry.wire.message import Request
from wherry.wire.sigv4 import Secret
from wherry.wire.trust import Trust
from wherry.wire.websocket import WebSocketChannel, admit


async def ann(_key: str, _token: str | None) -> Secret:
    return SECRET


TRUST = Trust(listen="0.0.0.0", credentials=ann)


def upgrade(request: Request) -> WebSocket:
    scope = {
        "type": "websocket",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in request.headers],
    }

    async def nothing(*_: object) -> dict[str, str]:
        return {}

    return WebSocket(scope, nothing, nothing)


async def let_in(request: Request) -> str:
    claim = sigv4.read(request)
    principal = await admit(upgrade(request), trust=TRUST, region="us-east-1", account_id="1" * 12, now=claim.signed_at)
    return principal.arn


@pytest.mark.anyio
async def test_a_signed_upgrade_is_let_in_whatever_bytes_its_headers_have() -> None:
    headers = {"X-Amz-Meta": "Grüße"}
    request = signed(method="GET", url="http://localhost:4566/acs/ws?clusterArn=a%2Fb", headers=headers, body=b"")
    assert await let_in(request) == SECRET.principal.arn


@pytest.mark.anyio
async def test_an_upgrade_for_another_instance_than_was_signed_is_refused() -> None:
    request = signed(method="GET", url="http://localhost:4566/acs/ws?containerInstanceArn=a", headers={}, body=b"")
    other = Request(method="GET", path=request.path, query="containerInstanceArn=b", headers=request.headers)
    with pytest.raises(WireError) as caught:
        await let_in(other)
    assert caught.value.status == 403


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["", "no json", "[1]", "[" * 100_000, '{"a":' * 100_000])
async def test_what_is_no_frame_ends_the_stream(text: str) -> None:
    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(_: object) -> None:
        return None

    messages = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": text}])
    websocket = WebSocket({"type": "websocket", "headers": []}, receive, send)
    await websocket.accept()
    with pytest.raises(anyio.EndOfStream):
        await WebSocketChannel(websocket).receive()
