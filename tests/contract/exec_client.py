"""A client of ECS Exec written from the protocol, and not from Wherry's code: what the stock plugin does, in Python.

Offsets and rules: reference §12; aws/session-manager-plugin src/message, src/datachannel.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

OUTPUT, ERROR, SIZE, REQUEST, RESPONSE, COMPLETE, FLAG, STDERR, EXIT = 1, 2, 3, 5, 6, 7, 10, 11, 12


def pack(kind: str, number: int, payload_type: int, payload: bytes, *, flags: int = 0) -> bytes:
    """Write a message, field by field."""
    identity = uuid.uuid4().bytes
    return b"".join(
        (
            (116).to_bytes(4, "big"),
            kind.encode().ljust(32, b" "),
            (1).to_bytes(4, "big"),
            int(time.time() * 1000).to_bytes(8, "big"),
            number.to_bytes(8, "big", signed=True),
            flags.to_bytes(8, "big"),
            identity[8:],
            identity[:8],
            hashlib.sha256(payload).digest(),
            payload_type.to_bytes(4, "big"),
            len(payload).to_bytes(4, "big"),
            payload,
        )
    )


def unpack(frame: bytes) -> dict[str, Any]:
    """Read a message as the plugin does, and check what it checks."""
    length = int.from_bytes(frame[0:4], "big")
    payload = frame[length + 4 :]
    message = {
        "kind": frame[4:36].strip(b"\0 ").decode(),
        "created": int.from_bytes(frame[40:48], "big"),
        "number": int.from_bytes(frame[48:56], "big", signed=True),
        "flags": int.from_bytes(frame[56:64], "big"),
        "id": str(uuid.UUID(bytes=frame[72:80] + frame[64:72])),
        "type": int.from_bytes(frame[112:116], "big"),
        "payload": payload,
    }
    assert length == 116
    assert message["created"]
    assert int.from_bytes(frame[116:120], "big") == len(payload)
    assert not payload or hashlib.sha256(payload).digest() == frame[80:112]
    return message


class Plugin:
    """One session, as the plugin sees it. `stdout` is what it would have printed, `closed` why the session ended."""

    def __init__(self, socket: ClientConnection, *, knows_exit_code: bool) -> None:
        self.socket = socket
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.request: dict[str, Any] = {}
        self.complete: dict[str, Any] = {}
        self.exit_code: str | None = None
        self.closed: dict[str, Any] | None = None
        self.ready = True
        self.reading = anyio.Event()
        self.reading.set()
        self.heard = 0
        self._knows_exit_code = knows_exit_code
        self._expected = 0
        self._early: dict[int, dict[str, Any]] = {}
        self._next = 0
        self._unacknowledged: set[int] = set()
        self._changed = anyio.Event()

    async def open(self, token: str) -> None:
        """Show the token."""
        opening = {
            "MessageSchemaVersion": "1.0",
            "RequestId": str(uuid.uuid4()),
            "TokenValue": token,
            "ClientId": str(uuid.uuid4()),
            "ClientVersion": "1.2.707.0",
        }
        await self.socket.send(json.dumps(opening))

    async def type(self, payload: bytes, payload_type: int = OUTPUT, *, flags: int = 0) -> None:
        """Send input."""
        number, self._next = self._next, self._next + 1
        self._unacknowledged.add(number)
        await self.socket.send(pack("input_stream_data", number, payload_type, payload, flags=flags))

    async def resize(self, cols: int, rows: int) -> None:
        """Tell the size of the terminal."""
        await self.type(json.dumps({"cols": cols, "rows": rows}).encode(), SIZE)

    async def shaken(self) -> None:
        """Wait for the end of the handshake: nothing that is typed before it counts."""
        with anyio.fail_after(30):
            while not self.complete:
                assert self.closed is None, self.closed
                await self._changed.wait()

    async def until(self, wanted: bytes) -> None:
        """Wait for output."""
        with anyio.fail_after(30):
            while wanted not in self.stdout:
                assert self.closed is None, (self.closed, bytes(self.stdout))
                await self._changed.wait()

    async def end(self, *, within: float = 60) -> None:
        """Wait for the end."""
        with anyio.fail_after(within):
            while self.closed is None:
                await self._changed.wait()

    async def acknowledged(self, *, but: int = 0) -> None:
        """Wait until everything typed has arrived `but` some."""
        with anyio.fail_after(30):
            while len(self._unacknowledged) > but:
                await self._changed.wait()

    async def has_heard(self, messages: int) -> None:
        """Wait for so many messages of output, whether they were taken or not."""
        with anyio.fail_after(30):
            while self.heard < messages:
                await self._changed.wait()

    async def run(self) -> None:
        """Hear until the session is closed, or the line is."""
        try:
            while self.closed is None:
                await self.reading.wait()
                frame = await self.socket.recv()
                assert isinstance(frame, bytes)
                await self._hear(unpack(frame))
                self._changed.set()
                self._changed = anyio.Event()
        except ConnectionClosed:
            self.closed = self.closed or {"Output": "the line was lost"}
            self._changed.set()

    async def _hear(self, message: dict[str, Any]) -> None:
        match message["kind"]:
            case "acknowledge":
                content = json.loads(message["payload"])
                assert message["flags"] == 3
                assert content["AcknowledgedMessageType"] == "input_stream_data"
                assert content["IsSequentialMessage"] is True
                self._unacknowledged.discard(content["AcknowledgedMessageSequenceNumber"])
            case "channel_closed":
                self.closed = json.loads(message["payload"])
            case "output_stream_data":
                self.heard += 1
                await self._take(message)

    async def _take(self, message: dict[str, Any]) -> None:
        """Handle output as streaming.go does: in order, and unacknowledged as long as nobody is ready for it."""
        if message["number"] > self._expected:
            self._early[message["number"]] = message
            await self._acknowledge(message)
        elif message["number"] == self._expected:
            if message["type"] in {OUTPUT, STDERR} and not self.ready:
                return
            await self._acknowledge(message)
            await self._process(message)
            self._expected += 1
            while (early := self._early.pop(self._expected, None)) is not None:
                await self._process(early)
                self._expected += 1

    async def _acknowledge(self, message: dict[str, Any]) -> None:
        content = {
            "AcknowledgedMessageType": message["kind"],
            "AcknowledgedMessageId": message["id"],
            "AcknowledgedMessageSequenceNumber": message["number"],
            "IsSequentialMessage": True,
        }
        await self.socket.send(pack("acknowledge", 0, 0, json.dumps(content).encode(), flags=3))

    async def _process(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case 5:
                self.request = json.loads(message["payload"])
                await self._answer()
            case 7:
                self.complete = json.loads(message["payload"])
            case 11:
                self.stderr += message["payload"]
            case 12:
                self.exit_code = message["payload"].decode()
            case _:
                self.stdout += message["payload"]

    async def _answer(self) -> None:
        """Answer the handshake: an action that is not known is said to be so."""
        actions = []
        errors = []
        for action in self.request["RequestedClientActions"]:
            name = action["ActionType"]
            if name == "SessionType" or (name == "ExitCode" and self._knows_exit_code):
                actions.append({"ActionType": name, "ActionStatus": 1, "ActionResult": None, "Error": ""})
            else:
                errors.append(f"Unsupported action {name}")
                actions.append({"ActionType": name, "ActionStatus": 0, "ActionResult": 3, "Error": errors[-1]})
        answer = {"ClientVersion": "1.2.707.0", "ProcessedClientActions": actions, "Errors": errors or None}
        await self.type(json.dumps(answer).encode(), RESPONSE)


@asynccontextmanager
async def plugin(
    session: dict[str, str], *, token: str | None = None, knows_exit_code: bool = True, **options: Any
) -> AsyncIterator[Plugin]:
    """Open the data channel of a session as ExecuteCommand has answered it; leaving breaks the line."""
    async with connect(session["streamUrl"], compression=None, proxy=None, **options) as socket:
        client = Plugin(socket, knows_exit_code=knows_exit_code)
        await client.open(session["tokenValue"] if token is None else token)
        async with anyio.create_task_group() as group:
            group.start_soon(client.run)
            yield client
            group.cancel_scope.cancel()
