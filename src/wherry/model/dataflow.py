"""One end of a data channel: what is still to be acknowledged, sent again, put in order. Pure: times are arguments.

Both ends work alike (aws/session-manager-plugin src/datachannel): stream messages are numbered from 0, each is
acknowledged by its number, the oldest is sent again when its acknowledgement takes longer than the line has shown to
need. That is what makes the stock plugin work, which drops output until it is ready for it. How many may be on their
way is limited, so that a slow reader slows the program.
"""

from __future__ import annotations

import msgspec

from wherry.model.datachannel import (
    HEADER_SIZE,
    AcknowledgeContent,
    DataChannelError,
    Flags,
    Message,
    MessageType,
    PayloadType,
    decode,
    encode,
    from_json,
    to_json,
)
from wherry.model.ids import Entropy, uuid

WINDOW = 1024 * 1024
"""Octets from the oldest message that is on its way: fewer messages than the 10,000 that the plugin keeps early."""
EARLY = 2 * WINDOW
"""Octets that are kept for their turn."""

_FIRST_TIMEOUT = 0.2
_LONGEST_TIMEOUT = 1.0
_GRANULARITY = 0.01
_TIME_WEIGHT, _VARIATION_WEIGHT = 1 / 8, 1 / 4


class _Sent(msgspec.Struct):
    frame: bytes
    at: float
    before: int
    """Octets that had been said before."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a frame: an `answer` to send, stream messages whose turn has come, or one of any other type."""

    answer: bytes | None = None
    ready: tuple[Message, ...] = ()
    other: Message | None = None


class End:
    """One end, from the first message to the last. `now` is always in epoch seconds."""

    def __init__(self, speaks: MessageType, hears: MessageType, *, entropy: Entropy) -> None:
        """Say messages of the one type and hear those of the other."""
        self._speaks = speaks
        self._hears = hears
        self._entropy = entropy
        self._next = 0
        self._unacknowledged: dict[int, _Sent] = {}
        self._said = 0
        self._expected = 0
        self._early: dict[int, Message] = {}
        self._kept = 0
        self._paused = False
        self._round_trip = 0.1
        self._variation = 0.0
        self._timeout = _FIRST_TIMEOUT

    @property
    def full(self) -> bool:
        """Whether nothing more should be said until something is acknowledged."""
        oldest = next(iter(self._unacknowledged.values()), None)
        return self._paused or (oldest is not None and self._said - oldest.before >= WINDOW)

    @property
    def settled(self) -> bool:
        """Whether everything said has arrived."""
        return not self._unacknowledged

    def say(self, payload_type: PayloadType, payload: bytes, *, now: float, last: bool = False) -> bytes:
        """Number a message and remember it until it is acknowledged; `last` tells that no other follows."""
        message = self._message(
            self._speaks,
            payload,
            now=now,
            payload_type=payload_type,
            sequence_number=self._next,
            flags=(Flags.NONE if self._next else Flags.SYN) | (Flags.FIN if last else Flags.NONE),
        )
        frame = encode(message)
        self._unacknowledged[self._next] = _Sent(frame, now, self._said)
        self._said += len(frame)
        self._next += 1
        return frame

    def close(self, content: bytes, *, now: float) -> bytes:
        """Write the message that ends the channel."""
        return encode(self._message(MessageType.CHANNEL_CLOSED, content, now=now, flags=Flags.SYN | Flags.FIN))

    def hear(self, frame: bytes, *, now: float, room: bool = True) -> Heard:
        """Take a frame in; without `room` a stream message is left to be sent again. Raises `DataChannelError`."""
        message = decode(frame)
        match message.message_type:
            case self._hears:
                return self._take(message, now=now, room=room)
            case MessageType.ACKNOWLEDGE:
                self._acknowledged(from_json(message.payload, AcknowledgeContent).sequence_number, now=now)
            case MessageType.PAUSE_PUBLICATION | MessageType.START_PUBLICATION:
                self._paused = message.message_type == MessageType.PAUSE_PUBLICATION
            case MessageType.INPUT_STREAM_DATA | MessageType.OUTPUT_STREAM_DATA:
                raise DataChannelError(f"{message.message_type} is what this end says itself")
            case _:
                return Heard(other=message)
        return Heard()

    def overdue(self, now: float) -> bytes | None:
        """Return the oldest message if it has to be sent again."""
        oldest = next(iter(self._unacknowledged.values()), None)
        if oldest is None or self._paused or now - oldest.at <= self._timeout:
            return None
        oldest.at = now
        return oldest.frame

    def _take(self, message: Message, *, now: float, room: bool) -> Heard:
        number = message.sequence_number
        if number >= self._expected and not self._keep(message, room=room):
            return Heard()
        ready = []
        while (following := self._early.pop(self._expected, None)) is not None:
            self._kept -= _weight(following)
            ready.append(following)
            self._expected += 1
        # One that is heard again is acknowledged again: its acknowledgement has been lost.
        return Heard(answer=self._acknowledgement(message, now=now), ready=tuple(ready))

    def _keep(self, message: Message, *, room: bool) -> bool:
        """Keep a message for its turn, which may have come; False if there is no place for it."""
        number = message.sequence_number
        if number in self._early:
            return True
        if not room or (number > self._expected and self._kept >= EARLY):
            return False
        self._early[number] = message
        self._kept += _weight(message)
        return True

    def _acknowledgement(self, message: Message, *, now: float) -> bytes:
        content = AcknowledgeContent(
            message_type=message.message_type,
            message_id=message.message_id,
            sequence_number=message.sequence_number,
        )
        return encode(self._message(MessageType.ACKNOWLEDGE, to_json(content), now=now, flags=Flags.SYN | Flags.FIN))

    def _acknowledged(self, number: int, *, now: float) -> None:
        sent = self._unacknowledged.pop(number, None)
        if sent is None:
            return
        took = max(0.0, now - sent.at)
        self._variation += _VARIATION_WEIGHT * (abs(self._round_trip - took) - self._variation)
        self._round_trip += _TIME_WEIGHT * (took - self._round_trip)
        self._timeout = min(_LONGEST_TIMEOUT, self._round_trip + max(_GRANULARITY, 4 * self._variation))

    def _message(
        self,
        message_type: MessageType,
        payload: bytes,
        *,
        now: float,
        flags: int,
        payload_type: PayloadType = PayloadType.NONE,
        sequence_number: int = 0,
    ) -> Message:
        return Message(
            message_type=message_type,
            message_id=uuid(self._entropy),
            created_date=int(now * 1000),
            sequence_number=sequence_number,
            flags=flags,
            payload_type=payload_type,
            payload=payload,
        )


def _weight(message: Message) -> int:
    return HEADER_SIZE + len(message.payload)
