"""The messages of a data channel, byte for byte and back."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model import datachannel
from wherry.model.datachannel import (
    AcknowledgeContent,
    ActionType,
    ChannelClosed,
    DataChannelError,
    HandshakeRequest,
    HandshakeResponse,
    Message,
    MessageType,
    OpenDataChannelInput,
    PayloadType,
    RequestedClientAction,
    SizeData,
    decode,
    encode,
)

IDENTITY = "dd01e56b-ff48-483e-a508-b5f073f31b16"

WRITTEN = bytes.fromhex(
    "00000074"
    "696e7075745f73747265616d5f64617461202020202020202020202020202020"
    "00000001"
    "0000015e0baa7884"
    "0000000000000002"
    "0000000000000003"
    "a508b5f073f31b16dd01e56bff48483e"
    "239f59ed55e737c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5"
    "00000001"
    "00000007"
    "7061796c6f6164"
)
"""A message put together by hand from the table of reference §12."""

READ = Message(
    message_type=MessageType.INPUT_STREAM_DATA,
    message_id=IDENTITY,
    created_date=1503434274948,
    sequence_number=2,
    flags=3,
    payload_type=PayloadType.OUTPUT,
    payload=b"payload",
)


def test_a_message_is_written_byte_for_byte_as_the_plugin_does() -> None:
    assert encode(READ) == WRITTEN
    assert WRITTEN[80:112] == hashlib.sha256(b"payload").digest()


def test_a_message_is_read_again() -> None:
    assert decode(WRITTEN) == READ
    assert datachannel.message_type(WRITTEN) == "input_stream_data"


MESSAGES = st.builds(
    Message,
    message_type=st.sampled_from(MessageType),
    message_id=st.uuids().map(str),
    created_date=st.integers(0, 2**64 - 1),
    sequence_number=st.integers(0, 2**63 - 1),
    flags=st.integers(0, 2**64 - 1),
    payload_type=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=2000),
    schema_version=st.integers(0, 2**32 - 1),
)


@given(MESSAGES)
def test_whatever_is_written_is_read_as_it_was(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=400))
def test_no_frame_is_more_than_an_error(frame: bytes) -> None:
    with pytest.raises(DataChannelError):
        decode(frame)


@pytest.mark.parametrize(
    "frame",
    [
        WRITTEN[:-1],
        WRITTEN + b"!",
        WRITTEN[:-1] + b"D",
        b"\x00\x00\x00\x75" + WRITTEN[4:],
        b"\xff\xff\xff\xff" + WRITTEN[4:],
        WRITTEN[:48] + b"\xff" + WRITTEN[49:],
        WRITTEN[:119],
        WRITTEN + bytes(datachannel.MAX_FRAME),
    ],
)
def test_a_damaged_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(DataChannelError):
        decode(frame)


def test_a_type_may_be_padded_with_zeros() -> None:
    padded = WRITTEN[:21] + bytes(15) + WRITTEN[36:]
    assert decode(padded).message_type == MessageType.INPUT_STREAM_DATA


def test_contents_have_the_names_of_the_protocol() -> None:
    assert datachannel.to_json(
        AcknowledgeContent(message_type="output_stream_data", message_id=IDENTITY, sequence_number=7)
    ) == (
        b'{"AcknowledgedMessageType":"output_stream_data","AcknowledgedMessageId":"dd01e56b-ff48-483e-a508-'
        b'b5f073f31b16","AcknowledgedMessageSequenceNumber":7,"IsSequentialMessage":true}'
    )
    assert datachannel.to_json(SizeData(cols=80, rows=24)) == b'{"cols":80,"rows":24}'
    closed = ChannelClosed(message_id="m", created_date="1", destination_id="d", session_id="s", output="why")
    assert datachannel.to_json(closed) == (
        b'{"MessageId":"m","CreatedDate":"1","DestinationId":"d","SessionId":"s","MessageType":"channel_closed",'
        b'"SchemaVersion":1,"Output":"why"}'
    )
    request = HandshakeRequest(
        agent_version="3.1",
        requested_client_actions=(
            RequestedClientAction(action_type="SessionType", action_parameters={"SessionType": "InteractiveCommands"}),
        ),
    )
    assert datachannel.to_json(request) == (
        b'{"AgentVersion":"3.1","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":'
        b'{"SessionType":"InteractiveCommands"}}]}'
    )


def test_the_first_frame_is_read_as_the_plugin_writes_it() -> None:
    opening = datachannel.from_json(
        '{"MessageSchemaVersion":"1.0","RequestId":"r","TokenValue":"secret","ClientId":"c","ClientVersion":"1.2.0.0"}',
        OpenDataChannelInput,
    )
    assert (opening.token_value, opening.client_version) == ("secret", "1.2.0.0")
    assert "secret" not in repr(opening)


def test_an_answer_without_lists_has_carried_nothing_out() -> None:
    said = datachannel.from_json(
        b'{"ClientVersion":"1.2","ProcessedClientActions":null,"Errors":null}', HandshakeResponse
    )
    assert not said.succeeded(ActionType.EXIT_CODE)


def test_an_action_counts_only_if_it_succeeded() -> None:
    said = (
        b'{"ClientVersion":"1.2","ProcessedClientActions":['
        b'{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""},'
        b'{"ActionType":"ExitCode","ActionStatus":0,"ActionResult":3,"Error":"Unsupported action ExitCode"}],'
        b'"Errors":["Unsupported action ExitCode"]}'
    )
    response = datachannel.from_json(said, HandshakeResponse)
    assert response.succeeded(ActionType.SESSION_TYPE)
    assert not response.succeeded(ActionType.EXIT_CODE)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"cols": -1, "rows": 2}', b'{"cols": "80", "rows": 2}', b"\xff"])
def test_content_that_is_not_to_be_read_is_an_error(text: bytes) -> None:
    with pytest.raises(DataChannelError):
        datachannel.from_json(text, SizeData)


@pytest.mark.parametrize("code", [0, 1, 137, 255])
def test_exit_codes_are_written_as_the_ssm_agent_does(code: int) -> None:
    payload = datachannel.exit_code_payload(code)
    assert payload == f"EXIT_CODE: {code}".encode()
    assert datachannel.read_exit_code(payload) == code


def test_nonsense_is_no_exit_code() -> None:
    with pytest.raises(DataChannelError):
        datachannel.read_exit_code(b"EXIT_CODE: \xff")


def test_termination_is_a_flag() -> None:
    flag = Message(
        message_type=MessageType.INPUT_STREAM_DATA,
        message_id=IDENTITY,
        created_date=1,
        payload_type=PayloadType.FLAG,
        payload=b"\x00\x00\x00\x02",
    )
    assert datachannel.is_termination(flag)
    assert not datachannel.is_termination(READ)


def test_a_message_does_not_show_what_was_typed() -> None:
    assert "payload" not in repr(READ)
