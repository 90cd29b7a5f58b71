"""The agent's side of ECS Exec, in virtual time: what it executes, what it refuses, and when it gives up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from tests.component.agent_lab import Lab, a_payload_container, a_payload_task, clock, in_virtual_time, lab, task_arn

from wherry.model import datachannel
from wherry.model.datachannel import ChannelClosed, HandshakeRequest, Message, MessageType, OpenDataChannelInput
from wherry.model.dataflow import End
from wherry.model.protocol import acs
from wherry.model.protocol.frames import encode

SESSION = "ecs-execute-command-test"


def an_order(*command: str, **changes: Any) -> acs.ExecuteCommandMessage:
    whole: dict[str, Any] = {
        "message_id": "m",
        "session_id": SESSION,
        "token_value": "the agent's token",
        "task_arn": task_arn(),
        "container_name": "app",
        "command": command or ("cat",),
        "interactive": False,
    }
    return acs.ExecuteCommandMessage(**whole | changes)


class Client:
    """The other end of a session."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened
        self.end = End(MessageType.INPUT_STREAM_DATA, MessageType.OUTPUT_STREAM_DATA, entropy=Random(0).randbytes)

    async def opening(self) -> OpenDataChannelInput:
        return datachannel.from_json(await self._opened.receive(), OpenDataChannelInput)

    async def hear(self) -> Message:
        """Wait for the next message, and acknowledge it."""
        while True:
            heard = self.end.hear(await self._opened.receive(), now=clock())
            if heard.answer is not None:
                await self._opened.send(heard.answer)
            for message in heard.ready:
                return message
            if heard.other is not None:
                return heard.other

    async def closed(self) -> str:
        """Wait for the end, and tell what was said."""
        while (message := await self.hear()).message_type != MessageType.CHANNEL_CLOSED:
            pass
        return datachannel.from_json(message.payload, ChannelClosed).output

    async def leave(self) -> None:
        await self._opened.aclose()


@asynccontextmanager
async def ordered(lab: Lab, order: acs.ExecuteCommandMessage) -> AsyncIterator[Client]:
    """Have the agent run a task and open a session."""
    await lab.control_plane.send_tasks(a_payload_task(a_payload_container()))
    await lab.control_plane.reported("RUNNING")
    await lab.control_plane.say(order)
    await lab.control_plane.until(lambda: order.session_id in lab.control_plane.sessions)
    client = Client(lab.control_plane.sessions[order.session_id])
    try:
        yield client
    finally:
        await client.leave()


def test_the_agent_shows_its_token_and_introduces_itself(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lab(tmp_path) as here, here.agent(), ordered(here, an_order()) as client:
            assert (await client.opening()).token_value == "the agent's token"
            request = datachannel.from_json((await client.hear()).payload, HandshakeRequest)
            assert [action.action_type for action in request.requested_client_actions] == ["SessionType", "ExitCode"]

    in_virtual_time(scenario)


def test_a_client_that_does_not_answer_the_handshake_is_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lab(tmp_path) as here, here.agent(), ordered(here, an_order()) as client:
            await client.opening()
            assert "handshake" in await client.closed()

    in_virtual_time(scenario)


@pytest.mark.parametrize("changes", [{"container_name": "other"}, {"task_arn": task_arn(2)}])
def test_what_is_not_this_agents_is_not_executed_in(tmp_path: Path, changes: dict[str, str]) -> None:
    async def scenario() -> None:
        async with lab(tmp_path) as here, here.agent(), ordered(here, an_order(**changes)) as client:
            await client.opening()
            assert await client.closed() == f"The container {changes.get('container_name', 'app')} is not running."

    in_virtual_time(scenario)


def test_sessions_outlive_the_connection_over_which_they_were_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lab(tmp_path) as here, here.agent(), ordered(here, an_order()) as client:
            await client.opening()
            await here.control_plane.lose()
            here.control_plane.reachable = True
            assert datachannel.from_json((await client.hear()).payload, HandshakeRequest).agent_version

    in_virtual_time(scenario)


def test_an_order_that_makes_no_sense_is_not_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lab(tmp_path) as here, here.agent():
            await here.control_plane.until(lambda: here.control_plane.channel)
            for changes in ({"sessionId": "../../../etc"}, {"command": []}, {"sessionId": "x" * 500}):
                frame = encode(an_order())
                frame["message"] |= changes
                assert here.control_plane.channel is not None
                await here.control_plane.channel.send(msgspec.json.decode(msgspec.json.encode(frame)))
            await here.control_plane.until(
                lambda: sum(isinstance(one, acs.NackRequest) for one in here.control_plane.heard) == 3
            )
            assert not here.control_plane.sessions

    in_virtual_time(scenario)
