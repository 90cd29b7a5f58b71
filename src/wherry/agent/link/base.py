"""What the agent needs of a control plane, whatever carries it: calls, and channels of frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from wherry.agent.spec import Struct


class UnreachableError(Exception):
    """No answer, or none that says anything about the request: try again later."""


class RefusedError(Exception):
    """The control plane answered with an AWS error: `code` is its name, `status` the one of HTTP."""

    def __init__(self, code: str, message: str, *, status: int = 400, request_id: str = "") -> None:
        """Take the error's name and text."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id

    @property
    def final(self) -> bool:
        """Whether the same request will never be taken, as the stock agent judges it (others may be mended)."""
        return self.code in {"ClientException", "InvalidParameterException", "ClusterNotFoundException"}

    @property
    def inactive(self) -> bool:
        """Whether the control plane does not know this container instance (any more)."""
        return self.code == "InactiveInstanceException"


class AccessKey(Struct, frozen=True):
    """Credentials to sign with; no text shows them."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("access_key_id", self.access_key_id)]


class Channel(Protocol):
    """Carries JSON objects. Once closed it raises anyio's `EndOfStream` on receive, `ClosedResourceError` on send."""

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one frame."""
        ...

    async def receive(self) -> dict[str, Any]:
        """Wait for the next frame."""
        ...

    async def aclose(self) -> None:
        """Close both directions; closing twice is fine."""
        ...


class DataStream(Protocol):
    """Carries the texts and octets of a data channel. Closed it raises as a `Channel` does."""

    async def send(self, frame: str | bytes) -> None:
        """Send one frame; waits while the other side takes none."""
        ...

    async def receive(self) -> str | bytes:
        """Wait for the next frame."""
        ...

    async def aclose(self) -> None:
        """Close both directions; closing twice is fine."""
        ...


class ControlPlane(Protocol):
    """One control plane. Its methods raise `UnreachableError` and `RefusedError`."""

    async def call(
        self, operation: str, parameters: Mapping[str, Any], *, service: str = "ecs", signer: AccessKey | None = None
    ) -> dict[str, Any]:
        """Carry out an operation of `service` (ecs, logs, ssm, secretsmanager); members are named as AWS names them.

        `signer` is the role in whose name it is done; without it the agent's own credentials sign.
        """
        ...

    async def connect(self, endpoint: str, query: Mapping[str, str]) -> Channel:
        """Open the websocket `ws` under an endpoint that DiscoverPollEndpoint named (http or https)."""
        ...

    async def open_data_channel(self, session_id: str) -> DataStream:
        """Open the websocket of a session of ECS Exec, as its agent's side."""
        ...
