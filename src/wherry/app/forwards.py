"""What the settings say about services that others carry out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wherry.app.start import StartError
from wherry.settings import Settings

if TYPE_CHECKING:
    from wherry.wire.forward import Forward, Forwarder

OWN = frozenset({"ecs", "ec2", "iam", "sts"})
"""Services that Wherry is: tasks, their networks and their identities are here, whoever else has some."""

PLACEHOLDER = "wherry"
"""What is signed with where none are given: emulators insist on credentials, and do not look at them."""


def forwards_of(settings: Settings) -> dict[str, Forward]:
    """Read WHERRY_FORWARD and what goes with it; raises `StartError`."""
    if not settings.forward:
        return {}
    from wherry.wire import forward  # noqa: PLC0415 - an HTTP client loads long, and few need one

    try:
        places = forward.read_places(settings.forward)
    except ValueError as error:
        raise StartError(f"WHERRY_FORWARD cannot be used: {error}", "Write SERVICE=URL, separated by commas.") from None
    for service_id, url in places.items():
        if service_id in OWN:
            raise StartError(
                f"{service_id} cannot be forwarded: Wherry is this service.", "Take it out of WHERRY_FORWARD."
            )
        if settings.forward_access_key_id is None and (urlsplit(url).hostname or "").endswith(".amazonaws.com"):
            raise StartError(
                f"{service_id} is forwarded to AWS, which wants credentials.",
                "Set WHERRY_FORWARD_ACCESS_KEY_ID and WHERRY_FORWARD_SECRET_ACCESS_KEY.",
            )
    return {
        service_id: forward.Forward(
            url=url,
            region=settings.forward_region or settings.region,
            access_key_id=settings.forward_access_key_id or PLACEHOLDER,
            secret_access_key=settings.forward_secret_access_key or PLACEHOLDER,
            session_token=settings.forward_session_token,
        )
        for service_id, url in places.items()
    }


@asynccontextmanager
async def forwarding(forwards: Mapping[str, Forward]) -> AsyncIterator[Forwarder | None]:
    """Keep connections to the endpoints open meanwhile; there is nobody to pass on to where there are none."""
    if not forwards:
        yield None
        return
    from wherry.wire import forward  # noqa: PLC0415 - as above

    async with forward.forwarding(forwards) as forwarder:
        yield forwarder
