"""A two-way stream of frames to one agent, whatever carries it."""

from __future__ import annotations

from typing import Any, Protocol


class Channel(Protocol):
    """Carries JSON objects; once closed, receiving raises anyio's `EndOfStream` and sending `ClosedResourceError`."""

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one frame."""
        ...

    async def receive(self) -> dict[str, Any]:
        """Wait for the next frame."""
        ...

    async def aclose(self) -> None:
        """Close both directions; closing twice is fine."""
        ...
