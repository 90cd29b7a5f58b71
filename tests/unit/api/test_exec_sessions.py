"""Sessions and their tokens: each opens one end of one session, once, and for a minute."""

from __future__ import annotations

import anyio
import pytest
from tests.builders import Counter

from wherry.api.ecs.execute_command import stream_url
from wherry.api.exec.sessions import MOST, TOKEN_LIFETIME, Session, Sessions, Side, Target, TooManySessionsError
from wherry.api.exec.sessions import UnreachableError as Unreachable
from wherry.settings import Settings

NOW = 1000.0
INSTANCE = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/1"

pytestmark = pytest.mark.anyio


def a_target(*, task: str = "task/1", container: str = "app") -> Target:
    return Target(task_arn=task, container_name=container, instance_arn=INSTANCE)


def opened(sessions: Sessions, *, now: float = NOW, entropy: Counter | None = None, **target: str) -> Session:
    return sessions.open(a_target(**target), ("sh",), interactive=True, now=now, entropy=entropy or Counter())


@pytest.fixture
def entropy() -> Counter:
    return Counter()


async def test_each_token_opens_its_own_end_once(entropy: Counter) -> None:
    sessions = Sessions()
    with sessions.listen(INSTANCE):
        session = opened(sessions, entropy=entropy)
        agent_token = session.order.token_value
        assert sessions.claim(session.id, agent_token, NOW) is None, "the agent is not asked for before the client came"
        assert sessions.claim(session.id, session.client_token, NOW) == (session, Side.CLIENT)
        assert sessions.claim(session.id, session.client_token, NOW) is None
        assert sessions.claim(session.id, agent_token, NOW) == (session, Side.AGENT)
        assert sessions.claim(session.id, agent_token, NOW) is None


async def test_a_token_is_of_no_use_elsewhere_or_later(entropy: Counter) -> None:
    sessions = Sessions()
    with sessions.listen(INSTANCE):
        first, second = opened(sessions, entropy=entropy), opened(sessions, entropy=entropy)
        assert first.client_token != second.client_token
        assert sessions.claim(second.id, first.client_token, NOW) is None
        assert sessions.claim("nowhere", first.client_token, NOW) is None
        assert sessions.claim(first.id, "", NOW) is None
        assert sessions.claim(first.id, first.client_token, NOW + TOKEN_LIFETIME) is None


async def test_a_container_has_so_many_sessions_until_some_end_or_are_forgotten(entropy: Counter) -> None:
    sessions = Sessions()
    with sessions.listen(INSTANCE):
        there = [opened(sessions, entropy=entropy) for _ in range(MOST)]
        with pytest.raises(TooManySessionsError):
            opened(sessions, entropy=entropy)
        opened(sessions, entropy=entropy, container="other")
        opened(sessions, entropy=entropy, task="task/2")
        sessions.end(there[0])
        opened(sessions, entropy=entropy)
        with pytest.raises(TooManySessionsError):
            opened(sessions, entropy=entropy)
        assert sessions.claim(there[1].id, there[1].client_token, NOW) is not None
        for _ in range(MOST - 1):
            opened(sessions, now=NOW + TOKEN_LIFETIME, entropy=entropy)
        with pytest.raises(TooManySessionsError):
            opened(sessions, now=NOW + TOKEN_LIFETIME, entropy=entropy)


async def test_without_its_agent_no_session_is_opened_or_begun(entropy: Counter) -> None:
    sessions = Sessions()
    with pytest.raises(Unreachable):
        opened(sessions, entropy=entropy)
    with sessions.listen(INSTANCE):
        session = opened(sessions, entropy=entropy)
    with pytest.raises(Unreachable):
        sessions.begin(session, NOW)


async def test_the_latest_connection_of_an_agent_is_told(entropy: Counter) -> None:
    sessions = Sessions()
    with sessions.listen(INSTANCE) as old:
        with sessions.listen(INSTANCE) as new:
            session = opened(sessions, entropy=entropy)
            sessions.begin(session, NOW)
            assert new.receive_nowait() == session.order
            with pytest.raises(anyio.WouldBlock):
                old.receive_nowait()
        assert not sessions.reaches(INSTANCE)


async def test_neither_token_nor_command_shows(entropy: Counter) -> None:
    sessions = Sessions()
    with sessions.listen(INSTANCE):
        session = sessions.open(a_target(), ("mysql", "-psecret"), interactive=True, now=NOW, entropy=entropy)
    shown = repr(session.order)
    assert "secret" not in shown
    assert session.order.token_value not in shown


@pytest.mark.parametrize(
    ("endpoint", "advertised", "url"),
    [
        ("", None, "ws://127.0.0.1:4566/"),
        ("http://localhost:4566", None, "ws://localhost:4566/"),
        ("https://ecs.example", None, "wss://ecs.example/"),
        ("http://ecs.example", "https://ecs.example/", "wss://ecs.example/"),
        ("http://10.0.0.1:4566", "https://ecs.example", "ws://10.0.0.1:4566/"),
        ("", "https://ecs.example", "wss://ecs.example/"),
    ],
)
def test_the_stream_is_where_the_caller_has_reached_us(endpoint: str, advertised: str | None, url: str) -> None:
    settings = Settings(advertise_url=advertised)
    where = f"{url}v1/data-channel/ecs-execute-command-x?role=publish_subscribe"
    assert stream_url("ecs-execute-command-x", settings=settings, endpoint=endpoint) == where
