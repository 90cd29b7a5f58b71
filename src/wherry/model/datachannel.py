"""The messages of a Session Manager data channel: what the session-manager-plugin and an agent say to each other.

Each end first sends `OpenDataChannelInput` as a JSON text; everything after that is a binary message of a header of 120
octets, big-endian, and a payload (reference §12; aws/session-manager-plugin src/message).
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum, IntFlag, StrEnum
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

PAYLOAD_SIZE = 1024
"""Octets that one stream message carries, as of the SSM agent: some clients read into buffers hardly larger."""
BULK_SIZE = 16 * 1024
"""The same where there is no terminal: ECS has no such sessions, and so no clients of old for them."""
MAX_FRAME = 64 * 1024
"""The longest message that anybody has reason to send."""
PATH = "/v1/data-channel/"
"""Where the websocket of a session is: its id follows."""
QUERY = "role=publish_subscribe"

_HEADER = struct.Struct(">I32sIQqQ8s8s32sII")
HEADER_SIZE = _HEADER.size
_HEADER_LENGTH = HEADER_SIZE - 4
"""Counted up to the payload's length, which follows the header."""
_SCHEMA_VERSION = 1
_EXIT_CODE = "EXIT_CODE: "

T = TypeVar("T")


class MessageType(StrEnum):
    """What a message is for."""

    INPUT_STREAM_DATA = "input_stream_data"
    OUTPUT_STREAM_DATA = "output_stream_data"
    ACKNOWLEDGE = "acknowledge"
    CHANNEL_CLOSED = "channel_closed"
    START_PUBLICATION = "start_publication"
    PAUSE_PUBLICATION = "pause_publication"


class PayloadType(IntEnum):
    """What the payload of a stream message is."""

    NONE = 0
    OUTPUT = 1
    ERROR = 2
    SIZE = 3
    PARAMETER = 4
    HANDSHAKE_REQUEST = 5
    HANDSHAKE_RESPONSE = 6
    HANDSHAKE_COMPLETE = 7
    ENC_CHALLENGE_REQUEST = 8
    ENC_CHALLENGE_RESPONSE = 9
    FLAG = 10
    STD_ERR = 11
    EXIT_CODE = 12


class Flags(IntFlag):
    """Marks the first (SYN) and the last (FIN) message of a stream; an acknowledgement is both."""

    NONE = 0
    SYN = 1
    FIN = 2


class PayloadFlag(IntEnum):
    """The payload of a message of type FLAG: four octets."""

    DISCONNECT_TO_PORT = 1
    TERMINATE_SESSION = 2
    CONNECT_TO_PORT_ERROR = 3


class DataChannelError(ValueError):
    """A frame that is not of the protocol; the text says why."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `created_date` in epoch milliseconds, `message_id` a uuid; the lengths and the digest follow."""

    message_type: str
    message_id: str
    created_date: int
    sequence_number: int = 0
    flags: int = Flags.NONE
    payload_type: int = PayloadType.NONE
    payload: bytes = b""
    schema_version: int = _SCHEMA_VERSION

    def __repr__(self) -> str:
        """Without the payload: people type passwords."""
        return f"Message({self.message_type}, {self.sequence_number}, {self.payload_type}, {len(self.payload)} octets)"


