"""The control plane against an agent that is broken or means harm: it goes on, and others notice nothing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from tests.aws import Aws, service_model
from tests.builders import SCOPE, a_container, a_subnet, a_task, a_task_definition, an_instance
from tests.component.frames import mangled
from tests.component.storm import Storm
from tests.component.storming import fingerprint
from tests.component.test_api_acs import INSTANCE, connected, on_it, put, stored
from tests.sums import sums_as_kept, sums_as_they_should_be
from trio.testing import MockClock

from wherry.agent.link.pair import MemoryChannel, memory_pair
from wherry.api import table
from wherry.api.acs.session import Session
from wherry.api.channel import Channel
from wherry.api.tcs import session as tcs
from wherry.model.errors import InvalidParameterException
from wherry.model.instance import ContainerInstance
from wherry.model.protocol import acs
from wherry.model.protocol.frames import Message, decode, encode
from wherry.model.protocol.tcs import (
    ContainerHealth,
    ContainerMetric,
    PublishHealthRequest,
    PublishMetricsRequest,
    StatsSet,
    TaskHealth,
    TaskMetric,
    TelemetryMetadata,
)
from wherry.model.task import HealthStatus, Task, TaskStatus
from wherry.store import Store
from wherry.wire.gateway import Gateway
from wherry.wire.trust import Trust

pytestmark = pytest.mark.anyio

FRAMES = 300
OTHER = an_instance(number=2).container_instance_arn
OWN, FOREIGN = 1, 2
CLIMB = list(TaskStatus)


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
async def aws(memory_store: Store) -> Aws:
    """Have two instances with a running task each; the first one's agent is the hostile one."""
    aws = Aws(memory_store)
    await aws.seed()
    await put(aws, an_instance(agent_connected=False), an_instance(number=2, agent_connected=False))
    await put(aws, a_task_definition(), a_subnet())
    for number, instance in ((OWN, INSTANCE), (FOREIGN, OTHER)):
        checked = (a_container(has_health_check=True),)
        running = {"container_instance_arn": instance, "last_status": TaskStatus.RUNNING, "containers": checked}
        await put(aws, *on_it(number, **running))
    return aws


def acs_frames(random: Random) -> list[dict[str, Any]]:
    """Give one proper frame of every kind that an agent may send, about its own task and the other one's."""
    arn = a_task(number=random.choice((OWN, FOREIGN))).task_arn
    messages = (
        acs.AckRequest(message_id="m"),
        acs.NackRequest(message_id="m", reason="no"),
        acs.HeartbeatAckRequest(message_id="m"),
        acs.TaskStopVerificationMessage(
            message_id="m", stop_candidates=(acs.StopCandidate(task_arn=arn),) * random.choice((1, 5000))
        ),
        acs.CloseMessage(),
    )
    return [msgspec.to_builtins(encode(message)) for message in messages]


def tcs_frames(random: Random) -> list[dict[str, Any]]:
    arn = a_task(number=random.choice((OWN, FOREIGN))).task_arn
    metadata = TelemetryMetadata(container_instance=OTHER)
    health = ContainerHealth(container_name="app", health_status="HEALTHY", status_since=1e300)
    stats = StatsSet(min=0, max=1, sample_count=1, sum=1)
    metric = ContainerMetric(container_name="app", cpu_stats_set=stats)
    messages = (
        PublishHealthRequest(metadata=metadata, tasks=(TaskHealth(task_arn=arn, containers=(health,)),)),
        PublishMetricsRequest(metadata=metadata, task_metrics=(TaskMetric(task_arn=arn, container_metrics=(metric,)),)),
    )
    return [msgspec.to_builtins(encode(message)) for message in messages]


async def send(channel: Channel, frame: Any) -> None:
    with contextlib.suppress(anyio.ClosedResourceError):  # it has hung up on us
        await channel.send(frame)
    await anyio.sleep(0.01)


