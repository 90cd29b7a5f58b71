"""The engine's own copy of what a container wrote, as its API frames it."""

from __future__ import annotations

import struct

from wherry.agent.logs.joining import LONGEST_EVENT
from wherry.agent.logs.stream import Line
from wherry.agent.runtime.docker.copies import frames, lines

STAMP = "2026-11-26T13:45:59.498632105Z"
AT = 1795700759_498632105


def framed(*messages: str) -> bytes:
    written = [f"{STAMP} {message}".encode() for message in messages]
    return b"".join(struct.pack(">BxxxL", 1, len(one)) + one for one in written)


def test_each_frame_is_what_the_driver_was_given_at_once() -> None:
    # A line that is too long comes in pieces, and no break follows the last of them.
    long, rest = "y" * LONGEST_EVENT, "y" * 75_764
    copy = framed("short\n", "\n", long, long, rest, "next 1\n")
    assert list(lines(frames(copy))) == [Line(at=AT, text=text) for text in ("short", "", long, long, rest, "next 1")]
