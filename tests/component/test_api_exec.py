"""ExecuteCommand and what becomes of its sessions, on both databases."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import anyio
import msgspec
import pytest
from tests.aws import Aws
from tests.builders import a_container, a_task, a_task_definition, an_instance

from wherry.api.exec import relay
from wherry.model import datachannel
from wherry.model.datachannel import ChannelClosed, MessageType, PayloadType
from wherry.model.dataflow import End
from wherry.model.instance import EXECUTE_COMMAND, Attribute, ContainerInstance
from wherry.model.task import ContainerStatus, DesiredStatus, Task, TaskStatus
from wherry.settings import Settings, Timing
from wherry.store import Store, Tx
from wherry.store.logs import LogStore

pytestmark = pytest.mark.anyio

INSTANCE = an_instance(attributes=(Attribute(name=EXECUTE_COMMAND),))
RUNNING = a_container(last_status=ContainerStatus.RUNNING, runtime_id="r")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def aws(store: Store, tmp_path: Any) -> AsyncIterator[Aws]:
    async with LogStore.open(f"sqlite:///{tmp_path}/logs.db") as logs:
        yield await Aws(store, logs).seed()


async def put(aws: Aws, **changes: Any) -> Task:
    whole: dict[str, Any] = {
        "containers": (RUNNING,),
        "container_instance_arn": INSTANCE.container_instance_arn,
        "last_status": TaskStatus.RUNNING,
        "enable_execute_command": True,
        "started_at": 1.0,
    }
    task = a_task(**whole | changes)

    def write(tx: Tx) -> None:
        if tx.get(ContainerInstance, INSTANCE.container_instance_arn) is None:
            tx.put(a_task_definition())
            tx.put(INSTANCE)
        tx.put(task)

    await aws.store.write(write)
    return task


async def test_a_session_is_opened_for_the_only_container(aws: Aws) -> None:
    task = await put(aws)
    with aws.ctx.exec_sessions.listen(INSTANCE.container_instance_arn):
        answer = await aws("ExecuteCommand", task=task.task_id, command="sh -c 'echo \"a b\"'", interactive=True)
    assert answer["containerName"] == "app"
    assert answer["containerArn"] == RUNNING.container_arn
    assert answer["clusterArn"] == task.cluster_arn
    [session] = aws.ctx.exec_sessions._sessions.values()
    assert session.order.command == ("sh", "-c", 'echo "a b"')
    assert session.order.task_arn == task.task_arn


@pytest.mark.parametrize(
    "changes",
    [
        {"enable_execute_command": False},
        {"desired_status": DesiredStatus.STOPPED},
        {"containers": (a_container(),)},
        {"containers": (a_container(last_status=ContainerStatus.STOPPED),)},
    ],
)
async def test_what_does_not_run_with_it_enabled_executes_nothing(aws: Aws, changes: dict[str, Any]) -> None:
    task = await put(aws, **changes)
    with aws.ctx.exec_sessions.listen(INSTANCE.container_instance_arn):
        code, message = await aws.refusal("ExecuteCommand", task=task.task_arn, command="sh", interactive=True)
    assert code == "InvalidParameterException"
    assert message == (
        "The execute command failed because execute command was not enabled when the task was run or the execute "
        "command agent isn\u2019t running. Wait and try again or run a new task with execute command enabled and try "
        "again."
    )


async def test_an_agent_that_is_not_connected_is_no_target(aws: Aws) -> None:
    task = await put(aws)
    refused = await aws.refusal("ExecuteCommand", task=task.task_arn, command="sh", interactive=True)
    assert refused == (
        "TargetNotConnectedException",
        "The execute command failed due to an internal error. Try again later.",
    )


async def test_a_stock_agent_is_no_target_and_its_managed_agents_do_not_run(aws: Aws) -> None:
    stock = an_instance(number=2)
    await aws.store.write(lambda tx: tx.put(stock))
    task = await put(aws, container_instance_arn=stock.container_instance_arn)
    with aws.ctx.exec_sessions.listen(stock.container_instance_arn):
        code, _ = await aws.refusal("ExecuteCommand", task=task.task_arn, command="sh", interactive=True)
    assert code == "TargetNotConnectedException"
    described = await aws("DescribeTasks", tasks=[task.task_arn])
    [agent] = described["tasks"][0]["containers"][0]["managedAgents"]
    assert agent["lastStatus"] == "STOPPED"
    assert agent["reason"].startswith("ExecuteCommandAgent Initialization failed - ")


async def test_managed_agents_are_shown_where_it_is_enabled(aws: Aws) -> None:
    task = await put(aws)
    described = await aws("DescribeTasks", tasks=[task.task_arn])
    assert described["tasks"][0]["containers"][0]["managedAgents"] == [
        {"name": "ExecuteCommandAgent", "lastStatus": "RUNNING", "lastStartedAt": 1.0}
    ]
    plain = await put(aws, number=2, enable_execute_command=False)
    described = await aws("DescribeTasks", tasks=[plain.task_arn])
    assert "managedAgents" not in described["tasks"][0]["containers"][0]


async def test_a_cluster_keeps_its_configuration_and_may_change_it(aws: Aws) -> None:
    override = {"logging": "OVERRIDE", "logConfiguration": {"cloudWatchLogGroupName": "/exec"}}
    configuration = {"executeCommandConfiguration": override}
    made = await aws("CreateCluster", clusterName="web", configuration=configuration)
    assert made["cluster"]["configuration"] == configuration
    described = await aws("DescribeClusters", clusters=["web"])
    assert "configuration" not in described["clusters"][0]
    described = await aws("DescribeClusters", clusters=["web"], include=["CONFIGURATIONS"])
    assert described["clusters"][0]["configuration"] == configuration
    changed = await aws(
        "UpdateCluster", cluster="web", configuration={"executeCommandConfiguration": {"logging": "NONE"}}
    )
    assert changed["cluster"]["configuration"] == {"executeCommandConfiguration": {"logging": "NONE"}}


class Wire:
    """One end of a websocket; `other` is the end that the control plane has."""

    def __init__(self) -> None:
        self._to, self._from_us = anyio.create_memory_object_stream[str | bytes](math.inf)
        self._to_us, self._from = anyio.create_memory_object_stream[str | bytes](math.inf)
        self.closed = False

    async def say(self, frame: str | bytes) -> None:
        await self._to.send(frame)

    async def hear(self) -> bytes:
        frame = await self._from.receive()
        assert isinstance(frame, bytes)
        return frame

    def leave(self) -> None:
        self._to.close()
        self._from.close()

    async def send(self, frame: str | bytes) -> None:
        try:
            await self._to_us.send(frame)
        except anyio.BrokenResourceError as error:
            raise anyio.ClosedResourceError from error

    async def receive(self) -> str | bytes:
        return await self._from_us.receive()

    async def aclose(self) -> None:
        self.closed = True
        self._to_us.close()
        self._from_us.close()


class Stage:
    """A session with both of its ends in hand."""

    def __init__(self, aws: Aws, session_id: str, token: str) -> None:
        self.aws = aws
        self.session_id = session_id
        self.client, self.agent = Wire(), Wire()
        self.client_token = token
        entropy = Random(0).randbytes
        self.agent_end = End(MessageType.OUTPUT_STREAM_DATA, MessageType.INPUT_STREAM_DATA, entropy=entropy)
        self.client_end = End(MessageType.INPUT_STREAM_DATA, MessageType.OUTPUT_STREAM_DATA, entropy=entropy)

    async def serve(self, wire: Wire) -> None:
        async def admit() -> None:
            return

        await relay.serve(self.aws.ctx, wire, self.session_id, admit_agent=admit)

    async def prints(self, text: bytes, kind: PayloadType = PayloadType.OUTPUT) -> bytes:
        """Let the agent say something; return what the client hears."""
        await self.agent.say(self.agent_end.say(kind, text, now=1.0))
        return await self.client.hear()

    async def ending(self) -> str:
        """Return what the client is told at the end."""
        message = datachannel.decode(await self.client.hear())
        assert message.message_type == MessageType.CHANNEL_CLOSED
        return datachannel.from_json(message.payload, ChannelClosed).output


def opening(token: str) -> str:
    return datachannel.to_json(datachannel.OpenDataChannelInput(token_value=token)).decode()


@asynccontextmanager
async def staged(aws: Aws, *, agent: bool = True) -> AsyncIterator[Stage]:
    """Open a session and bring both of its ends together; both leave in the end."""
    task = await put(aws)
    with aws.ctx.exec_sessions.listen(INSTANCE.container_instance_arn) as orders:
        answer = await aws("ExecuteCommand", task=task.task_id, command="sh", interactive=True)
        stage = Stage(aws, answer["session"]["sessionId"], answer["session"]["tokenValue"])
        async with anyio.create_task_group() as group:
            group.start_soon(stage.serve, stage.client)
            await stage.client.say(opening(stage.client_token))
            order = await orders.receive()
            if agent:
                group.start_soon(stage.serve, stage.agent)
                await stage.agent.say(opening(order.token_value))
            yield stage
            stage.client.leave()
        stage.agent.leave()
        await stage.agent.aclose()


async def test_frames_are_passed_on_as_they_are(aws: Aws) -> None:
    async with staged(aws) as stage:
        frame = stage.agent_end.say(PayloadType.OUTPUT, b"hello", now=1.0)
        await stage.agent.say(frame)
        assert await stage.client.hear() == frame
        frame = stage.client_end.say(PayloadType.OUTPUT, b"ls\r", now=1.0)
        await stage.client.say(frame)
        assert await stage.agent.hear() == frame
    assert stage.agent.closed
    assert not aws.ctx.exec_sessions._sessions


async def test_neither_end_says_what_is_the_others_to_say(aws: Aws) -> None:
    async with staged(aws) as stage:
        await stage.client.say(stage.agent_end.say(PayloadType.OUTPUT, b"forged", now=1.0))
        await stage.client.say(stage.client_end.close(b"{}", now=1.0))
        await stage.client.say("text")
        frame = stage.client_end.say(PayloadType.OUTPUT, b"true", now=1.0)
        await stage.client.say(frame)
        assert await stage.agent.hear() == frame


async def test_a_lost_agent_is_told_to_the_client(aws: Aws) -> None:
    async with staged(aws) as stage:
        await stage.prints(b"x")
        stage.agent.leave()
        assert await stage.ending() == relay.AGENT_LOST
    assert stage.client.closed


async def test_an_agent_that_never_comes_is_told_to_the_client(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "AGENT_ANSWERS", 0.05)
    async with staged(aws, agent=False) as stage:
        assert await stage.ending() == relay.NO_AGENT


async def test_a_session_that_nobody_uses_ends(aws: Aws) -> None:
    aws.ctx = msgspec.structs.replace(aws.ctx, settings=Settings(timing=Timing(exec_idle=0.1)))
    async with staged(aws) as stage:
        assert await stage.ending() == relay.TIMED_OUT


async def test_what_the_command_writes_is_recorded_once_and_in_order(aws: Aws) -> None:
    await aws("CreateLogGroup", of="logs", logGroupName="/exec")
    override = {"logging": "OVERRIDE", "logConfiguration": {"cloudWatchLogGroupName": "/exec"}}
    await aws("UpdateCluster", cluster="default", configuration={"executeCommandConfiguration": override})
    async with staged(aws) as stage:
        await stage.prints(b"{}", PayloadType.HANDSHAKE_REQUEST)
        frame = stage.agent_end.say(PayloadType.OUTPUT, b"one\r\ntw", now=1.0)
        for _ in range(2):
            await stage.agent.say(frame)
            await stage.client.hear()
        await stage.prints(b"o\r\n" + b"x" * 10_000 + b"\r\nlast")
    answer = await aws("GetLogEvents", of="logs", logGroupName="/exec", logStreamName=stage.session_id)
    said = [event["message"] for event in answer["events"]]
    assert said[:2] == ["one", "two"]
    assert "".join(said[2:-1]) == "x" * 10_000
    assert said[-1] == "last"


async def test_a_log_group_that_is_not_there_costs_the_transcript_and_not_the_session(aws: Aws) -> None:
    override = {"logging": "OVERRIDE", "logConfiguration": {"cloudWatchLogGroupName": "/nowhere"}}
    await aws("UpdateCluster", cluster="default", configuration={"executeCommandConfiguration": override})
    async with staged(aws) as stage:
        await stage.prints(b"still here\r\n")
