"""An instance's connection: what its agent is sent, what its answers write, and which of two connections counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from msgspec.structs import replace
from tests.aws import Aws
from tests.builders import NOW, a_subnet, a_task, a_task_definition, an_instance, an_interface
from trio.testing import MockClock

from wherry.agent.link.pair import MemoryChannel, memory_pair
from wherry.api.acs import assignments
from wherry.api.acs.session import Session
from wherry.api.tcs import session as tcs
from wherry.model.instance import ContainerInstance, InstanceStatus
from wherry.model.network import NetworkInterface
from wherry.model.protocol import acs
from wherry.model.protocol.frames import Message, decode, encode
from wherry.model.protocol.tcs import PublishHealthRequest, TelemetryMetadata
from wherry.model.task import Attachment, AttachmentStatus, DesiredStatus, StopCode, Task, TaskStatus, want_stopped
from wherry.store import Store

pytestmark = pytest.mark.anyio

INSTANCE = an_instance().container_instance_arn


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
async def aws(memory_store: Store) -> Aws:
    aws = Aws(memory_store)
    await put(aws, a_task_definition(), a_subnet(), an_instance(agent_connected=False))
    return aws


async def put(aws: Aws, *entities: Any) -> None:
    def write(tx: Any) -> None:
        for entity in entities:
            tx.put(entity)

    await aws.store.write(write)


async def instance(aws: Aws) -> ContainerInstance:
    return await aws.store.read(lambda tx: tx.get(ContainerInstance, INSTANCE))


async def stored(aws: Aws, number: int = 1) -> Task:
    return await aws.store.read(lambda tx: tx.get(Task, a_task(number=number).task_arn))


class Agent:
    """The other end of a session."""

    def __init__(self, channel: MemoryChannel) -> None:
        self.channel = channel
        self.over = anyio.Event()

    async def next(self, kind: type[Any]) -> Any:
        """Return the next message of a kind; others are passed over."""
        with anyio.fail_after(1000):
            while True:
                message = decode(await self.channel.receive())
                if isinstance(message, kind):
                    return message

    async def say(self, message: Message) -> None:
        await self.channel.send(encode(message))


@asynccontextmanager
async def connected(aws: Aws) -> AsyncIterator[Agent]:
    theirs, ours = memory_pair()
    agent = Agent(ours)

    async def serve() -> None:
        await Session(aws.ctx, theirs, INSTANCE).run()
        agent.over.set()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        yield agent
        await agent.channel.aclose()
        with anyio.fail_after(1000):
            await agent.over.wait()


def on_it(number: int = 1, **changes: Any) -> tuple[Task, NetworkInterface]:
    attachment = Attachment(id=f"00000000-0000-4000-9000-{number:012x}", status=AttachmentStatus.ATTACHING)
    task = a_task(
        number=number,
        **{"container_instance_arn": INSTANCE, "last_status": TaskStatus.PENDING, "attachment": attachment} | changes,
    )
    interface = an_interface(task, number=number)
    return task, interface


async def test_an_instance_is_connected_for_as_long_as_its_connection_lasts(aws: Aws) -> None:
    aws.now += 5
    async with connected(aws) as agent:
        await agent.next(acs.TaskManifestMessage)
        there = await instance(aws)
        assert (there.agent_connected, there.agent_disconnected_at) == (True, None)
        aws.now += 5
    gone = await instance(aws)
    assert (gone.agent_connected, gone.agent_disconnected_at) == (False, NOW + 10)


async def test_a_newer_connection_ends_the_older_one_and_the_instance_stays_connected(aws: Aws) -> None:
    async with connected(aws) as old:
        await old.next(acs.TaskManifestMessage)
        async with connected(aws) as new:  # at the very same time: no clock can tell the two apart
            first = await new.next(acs.TaskManifestMessage)
            with anyio.fail_after(1):
                await old.over.wait()
            assert (await instance(aws)).agent_connected
            await put(aws, *on_it())
            assert [t.arn for t in (await new.next(acs.PayloadMessage)).tasks] == [a_task().task_arn]
            assert first.timeline == (await instance(aws)).manifest_sequence


async def test_manifests_go_on_counting_after_an_old_database_was_restored(aws: Aws) -> None:
    async with connected(aws) as agent:
        before = (await agent.next(acs.TaskManifestMessage)).timeline
    await put(aws, replace(await instance(aws), manifest_sequence=0))
    aws.now += 3600
    async with connected(aws) as agent:
        assert (await agent.next(acs.TaskManifestMessage)).timeline > before


async def test_a_control_plane_that_starts_beside_this_one_does_not_take_the_agent_away(aws: Aws) -> None:
    async with connected(aws) as agent:
        await agent.next(acs.TaskManifestMessage)
        await aws.store.write(assignments.forget_connections, aws.now)
        await anyio.sleep(1)
        there = await instance(aws)
        assert (there.agent_connected, there.agent_disconnected_at) == (True, None)


async def test_an_agent_that_answers_no_heartbeats_is_hung_up_on_even_if_it_reads_nothing(aws: Aws) -> None:
    class Deaf:
        """A half-open socket whose buffer is full."""

        async def send(self, _: dict[str, Any]) -> None:
            await anyio.sleep_forever()

        async def receive(self) -> dict[str, Any]:
            await anyio.sleep_forever()
            raise AssertionError

        async def aclose(self) -> None:
            await anyio.sleep_forever()

    with anyio.fail_after(200):
        await Session(aws.ctx, Deaf(), INSTANCE).run()
    assert not (await instance(aws)).agent_connected


async def test_an_instance_that_was_given_up_ends_its_connections(aws: Aws) -> None:
    theirs, ours = memory_pair()
    async with connected(aws) as agent, anyio.create_task_group() as group:
        await agent.next(acs.TaskManifestMessage)
        group.start_soon(tcs.serve, aws.ctx, theirs, INSTANCE)
        await put(aws, replace(await instance(aws), status=InstanceStatus.INACTIVE))
        with anyio.fail_after(1):
            await agent.over.wait()
        metadata = TelemetryMetadata(
            cluster="default", container_instance=INSTANCE, message_id="m", idle=False, fin=True
        )
        health = PublishHealthRequest(metadata=metadata, tasks=(), timestamp=NOW)
        await ours.send(encode(health))
        with pytest.raises(anyio.EndOfStream):
            await ours.receive()
        await ours.aclose()
    async with connected(aws) as late:  # its upgrade was let in just before
        with anyio.fail_after(1):
            await late.over.wait()


async def test_a_task_that_its_agent_cannot_take_is_over_and_gives_its_address_back(aws: Aws) -> None:
    task, interface = on_it()
    await put(aws, task, interface)
    async with connected(aws) as agent:
        message = await agent.next(acs.PayloadMessage)
        await agent.say(
            acs.NackRequest(
                message_id=message.message_id, reason="too new for me", cluster="c", container_instance=INSTANCE
            )
        )
        await anyio.sleep(1)
    over = await stored(aws)
    assert (over.last_status, over.stop_code, over.attachment.status) == (
        TaskStatus.STOPPED,
        StopCode.TASK_FAILED_TO_START,
        AttachmentStatus.DELETED,
    )
    assert over.stopped_reason == "ResourceInitializationError: too new for me"
    assert await aws.store.read(lambda tx: tx.count(NetworkInterface)) == 0


async def test_a_stop_is_sent_until_acknowledged_and_then_the_task_is_stopping(aws: Aws) -> None:
    task, interface = on_it(last_status=TaskStatus.RUNNING, started_at=NOW)
    await put(aws, want_stopped(task, code=StopCode.USER_INITIATED, reason="", now=NOW), interface)
    async with connected(aws) as agent:
        first = await agent.next(acs.PayloadMessage)
        again = await agent.next(acs.PayloadMessage)
        assert first.tasks == again.tasks
        assert again.tasks[0].desired_status == DesiredStatus.STOPPED
        await agent.say(acs.AckRequest(message_id=again.message_id, cluster="c", container_instance=INSTANCE))
        await anyio.sleep(1)
    assert (await stored(aws)).last_status is TaskStatus.STOPPING