class _Content(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Base of what is written in JSON."""


class OpenDataChannelInput(_Content, frozen=True):
    """The first frame of either end, a text: the token shows that it may take part."""

    token_value: Annotated[str, Meta(max_length=1024)]
    message_schema_version: str = "1.0"
    request_id: str = ""
    client_id: str = ""
    client_version: str = ""

    def __repr__(self) -> str:
        """Without the token."""
        return f"OpenDataChannelInput(client_version={self.client_version!r})"


class AcknowledgeContent(msgspec.Struct, frozen=True, kw_only=True):
    """Which message has arrived."""

    message_type: str = msgspec.field(name="AcknowledgedMessageType")
    message_id: str = msgspec.field(name="AcknowledgedMessageId")
    sequence_number: Annotated[int, Meta(ge=0, le=2**63 - 1)] = msgspec.field(name="AcknowledgedMessageSequenceNumber")
    is_sequential_message: bool = msgspec.field(name="IsSequentialMessage", default=True)


class ChannelClosed(_Content, frozen=True):
    """The session is over; `output` says why, and is empty where the command simply ended."""

    message_id: str
    created_date: str
    destination_id: str
    session_id: str
    message_type: str = MessageType.CHANNEL_CLOSED
    schema_version: int = _SCHEMA_VERSION
    output: str = ""


class SizeData(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the terminal, in characters."""

    cols: Annotated[int, Meta(ge=0, le=65535)]
    rows: Annotated[int, Meta(ge=0, le=65535)]


class ActionType(StrEnum):
    """What the agent asks of a client in the handshake.

    EXIT_CODE is Wherry's own. Clients answer that an action is not supported by them, as the handshake provides; those
    then get no exit code, which the stock plugin would print as if it were output.
    """

    SESSION_TYPE = "SessionType"
    KMS_ENCRYPTION = "KMSEncryption"
    EXIT_CODE = "ExitCode"


class SessionType(StrEnum):
    """How a client is to behave."""

    STANDARD_STREAM = "Standard_Stream"
    INTERACTIVE_COMMANDS = "InteractiveCommands"
    NON_INTERACTIVE_COMMANDS = "NonInteractiveCommands"


class ActionStatus(IntEnum):
    """What has become of an action."""

    SUCCESS = 1
    FAILED = 2
    UNSUPPORTED = 3


class RequestedClientAction(_Content, frozen=True):
    """An action that is asked for."""

    action_type: str
    action_parameters: Any = None


class HandshakeRequest(_Content, frozen=True):
    """The agent introduces itself."""

    agent_version: str
    requested_client_actions: tuple[RequestedClientAction, ...] = ()


class ProcessedClientAction(_Content, frozen=True):
    """An action as the client has carried it out."""

    action_type: str
    action_status: int = 0
    action_result: Any = None
    error: str = ""


class HandshakeResponse(_Content, frozen=True):
    """So does the client."""

    client_version: str = ""
    processed_client_actions: tuple[ProcessedClientAction, ...] | None = None
    errors: tuple[str, ...] | None = None

    def succeeded(self, action: ActionType) -> bool:
        """Tell whether the client has carried an action out."""
        done = self.processed_client_actions or ()
        return any(one.action_type == action and one.action_status == ActionStatus.SUCCESS for one in done)


class HandshakeComplete(_Content, frozen=True):
    """From now on the payloads are the command's; the time is in nanoseconds."""

    handshake_time_to_complete: int = 0
    customer_message: str = ""


def encode(message: Message) -> bytes:
    """Write a message as a frame."""
    identity = _octets(message.message_id)
    return (
        _HEADER.pack(
            _HEADER_LENGTH,
            message.message_type.encode().ljust(32),
            message.schema_version,
            message.created_date,
            message.sequence_number,
            message.flags,
            # Two longs, the less significant one first.
            identity[8:],
            identity[:8],
            hashlib.sha256(message.payload).digest(),
            message.payload_type,
            len(message.payload),
        )
        + message.payload
    )


def decode(frame: bytes) -> Message:
    """Read a frame; raises `DataChannelError`."""
    if not HEADER_SIZE <= len(frame) <= MAX_FRAME:
        raise DataChannelError(f"a message has {HEADER_SIZE} to {MAX_FRAME} octets, not {len(frame)}")
    length, _, schema, created, sequence, flags, low, high, digest, payload_type, size = _HEADER.unpack_from(frame)
    payload = frame[length + 4 :]
    if length != _HEADER_LENGTH or len(payload) != size:
        raise DataChannelError(f"the header has {length} octets and the payload {size}, says a frame of {len(frame)}")
    if size and hashlib.sha256(payload).digest() != digest:
        raise DataChannelError("the payload is not the one of its digest")
    if sequence < 0:
        raise DataChannelError(f"no message has the number {sequence}")
    return Message(
        message_type=message_type(frame),
        message_id=_uuid(high + low),
        created_date=created,
        sequence_number=sequence,
        flags=flags,
        payload_type=payload_type,
        payload=payload,
        schema_version=schema,
    )


def message_type(frame: bytes) -> str:
    """Read what a frame is for, and nothing else of it; a relay needs no more."""
    return frame[4:36].strip(b"\0 ").decode(errors="replace")


def to_json(content: msgspec.Struct) -> bytes:
    """Write the content of a message."""
    return msgspec.json.encode(content)


def from_json(text: bytes | str, shape: type[T]) -> T:
    """Read the content of a message; raises `DataChannelError`."""
    try:
        return msgspec.json.decode(text, type=shape)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise DataChannelError(f"{shape.__name__}: {error}") from None


def exit_code_payload(code: int) -> bytes:
    """Write an exit code as the SSM agent does."""
    return f"{_EXIT_CODE}{code}".encode()


def read_exit_code(payload: bytes) -> int:
    """Read it; raises `DataChannelError`."""
    try:
        return int(payload.decode().removeprefix(_EXIT_CODE))
    except ValueError:
        raise DataChannelError("not an exit code") from None


def is_termination(message: Message) -> bool:
    """Tell whether the client asks for the session's end."""
    return message.payload_type == PayloadType.FLAG and message.payload == terminate_payload()


def terminate_payload() -> bytes:
    """Write the flag by which a client asks for the session's end."""
    return PayloadFlag.TERMINATE_SESSION.to_bytes(4, "big")


def _octets(uuid: str) -> bytes:
    return bytes.fromhex(uuid.replace("-", ""))


def _uuid(octets: bytes) -> str:
    text = octets.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
