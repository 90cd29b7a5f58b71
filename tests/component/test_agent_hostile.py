"""The agent against a control plane that is broken or means harm: it goes on, and harms nobody."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from random import Random
from typing import Any

import anyio
import msgspec
import pytest
from tests.component.agent_lab import (
    CLUSTER,
    INSTANCE,
    ControlPlane,
    Lab,
    a_payload_container,
    a_payload_task,
    in_virtual_time,
    lab,
    task_arn,
)
from tests.component.frames import NASTY, mangled

from wherry.agent.journal import Journal
from wherry.agent.link.base import RefusedError, UnreachableError
from wherry.agent.link.pair import memory_pair
from wherry.model import payload

FRAMES = 300
INNOCENT = 1
"""The number of the task that runs all the time; frames are made of others."""


def frames(random: Random) -> list[dict[str, Any]]:
    """Give one proper frame of every kind, about tasks that a storm may play with."""
    number = random.randint(2, 6)
    tasks = (a_payload_task(a_payload_container("app"), a_payload_container("side"), number=number),)
    addressed = {"message_id": f"storm-{random.randrange(100)}", "cluster_arn": CLUSTER}
    candidates = (payload.StopCandidate(task_arn=task_arn(INNOCENT), task_cluster_arn=CLUSTER),)
    manifest = (payload.ManifestTask(task_arn=task_arn(INNOCENT), desired_status="RUNNING"),)
    messages = (
        payload.PayloadMessage(**addressed, container_instance_arn=INSTANCE, tasks=tasks),
        payload.HeartbeatMessage(message_id=addressed["message_id"], healthy=True),
        payload.TaskManifestMessage(**addressed, container_instance_arn=INSTANCE, tasks=manifest, timeline=1),
        payload.TaskStopVerificationAck(message_id="never asked", stop_tasks=candidates),
        payload.AckRequest(message_id=addressed["message_id"]),
        payload.NackRequest(message_id=addressed["message_id"], reason="no"),
        payload.CloseMessage(),
    )
    return [msgspec.to_builtins(payload.encode(message)) for message in messages]


def scenario(path: Path, test: Any) -> None:
    async def play() -> None:
        async with lab(path) as made:
            await test(made)

    in_virtual_time(play)


async def run_the_innocent(there: Lab) -> str:
    """Have the innocent task run; returns its container."""
    await there.control_plane.send_tasks(a_payload_task(number=INNOCENT))
    await there.control_plane.reported("RUNNING", task_arn(INNOCENT))
    (container,) = there.engine.containers
    return container


async def everything_ends_well(there: Lab) -> None:
    """The control plane is honest again: a task runs and stops, and nothing of any other is left."""
    control_plane = there.control_plane
    await control_plane.send_tasks(a_payload_task(number=90))
    await control_plane.reported("RUNNING", task_arn(90))
    await control_plane.send_tasks(*(a_payload_task(number=n, desired="STOPPED") for n in (*range(1, 7), 90)))
    await control_plane.reported("STOPPED", task_arn(90))
    await anyio.sleep(200)
    assert not there.engine.containers
    assert not there.engine.sandboxes


@pytest.mark.parametrize("seed", range(6))
def test_no_frame_ends_the_agent_or_what_runs(tmp_path: Path, seed: int) -> None:
    random = Random(seed)

    async def play(there: Lab) -> None:
        async with there.agent():
            container = await run_the_innocent(there)
            for _ in range(FRAMES):
                await there.control_plane.until(lambda: there.control_plane.channel)
                frame = mangled(random.choice(frames(random)), random)
                if isinstance(frame, dict) and there.control_plane.channel is not None:
                    with contextlib.suppress(anyio.ClosedResourceError):  # it has hung up, and will be back
                        await there.control_plane.channel.send(frame)
                await anyio.sleep(random.choice((0, 0.1)))
            await anyio.sleep(300)
            assert there.engine.containers[container].state == "running"
            assert [one.task.arn for one in there.engine.containers.values()].count(task_arn(INNOCENT)) == 1
            for one in there.engine.containers.values():
                assert re.fullmatch(r"[0-9a-zA-Z-]+", one.task.arn.rsplit("/", 1)[-1]), one.task.arn
                assert re.fullmatch(r"[0-9a-zA-Z_-]+", one.spec.name), one.spec.name
            await everything_ends_well(there)
        journal = Journal.open(there.path)
        assert [one.arn for one in journal.assignments() if one.finished_at is None] == []
        journal.close()

    scenario(tmp_path, play)


@pytest.mark.parametrize("arn", ["", "..", "task/default/..", task_arn() + "/../..", task_arn()[:-3] + "a.b", "x\x00y"])
def test_what_cannot_name_a_task_names_nothing_on_this_host(tmp_path: Path, arn: str) -> None:
    async def play(there: Lab) -> None:
        async with there.agent():
            await run_the_innocent(there)
            stranger = msgspec.structs.replace(a_payload_task(number=2), arn=arn)
            message = payload.PayloadMessage(
                message_id="bad", cluster_arn=CLUSTER, container_instance_arn=INSTANCE, tasks=(stranger,)
            )
            await there.control_plane.say(message)
            await there.control_plane.until(lambda: isinstance(there.control_plane.heard[-1], payload.NackRequest))
            assert len(there.engine.containers) == 1
            await everything_ends_well(there)

    scenario(tmp_path, play)


def test_a_stop_that_was_not_asked_about_stops_nothing(tmp_path: Path) -> None:
    async def play(there: Lab) -> None:
        async with there.agent():
            container = await run_the_innocent(there)
            candidates = (payload.StopCandidate(task_arn=task_arn(INNOCENT)),)
            for message_id in ("", "m", "made-up"):
                await there.control_plane.say(
                    payload.TaskStopVerificationAck(message_id=message_id, stop_tasks=candidates)
                )
            await anyio.sleep(600)
            assert there.engine.containers[container].state == "running"

    scenario(tmp_path, play)


class Babbling(ControlPlane):
    """Answers calls with whatever comes to its mind, until it is told to be `honest`."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.honest = False
        self.random = Random(seed)
        self.babbled = 0

    async def call(self, operation: str, parameters: Any) -> dict[str, Any]:
        answer = await super().call(operation, parameters)
        if self.honest:
            return answer
        self.babbled += 1
        match self.random.randrange(6):
            case 0:
                raise UnreachableError("HTTP 500")
            case 1:
                raise RefusedError(self.random.choice(("ServerException", "AccessDeniedException", "")), "go away")
            case 2:
                return {}
            case _:
                nonsense = mangled(answer, self.random)
                return nonsense if isinstance(nonsense, dict) else {"answer": self.random.choice(NASTY)}


