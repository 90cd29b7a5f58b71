"""Keeping a channel open: dial, converse, pause, dial again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import structlog

from wherry.agent.backoff import Backoff
from wherry.agent.link.base import Channel, RefusedError, UnreachableError
from wherry.model.ids import Entropy
from wherry.model.protocol.frames import ProtocolError

log = structlog.get_logger()

WORTHWHILE = 1.0
"""Seconds that a conversation must last to count as a success."""


class Conversation:
    """One use of a channel; `heard` is set by the first frame, which proves that somebody is there."""

    def __init__(self, channel: Channel) -> None:
        """Begin on an open channel."""
        self.channel = channel
        self.heard = False


async def keep_open(
    name: str,
    dial: Callable[[], Awaitable[Channel]],
    converse: Callable[[Conversation], Awaitable[None]],
    *,
    on_inactive: Callable[[], Awaitable[None]],
    entropy: Entropy,
) -> None:
    """Converse over one channel after the other until cancelled.

    A conversation that ends after something was heard is taken up again at once. Where nobody is heard, the pauses grow
    from 0.25 s to 30 s. Conversations too short to be worth it have pauses of their own, from 1 s to 8 s: two agents of
    one instance, each of which ends the other's conversation, do not spin, and a line that breaks now and then does not
    keep the agent away for long. `on_inactive` is called when the control plane does not know this instance.
    """
    unheard = Backoff(0.25, 30, 1.5, entropy)
    short = Backoff(1, 8, 2, entropy)
    while True:
        try:
            conversation = Conversation(await dial())
        except (UnreachableError, RefusedError) as error:
            pause = unheard.pause()
            log.warning("link_failed", link=name, error=str(error), retry_in=round(pause, 2))
            if isinstance(error, RefusedError) and error.inactive:
                await on_inactive()
            await anyio.sleep(pause)
            continue
        log.info("link_open", link=name)
        began = anyio.current_time()
        try:
            await converse(conversation)
        except* (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            log.info("link_closed", link=name)
        except* ProtocolError as errors:
            log.warning("link_protocol_error", link=name, error=str(errors.exceptions[0]))
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                await conversation.channel.aclose()
        if not conversation.heard:
            await anyio.sleep(unheard.pause())
            continue
        unheard.reset()
        if anyio.current_time() - began > WORTHWHILE:
            short.reset()
        else:
            await anyio.sleep(short.pause())
