"""A control plane over HTTP and websockets, every request signed (Signature Version 4). Needs asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import anyio
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from wherry.agent.link.base import AccessKey, Channel, DataStream, RefusedError, UnreachableError
from wherry.model import datachannel

TARGETS = {
    "ecr": "AmazonEC2ContainerRegistry_V20150921",
    "ecs": "AmazonEC2ContainerServiceV20141113",
    "logs": "Logs_20140328",
    "secretsmanager": "secretsmanager",
    "ssm": "AmazonSSM",
}
"""What the operations of a service are prefixed with on the wire; the names are those that are signed for."""
ANSWER_TIMEOUT = 60.0
HANDSHAKE_TIMEOUT = 30.0
MAX_FRAME = 16 * 1024 * 1024


class RemoteControlPlane:
    """The control plane at a URL; an async context manager. See `wherry.agent.link.base.ControlPlane`."""

    def __init__(self, url: str, *, region: str, credentials: Credentials) -> None:
        """Speak to `url` (http or https), signing with `credentials` for `region`."""
        self._url = url.rstrip("/") + "/"
        self._region = region
        self._credentials = credentials

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection pool."""
        await self._session.close()

    async def call(
        self, operation: str, parameters: Mapping[str, Any], *, service: str = "ecs", signer: AccessKey | None = None
    ) -> dict[str, Any]:
        """Carry out an operation by AWS JSON 1.1."""
        body = msgspec.json.encode(parameters)
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{TARGETS[service]}.{operation}"}
        signed = self._sign("POST", self._url, headers, body, service=service, signer=signer)
        try:
            # A redirect would take what is signed for this place to another.
            request = self._session.post(self._url, data=body, headers=signed, allow_redirects=False)
            async with request as response:
                answer, status = await _read(response), response.status
                request_id = response.headers.get("x-amzn-RequestId", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{self._url}: {error or type(error).__name__}") from error
        decoded = _object(answer)
        if status == 200 and decoded is not None:
            return decoded
        raise _refusal(decoded, status, where=self._url, request_id=request_id)

    async def connect(self, endpoint: str, query: Mapping[str, str]) -> Channel:
        """Open a websocket by a signed upgrade."""
        url = f"{endpoint.rstrip('/')}/ws?{urlencode(query, quote_via=quote)}"
        return _WebSocketChannel(await self._dial(url, max_size=MAX_FRAME))

    async def open_data_channel(self, session_id: str) -> DataStream:
        """Open the websocket of a session by a signed upgrade.

        A client that has stopped reading may hold the control plane up, answers to pings too: it is waited for.
        """
        url = f"{self._url.rstrip('/')}{datachannel.PATH}{quote(session_id)}?{datachannel.QUERY}"
        dialled = self._dial(url, max_size=datachannel.MAX_FRAME, compression=None, ping_timeout=None)
        return WebSocketStream(await dialled)

    async def _dial(self, url: str, **options: Any) -> ClientConnection:
        where = url.partition("?")[0]
        try:
            headers = self._sign("GET", url, {}, b"")
            return await connect(
                "ws" + url.removeprefix("http"),
                additional_headers=headers,
                open_timeout=HANDSHAKE_TIMEOUT,
                proxy=None,
                **options,
            )
        except InvalidStatus as error:
            response = error.response
            raise _refusal(_object(bytes(response.body or b"")), response.status_code, where=where) from error
        except (WebSocketException, ValueError, TimeoutError, OSError, EOFError) as error:
            raise UnreachableError(f"{where}: {error or type(error).__name__}") from error

    def _sign(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes,
        *,
        service: str = "ecs",
        signer: AccessKey | None = None,
    ) -> dict[str, str]:
        request = AWSRequest(method=method, url=url, headers={"Host": urlsplit(url).netloc, **headers}, data=body)
        credentials = self._credentials
        if signer is not None:
            credentials = Credentials(signer.access_key_id, signer.secret_access_key, signer.session_token)
        SigV4Auth(credentials, service, self._region).add_auth(request)
        return {name: value for name, value in request.headers.items() if name != "Host"}


class WebSocketStream:
    """Texts and octets of a websocket. See `wherry.agent.link.base.DataStream`."""

    def __init__(self, connection: ClientConnection) -> None:
        """Take an open connection."""
        self._connection = connection

    async def send(self, frame: str | bytes) -> None:
        """Send one frame."""
        try:
            await self._connection.send(frame)
        except ConnectionClosed as error:
            raise anyio.ClosedResourceError from error

    async def receive(self) -> str | bytes:
        """Wait for the next frame."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise anyio.EndOfStream from error

    async def aclose(self) -> None:
        """Close both directions."""
        await self._connection.close()


class _WebSocketChannel:
    """Frames of a websocket as JSON texts."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, frame: dict[str, Any]) -> None:
        try:
            await self._connection.send(msgspec.json.encode(frame).decode())
        except ConnectionClosed as error:
            raise anyio.ClosedResourceError from error

    async def receive(self) -> dict[str, Any]:
        """Wait for the next frame; what is no JSON object ends the stream, as a broken peer deserves."""
        try:
            text = await self._connection.recv()
        except ConnectionClosed as error:
            raise anyio.EndOfStream from error
        frame = _object(text.encode() if isinstance(text, str) else text)
        if frame is None:
            raise anyio.EndOfStream
        return frame

    async def aclose(self) -> None:
        await self._connection.close()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer, as much of it as a frame may have; more ends the connection."""
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > MAX_FRAME:
            raise UnreachableError(f"{response.url}: an answer of more than {MAX_FRAME} bytes")
    return bytes(answer)


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (ValueError, RecursionError):  # msgspec's own errors, bytes that are no UTF-8, and a nest too deep
        return None


def _refusal(
    answer: dict[str, Any] | None, status: int, *, where: str, request_id: str = ""
) -> UnreachableError | RefusedError:
    """Read an error as the API gives it, or as ACS does: {"type": NAME, "message": {"message": TEXT}}."""
    name = (answer or {}).get("__type") or (answer or {}).get("type")
    if answer is None or not isinstance(name, str) or status >= 500:
        return UnreachableError(f"{where}: HTTP {status}")
    message = answer.get("message") or answer.get("Message") or ""
    text = message.get("message", "") if isinstance(message, dict) else message
    return RefusedError(name.rpartition("#")[2], str(text), status=status, request_id=request_id)
