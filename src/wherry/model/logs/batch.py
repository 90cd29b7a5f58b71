"""The rules of a batch of PutLogEvents: what is refused as a whole, and which of its events are rejected."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from wherry.model.errors import InvalidParameterException
from wherry.model.logs.chunk import EVENT_BYTES, MAX_SPAN_MS, Event
from wherry.model.logs.nouns import DAY_MS

MAX_EVENTS = 10_000
MAX_BYTES = 1_048_576
TOO_NEW_MS = 2 * 3600 * 1000
TOO_OLD_MS = 14 * DAY_MS


class Verdict(msgspec.Struct, frozen=True):
    """What is kept of a batch, and what PutLogEvents says of the rest: members of RejectedLogEventsInfo."""

    accepted: list[Event]
    rejected: dict[str, int]


def judge(batch: Sequence[Mapping[str, Any]], *, now_ms: int, expired_before: int) -> Verdict:
    """Check a batch of AWS's InputLogEvents; raises `InvalidParameterException` if all of it is refused.

    What is older than 14 days, expired (`expired_before` in epoch milliseconds) or more than two hours ahead of
    `now_ms` is rejected by itself. The sequence numbers of the accepted events count from 0.
    """
    _check_size(batch)
    times = [event["timestamp"] for event in batch]
    if any(later < earlier for earlier, later in pairwise(times)):
        raise InvalidParameterException("Log events in a single PutLogEvents request must be in chronological order.")
    too_old = _first_at(times, now_ms - TOO_OLD_MS)
    expired = _first_at(times, expired_before)
    too_new = _first_at(times, now_ms + TOO_NEW_MS + 1)
    start = max(too_old, expired)
    if start < too_new and times[too_new - 1] - times[start] > MAX_SPAN_MS:
        raise InvalidParameterException(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    accepted = [
        Event(event["timestamp"], number, now_ms, event["message"]) for number, event in enumerate(batch[start:too_new])
    ]
    rejected = {"tooOldLogEventEndIndex": too_old} if too_old else {}
    if expired > too_old:
        rejected["expiredLogEventEndIndex"] = expired
    if too_new < len(times):
        rejected["tooNewLogEventStartIndex"] = too_new
    return Verdict(accepted, rejected)


def _check_size(batch: Sequence[Mapping[str, Any]]) -> None:
    if not 1 <= len(batch) <= MAX_EVENTS:
        raise InvalidParameterException(
            "1 validation error detected: Value at 'logEvents' failed to satisfy constraint: "
            f"Member must have length between 1 and {MAX_EVENTS}"
        )
    messages = [event["message"] for event in batch]
    if not all(messages):
        empty = messages.index("") + 1
        raise InvalidParameterException(
            f"1 validation error detected: Value '' at 'logEvents.{empty}.member.message' failed to satisfy "
            "constraint: Member must have length greater than or equal to 1"
        )
    if any(event["timestamp"] < 0 for event in batch):
        raise InvalidParameterException(
            "1 validation error detected: A value at 'logEvents.member.timestamp' failed to satisfy constraint: "
            "Member must have value greater than or equal to 0"
        )
    size = len("".join(messages).encode()) + EVENT_BYTES * len(messages)
    if size > MAX_BYTES:
        raise InvalidParameterException(f"Upload too large: {size} bytes exceeds limit of {MAX_BYTES}")


def _first_at(times: Sequence[int], bound: int) -> int:
    """Count the times before `bound`, which are the first ones."""
    return bisect_left(times, bound)
