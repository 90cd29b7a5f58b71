"""The control plane against an agent that is broken or means harm: it goes on, and others notice nothing."""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from tests.aws import Aws
from tests.builders import a_container, a_task, an_instance
from tests.component.frames import mangled
from tests.component.test_api_acs import INSTANCE, connected, on_it, put, stored
from tests.sums import sums_as_kept, sums_as_they_should_be
from trio.testing import MockClock

from wherry.agent.link.pair import memory_pair
from wherry.api.channel import Channel
from wherry.api.tcs import session as tcs
from wherry.model import payload
from wherry.model.errors import InvalidParameterException
from wherry.model.task import HealthStatus, TaskStatus
from wherry.store import Store

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
    for number, instance in ((OWN, INSTANCE), (FOREIGN, OTHER)):
        checked = (a_container(has_health_check=True),)
        running = {"container_instance_arn": instance, "last_status": TaskStatus.RUNNING, "containers": checked}
        await put(aws, *on_it(number, **running))
    return aws


def acs_frames(random: Random) -> list[dict[str, Any]]:
    """Give one proper frame of every kind that an agent may send, about its own task and the other one's."""
    arn = a_task(number=random.choice((OWN, FOREIGN))).task_arn
    messages = (
        payload.AckRequest(message_id="m"),
        payload.NackRequest(message_id="m", reason="no"),
        payload.HeartbeatAckRequest(message_id="m"),
        payload.TaskStopVerificationMessage(
            message_id="m", stop_candidates=(payload.StopCandidate(task_arn=arn),) * random.choice((1, 5000))
        ),
        payload.CloseMessage(),
    )
    return [msgspec.to_builtins(payload.encode(message)) for message in messages]


def tcs_frames(random: Random) -> list[dict[str, Any]]:
    arn = a_task(number=random.choice((OWN, FOREIGN))).task_arn
    metadata = payload.TelemetryMetadata(container_instance=OTHER)
    health = payload.ContainerHealth(container_name="app", health_status="HEALTHY", status_since=1e300)
    stats = payload.StatsSet(min=0, max=1, sample_count=1, sum=1)
    metric = payload.ContainerMetric(container_name="app", cpu_stats_set=stats)
    messages = (
        payload.PublishHealthRequest(
            metadata=metadata, tasks=(payload.TaskHealth(task_arn=arn, containers=(health,)),)
        ),
        payload.PublishMetricsRequest(
            metadata=metadata, task_metrics=(payload.TaskMetric(task_arn=arn, container_metrics=(metric,)),)
        ),
    )
    return [msgspec.to_builtins(payload.encode(message)) for message in messages]


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
        manifest = await agent.next(payload.TaskManifestMessage)
        assert [task.task_arn for task in manifest.tasks] == [a_task(number=OWN).task_arn]


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