@pytest.mark.parametrize("seed", range(3))
async def test_no_frame_on_acs_ends_more_than_its_conversation(aws: Aws, seed: int) -> None:
    random, foreign, hung_up = Random(seed), await stored(aws, FOREIGN), 0
    left = FRAMES
    while left:
        async with connected(aws) as agent:
            while left and not agent.over.is_set():
                left -= 1
                frame = random.choice(acs_frames(random))
                await send(agent.channel, mangled(frame, random) if random.random() < 0.8 else frame)
            hung_up += agent.over.is_set()
    assert hung_up, "nothing was taken for the nonsense that it is"
    assert await stored(aws, FOREIGN) == foreign
    assert (await stored(aws, OWN)).last_status is TaskStatus.RUNNING
    async with connected(aws) as agent:
        manifest = await agent.next(acs.TaskManifestMessage)
        assert [task.task_arn for task in manifest.tasks] == [a_task(number=OWN).task_arn]


class ProperAgent:
    """An agent that acknowledges whatever comes, as it should."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    async def serve(self, channel: MemoryChannel) -> None:
        while True:
            message = decode(await channel.receive())
            self.heard.append(message)
            heartbeat = isinstance(message, acs.HeartbeatMessage)
            answer = acs.HeartbeatAckRequest if heartbeat else acs.AckRequest
            await channel.send(encode(answer(message_id=message.message_id)))

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]


@asynccontextmanager
async def a_proper_agent_beside(aws: Aws) -> AsyncIterator[ProperAgent]:
    """Have the other instance connected to the same control plane."""
    theirs, ours = memory_pair()
    agent = ProperAgent()
    async with anyio.create_task_group() as group:
        group.start_soon(Session(aws.ctx, theirs, OTHER).run)
        group.start_soon(agent.serve, ours)
        yield agent
        group.cancel_scope.cancel()
    await ours.aclose()


def answers_to(messages: list[Message], random: Random) -> Message:
    """Answer a message that somebody else was sent, or nobody."""
    message_id = random.choice([message.message_id for message in messages] or ["never sent"])
    answer = random.choice((acs.AckRequest, acs.HeartbeatAckRequest, acs.NackRequest))
    return answer(message_id=message_id, **({"reason": "no"} if answer is acs.NackRequest else {}))


@pytest.mark.parametrize("seed", range(3))
async def test_an_agent_works_on_undisturbed_beside_one_that_raves(aws: Aws, seed: int) -> None:
    random, began = Random(seed), anyio.current_time()
    async with a_proper_agent_beside(aws) as proper:
        await anyio.sleep(1)
        foreign = await stored(aws, FOREIGN)
        for _ in range(20):
            async with connected(aws) as agent:
                for _ in range(20):
                    await send(agent.channel, encode(answers_to(proper.heard, random)))
                    await send(agent.channel, mangled(random.choice(acs_frames(random)), random))
                await anyio.sleep(20)
        assert await stored(aws, FOREIGN) == foreign
        await put(aws, *on_it(3, container_instance_arn=OTHER))
        await anyio.sleep(1)
        given = [[task.arn for task in message.tasks] for message in proper.of(acs.PayloadMessage)]
        assert given == [[foreign.task_arn], [a_task(number=3).task_arn]]
        expected = (anyio.current_time() - began) / aws.ctx.settings.timing.heartbeat
        assert len(proper.of(acs.HeartbeatMessage)) >= int(expected) > 5
        assert (await aws.store.read(lambda tx: tx.get(ContainerInstance, OTHER))).agent_connected


async def test_a_hundred_thousand_questions_are_answered_and_nothing_is_written(aws: Aws) -> None:
    before = await aws.store.read(fingerprint)
    numbers = (OWN, FOREIGN, *range(1000, 101_000))
    candidates = tuple(acs.StopCandidate(task_arn=a_task_arn(number)) for number in numbers)
    async with connected(aws) as agent:
        await agent.next(acs.TaskManifestMessage)
        during = await aws.store.read(fingerprint)
        await agent.say(acs.TaskStopVerificationMessage(message_id="m", stop_candidates=candidates))
        stops = (await agent.next(acs.TaskStopVerificationAck)).stop_tasks
        assert await aws.store.read(fingerprint) == during != before
    assert stops == candidates[1:], "its own task must run on; any other has no business there"


def a_task_arn(number: int) -> str:
    return SCOPE.task("default", f"{number:032x}")


async def test_an_arn_that_no_database_can_look_up_ends_the_conversation(aws: Aws) -> None:
    """PostgreSQL takes no NUL."""
    async with connected(aws) as agent:
        question = acs.StopCandidate(task_arn="a\0b")
        await agent.say(acs.TaskStopVerificationMessage(message_id="m", stop_candidates=(question,)))
        with anyio.fail_after(1):
            await agent.over.wait()
    theirs, ours = memory_pair()
    health = TaskHealth(task_arn="a\0b", containers=())
    await ours.send(encode(PublishHealthRequest(metadata=TelemetryMetadata(), tasks=(health,))))
    with anyio.fail_after(1):
        await tcs.serve(aws.ctx, theirs, INSTANCE)
    await ours.aclose()


@pytest.mark.parametrize("seed", range(3))
async def test_no_frame_on_tcs_reaches_the_task_of_another(aws: Aws, seed: int) -> None:
    random, foreign = Random(seed), await stored(aws, FOREIGN)
    for _ in range(FRAMES):
        theirs, ours = memory_pair()
        async with anyio.create_task_group() as group:
            group.start_soon(tcs.serve, aws.ctx, theirs, INSTANCE)
            for frame in tcs_frames(random):
                await send(ours, mangled(frame, random) if random.random() < 0.8 else frame)
            await anyio.sleep(1)
            await ours.aclose()
    assert await stored(aws, FOREIGN) == foreign
    own = await stored(aws, OWN)
    assert own.health_status is HealthStatus.HEALTHY
    assert own.healthy_since <= aws.ctx.clock()


@pytest.mark.parametrize("seed", range(3))
async def test_reports_in_any_order_never_take_a_task_back(aws: Aws, seed: int) -> None:
    random = Random(seed)
    arn = a_task(number=OWN).task_arn
    reached = 0
    for _ in range(60):
        report = {
            "task": random.choice((arn, arn, a_task(number=77).task_arn)),
            "status": random.choice(("PENDING", "RUNNING", "STOPPED", "CREATED", "NONE", "RUNNING", "x")),
            "containers": [
                {
                    "containerName": random.choice(("app", "nobody", "\x00")),
                    "status": random.choice(("RUNNING", "STOPPED", "PULLED")),
                    "exitCode": random.choice((0, -(2**31), 2**31 - 1)),
                }
            ],
            "pullStartedAt": random.choice((0, -1e9, 1e11)),
            "executionStoppedAt": random.choice((0, 1e11)),
        }
        with contextlib.suppress(InvalidParameterException):
            await aws("SubmitTaskStateChange", cluster="default", **report)
        now = CLIMB.index((await stored(aws, OWN)).last_status)
        assert now >= reached
        reached = now
    assert CLIMB[reached] is TaskStatus.DEPROVISIONING
    assert await aws.store.read(sums_as_kept) == await aws.store.read(sums_as_they_should_be)


OPERATIONS = (
    "SubmitTaskStateChange",
    "SubmitContainerStateChange",
    "SubmitAttachmentStateChanges",
    "RegisterContainerInstance",
    "DeregisterContainerInstance",
    "UpdateContainerInstancesState",
    "DiscoverPollEndpoint",
)
TASKS = range(OWN, 60)


async def crowded(aws: Aws) -> None:
    """Put more tasks on both instances, at every rung, and one that no instance has."""
    for number in TASKS[2:-1]:
        instance, status = (INSTANCE, OTHER)[number % 2], CLIMB[number % 7]
        await put(aws, *on_it(number, container_instance_arn=instance, last_status=status))
    await put(aws, a_task(number=TASKS[-1]))


def reports(seed: int) -> Storm:
    """Make requests to the operations of agents, about tasks and instances that there are."""
    tasks = tuple(a_task_arn(number) for number in TASKS)
    model = service_model("ecs")
    known = {
        "task": tasks,
        "attachmentArn": tuple(SCOPE.attachment(a_task(number=number).attachment.id) for number in TASKS),
        "status": ("RUNNING", "STOPPED", "PENDING", "MANIFEST_PULLED", "ATTACHED", "DETACHED", "NONE"),
        "containerName": ("app",),
        "containerInstanceArn": (INSTANCE, OTHER),
        "name": ("CPU", "MEMORY", "wherry.pool", "wherry.availability-zones"),
        "value": ("FARGATE",),
    }
    done = [model.operation_model(name) for name in OPERATIONS]
    return Storm(seed, done, [model.operation_model("UpdateContainerAgent")], known)


def a_gateway(aws: Aws) -> Gateway:
    return Gateway(
        services=table.services(aws.ctx),
        region=SCOPE.region,
        account_id=SCOPE.account_id,
        trust=Trust(listen="127.0.0.1"),
        clock=aws.ctx.clock,
        entropy=aws.ctx.entropy,
    )


async def tasks_of(aws: Aws) -> dict[str, Task]:
    return await aws.store.read(lambda tx: {task.task_arn: task for task in tx.find(Task)})


def check_report(before: Task, after: Task) -> None:
    """Hold what became of a task that was reported against what a report may do."""
    assert after.last_status.rank >= before.last_status.rank
    assert after.container_instance_arn == before.container_instance_arn
    assert before.started_at is None or after.started_at == before.started_at
    for old, new in zip(before.containers, after.containers, strict=True):
        assert new.last_status.rank >= old.last_status.rank
        assert old.exit_code is None or new.exit_code == old.exit_code
        assert old.reason is None or new.reason == old.reason


async def check_what_changed(aws: Aws, before: dict[str, Task], *said: str) -> int:
    """Hold all tasks against what they were before something was said of some; returns how many have changed."""
    after = await tasks_of(aws)
    assert after.keys() == before.keys()
    changed = [arn for arn in before if after[arn] != before[arn]]
    for arn in changed:
        assert any(arn in text or before[arn].attachment.id in text for text in said), f"{said} changed {arn}"
        check_report(before[arn], after[arn])
    return len(changed)


@pytest.mark.parametrize("seed", range(2))
async def test_garbled_reports_are_refused_without_a_trace_or_change_what_they_name(aws: Aws, seed: int) -> None:
    await crowded(aws)
    gateway, storm, changed = a_gateway(aws), reports(seed), 0
    for _ in range(1500):
        before, rows = await tasks_of(aws), await aws.store.read(fingerprint)
        operation, request = storm.request()
        response = await gateway.answer(request)
        where = f"{operation.name}: {request.body[:1000]!r}"
        assert response.status < 500 or b"NotImplementedException" in response.body, where
        changed += await check_what_changed(aws, before, request.body.decode(errors="replace"))
        if response.status != 200:
            assert await aws.store.read(fingerprint) == rows, where
    assert changed > 5, "hardly any report was taken"
    assert await aws.store.read(sums_as_kept) == await aws.store.read(sums_as_they_should_be)


def a_report(random: Random) -> tuple[str, str, dict[str, Any]]:
    """Say something well-formed of a random task; returns what it may change, the operation and the request."""
    arn, attachment = (
        a_task_arn(random.choice(TASKS)),
        SCOPE.attachment(a_task(number=random.choice(TASKS)).attachment.id),
    )
    status = random.choice(("PENDING", "RUNNING", "STOPPED", "MANIFEST_PULLED", "NONE"))
    container = {"containerName": random.choice(("app", "nobody")), "status": status, "reason": random.choice("ab")}
    container["exitCode"] = random.choice((0, 137, -(2**31), 2**31 - 1))
    changes = [{"attachmentArn": attachment, "status": random.choice(("ATTACHED", "DETACHED"))}]
    times = {"pullStartedAt": random.choice((0, -6e10, 2e11)), "executionStoppedAt": random.choice((0, -6e10, 2e11))}
    match random.randrange(4):
        case 0:
            return arn, "SubmitContainerStateChange", {"task": arn} | container
        case 1:
            return attachment, "SubmitAttachmentStateChanges", {"attachments": changes}
    report = {"task": arn, "status": status, "containers": [container], "attachments": changes} | times
    return arn, "SubmitTaskStateChange", report


@pytest.mark.parametrize("seed", range(2))
async def test_no_report_does_more_than_a_report_may(aws: Aws, seed: int) -> None:
    await crowded(aws)
    random, changed = Random(seed), 0
    unplaced = await stored(aws, TASKS[-1])
    for _ in range(600):
        before = await tasks_of(aws)
        named, operation, request = a_report(random)
        await aws(operation, **request)
        changed += await check_what_changed(aws, before, named)
    assert changed > 100
    assert await stored(aws, TASKS[-1]) == unplaced
    assert await aws.store.read(sums_as_kept) == await aws.store.read(sums_as_they_should_be)
    shown = (await aws("DescribeTasks", tasks=list(before)[:100]))["tasks"]
    assert len(shown) == len(TASKS)
