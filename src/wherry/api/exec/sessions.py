"""The sessions of ECS Exec that this control plane knows. They are in memory: none outlives it.

A session has two tokens, one for the client and one for the agent. Each is good for one connection to one session, for
a minute; of either only a digest is kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Protocol

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from wherry.model.ids import Entropy, uuid
from wherry.model.protocol.acs import ExecuteCommandMessage

MOST = 20
"""Sessions that a container has at once (ECS quota)."""
TOKEN_LIFETIME = 60.0

_PREFIX = "ecs-execute-command-"


class Stream(Protocol):
    """Carries the texts and octets of a data channel; closed it raises anyio's `EndOfStream`, `ClosedResourceError`."""

    async def send(self, frame: str | bytes) -> None:
        """Send one frame; waits while the other side takes none."""
        ...

    async def receive(self) -> str | bytes:
        """Wait for the next frame."""
        ...

    async def aclose(self) -> None:
        """Close both directions; closing twice is fine."""
        ...


class TooManySessionsError(Exception):
    """The container has as many sessions as it may have."""


class UnreachableError(Exception):
    """The agent of the instance is not connected to this control plane."""


class Side(Enum):
    """Who a token is for."""

    CLIENT = "client"
    AGENT = "agent"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The container that a command is executed in, and where what it writes is recorded (a log group), if anywhere."""

    task_arn: str
    container_name: str
    instance_arn: str
    log_group: str | None = None


class Session:
    """A session, from ExecuteCommand to its end."""

    def __init__(
        self, target: Target, command: tuple[str, ...], *, interactive: bool, now: float, entropy: Entropy
    ) -> None:
        self.id = _PREFIX + base64.b32encode(entropy(16)).decode().rstrip("=").lower()
        self.target = target
        self.client_token, agent_token = _token(entropy), _token(entropy)
        self.order = ExecuteCommandMessage(
            message_id=uuid(entropy),
            session_id=self.id,
            token_value=agent_token,
            task_arn=target.task_arn,
            container_name=target.container_name,
            command=command,
            interactive=interactive,
        )
        self.expires_at = now + TOKEN_LIFETIME
        self.agent: Stream | None = None
        self.agent_came = anyio.Event()
        self.over = anyio.Event()
        self._digests = {Side.CLIENT: _digest(self.client_token), Side.AGENT: _digest(agent_token)}

    @property
    def begun(self) -> bool:
        """Whether the client has come."""
        return Side.CLIENT not in self._digests

    def claim(self, token: str, now: float) -> Side | None:
        """Take a token in for good; returns whose it is, None if it is nobody's, used already, or too late."""
        digest = _digest(token)
        for side, known in self._digests.items():
            if hmac.compare_digest(digest, known) and now < self.expires_at and (side is Side.CLIENT or self.begun):
                del self._digests[side]
                return side
        return None

    def meet(self, agent: Stream) -> None:
        """Take the agent's end."""
        self.agent = agent
        self.agent_came.set()


class Sessions:
    """All sessions, and the agents that can be told to begin one."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._agents: dict[str, MemoryObjectSendStream[ExecuteCommandMessage]] = {}

    @contextmanager
    def listen(self, instance_arn: str) -> Iterator[MemoryObjectReceiveStream[ExecuteCommandMessage]]:
        """Receive what the agent of an instance is to be told, for as long as it is connected here."""
        send, receive = anyio.create_memory_object_stream[ExecuteCommandMessage](1000)
        self._agents[instance_arn] = send
        try:
            yield receive
        finally:
            if self._agents.get(instance_arn) is send:
                del self._agents[instance_arn]
            send.close()
            receive.close()

    def reaches(self, instance_arn: str) -> bool:
        """Tell whether the agent of the instance is connected here."""
        return instance_arn in self._agents

    def open(
        self, target: Target, command: tuple[str, ...], *, interactive: bool, now: float, entropy: Entropy
    ) -> Session:
        """Open a session; raises `TooManySessionsError`, `UnreachableError`."""
        for stale in [one for one in self._sessions.values() if not one.begun and one.expires_at <= now]:
            self.end(stale)
        if not self.reaches(target.instance_arn):
            raise UnreachableError
        same = (target.task_arn, target.container_name)
        there = [one for one in self._sessions.values() if (one.target.task_arn, one.target.container_name) == same]
        if len(there) >= MOST:
            raise TooManySessionsError
        session = Session(target, command, interactive=interactive, now=now, entropy=entropy)
        self._sessions[session.id] = session
        return session

    def claim(self, session_id: str, token: str, now: float) -> tuple[Session, Side] | None:
        """Find the session that the token is for, and use the token up."""
        session = self._sessions.get(session_id)
        side = session.claim(token, now) if session is not None else None
        return None if session is None or side is None else (session, side)

    def begin(self, session: Session, now: float) -> None:
        """Tell the agent; raises `UnreachableError`."""
        agent = self._agents.get(session.target.instance_arn)
        if agent is None:
            raise UnreachableError
        session.expires_at = now + TOKEN_LIFETIME
        try:
            agent.send_nowait(session.order)
        except anyio.WouldBlock:
            raise UnreachableError from None

    def end(self, session: Session) -> None:
        """Forget a session, and let both ends know."""
        self._sessions.pop(session.id, None)
        session.over.set()


def _token(entropy: Entropy) -> str:
    return base64.urlsafe_b64encode(entropy(48)).decode()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
