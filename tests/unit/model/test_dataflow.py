"""One end of a data channel: numbers, acknowledgements, what is sent again; nothing is lost or out of order."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.datachannel import DataChannelError, Flags, Message, MessageType, PayloadType, decode, encode
from wherry.model.dataflow import EARLY, WINDOW, End

INPUT, OUTPUT = MessageType.INPUT_STREAM_DATA, MessageType.OUTPUT_STREAM_DATA
NOW = 1_700_000_000.0


def ends(seed: int = 0) -> tuple[End, End]:
    random = Random(seed)
    return End(OUTPUT, INPUT, entropy=random.randbytes), End(INPUT, OUTPUT, entropy=random.randbytes)


def say(end: End, text: bytes, now: float = NOW) -> bytes:
    return end.say(PayloadType.OUTPUT, text, now=now)


def texts(messages: tuple[Message, ...]) -> list[bytes]:
    return [message.payload for message in messages]


def test_messages_are_numbered_from_zero_and_the_first_is_marked() -> None:
    agent, _ = ends()
    first, second = decode(say(agent, b"a")), decode(say(agent, b"b"))
    assert (first.sequence_number, first.flags) == (0, Flags.SYN)
    assert (second.sequence_number, second.flags) == (1, 0)
    last = decode(agent.say(PayloadType.OUTPUT, b"", now=NOW, last=True))
    assert last.flags == Flags.FIN


def test_what_arrives_is_acknowledged_by_its_number() -> None:
    agent, client = ends()
    heard = client.hear(say(agent, b"a"), now=NOW)
    assert texts(heard.ready) == [b"a"]
    assert heard.answer is not None
    answer = decode(heard.answer)
    assert (answer.message_type, answer.sequence_number, answer.flags) == ("acknowledge", 0, 3)
    assert not agent.settled
    agent.hear(heard.answer, now=NOW)
    assert agent.settled


def test_early_messages_wait_for_their_turn() -> None:
    agent, client = ends()
    frames = [say(agent, text) for text in (b"a", b"b", b"c")]
    assert client.hear(frames[2], now=NOW).ready == ()
    assert client.hear(frames[1], now=NOW).ready == ()
    assert texts(client.hear(frames[0], now=NOW).ready) == [b"a", b"b", b"c"]


def test_one_that_comes_twice_is_acknowledged_twice_and_delivered_once() -> None:
    agent, client = ends()
    frame = say(agent, b"a")
    client.hear(frame, now=NOW)
    again = client.hear(frame, now=NOW)
    assert again.ready == ()
    assert again.answer is not None


def test_without_room_nothing_is_acknowledged_and_so_comes_again() -> None:
    agent, client = ends()
    frame = say(agent, b"a")
    heard = client.hear(frame, now=NOW, room=False)
    assert (heard.answer, heard.ready) == (None, ())
    assert texts(client.hear(frame, now=NOW).ready) == [b"a"]


def test_the_oldest_is_sent_again_when_its_acknowledgement_is_late() -> None:
    agent, client = ends()
    first, _ = say(agent, b"a"), say(agent, b"b")
    assert agent.overdue(NOW + 0.1) is None
    assert agent.overdue(NOW + 0.3) == first
    assert agent.overdue(NOW + 0.4) is None
    heard = client.hear(first, now=NOW)
    assert heard.answer is not None
    agent.hear(heard.answer, now=NOW + 0.45)
    assert agent.overdue(NOW + 0.5) is not None


def test_a_slow_line_is_given_more_time_but_never_more_than_a_second() -> None:
    agent, client = ends()
    now = NOW
    for _ in range(50):
        heard = client.hear(say(agent, b"x", now), now=now)
        assert heard.answer is not None
        now += 5
        agent.hear(heard.answer, now=now)
    say(agent, b"x", now)
    assert agent.overdue(now + 0.9) is None
    assert agent.overdue(now + 1.1) is not None


def test_only_so_much_is_on_its_way() -> None:
    agent, client = ends()
    frames = []
    while not agent.full:
        frames.append(say(agent, bytes(1024)))
    assert WINDOW <= sum(map(len, frames)) < WINDOW + 2048
    heard = client.hear(frames[0], now=NOW)
    assert heard.answer is not None
    agent.hear(heard.answer, now=NOW)
    assert not agent.full


def test_what_comes_early_is_kept_within_limits() -> None:
    agent, client = ends()
    frames = [say(agent, bytes(60_000)) for _ in range(EARLY // 60_000 + 10)]
    kept = sum(client.hear(frame, now=NOW).answer is not None for frame in frames[1:])
    assert kept * 60_000 <= EARLY + 60_000
    assert kept < len(frames) - 1


def test_publication_may_pause() -> None:
    agent, _ = ends()
    say(agent, b"a")
    for kind, paused in ((MessageType.PAUSE_PUBLICATION, True), (MessageType.START_PUBLICATION, False)):
        agent.hear(encode(Message(message_type=kind, message_id="0" * 32, created_date=1)), now=NOW)
        assert agent.full is paused
        assert (agent.overdue(NOW + 10) is None) is paused


def test_what_an_end_says_itself_it_does_not_hear() -> None:
    agent, other = ends()[0], ends()[0]
    with pytest.raises(DataChannelError):
        agent.hear(say(other, b"a"), now=NOW)


def test_other_messages_are_handed_on() -> None:
    agent, client = ends()
    heard = client.hear(agent.close(b"{}", now=NOW), now=NOW)
    assert heard.other is not None
    assert heard.other.message_type == MessageType.CHANNEL_CLOSED


def test_an_acknowledgement_of_nothing_changes_nothing() -> None:
    agent, client = ends()
    heard = client.hear(say(agent, b"a"), now=NOW)
    assert heard.answer is not None
    agent.hear(heard.answer, now=NOW)
    agent.hear(heard.answer, now=NOW)
    assert agent.settled


@given(st.integers(0, 2**32), st.lists(st.binary(min_size=1, max_size=20), max_size=40))
def test_a_line_that_loses_doubles_and_mixes_delivers_all_in_order(seed: int, said: list[bytes]) -> None:
    random = Random(seed)
    agent, client = ends(seed)
    on_the_line = [say(agent, text) for text in said]
    delivered: list[bytes] = []
    now = NOW
    for _ in range(5000):
        if agent.settled:
            break
        now += 1.5
        if (frame := agent.overdue(now)) is not None:
            on_the_line.append(frame)
        random.shuffle(on_the_line)
        frame = on_the_line.pop() if on_the_line else None
        if frame is None or random.random() < 0.2:
            continue
        heard = client.hear(frame, now=now, room=random.random() < 0.8)
        delivered += texts(heard.ready)
        if heard.answer is not None and random.random() < 0.8:
            agent.hear(heard.answer, now=now)
    assert agent.settled
    assert delivered == said