@pytest.mark.parametrize("seed", range(6))
def test_no_answer_ends_the_agent(tmp_path: Path, seed: int) -> None:
    async def play() -> None:
        there = Lab(Babbling(seed), engine, tmp_path / "journal.db")
        async with there.control_plane.open(), there.agent():
            await anyio.sleep(600)
            assert there.control_plane.babbled > 10
            there.control_plane.honest = True
            await everything_ends_well(there)

    async def with_an_engine() -> None:
        nonlocal engine
        async with lab(tmp_path) as made:
            engine = made.engine
            await play()

    engine: Any = None
    in_virtual_time(with_an_engine)


def test_garbage_on_telemetry_ends_nothing(tmp_path: Path) -> None:
    """What comes back on TCS is not even looked at."""
    random = Random(1)

    class Echo(ControlPlane):
        async def connect(self, endpoint: str, query: Any) -> Any:
            if not endpoint.endswith("/tcs/"):
                return await super().connect(endpoint, query)
            ours, theirs = memory_pair()

            async def babble() -> None:
                try:
                    while True:
                        await ours.receive()
                        await ours.send({"type": random.choice(NASTY), "message": random.choice(NASTY)})
                except (anyio.EndOfStream, anyio.ClosedResourceError):
                    return
                finally:
                    await ours.aclose()

            self._nursery.start_soon(babble)
            return theirs

    async def play() -> None:
        async with lab(tmp_path) as made:
            there = Lab(Echo(), made.engine, tmp_path / "journal.db")
            async with there.control_plane.open(), there.agent():
                await run_the_innocent(there)
                await anyio.sleep(600)
                await everything_ends_well(there)

    in_virtual_time(play)
