"""The agent against a control plane that is broken or means harm: it goes on, and harms nobody."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
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
from wherry.agent.runtime.fake.runtime import FakeRuntime
from wherry.agent.spec import ContainerSpec, Eni, TaskSpec
from wherry.model.protocol import acs
from wherry.model.protocol.container import DockerConfig
from wherry.model.protocol.frames import encode

FRAMES = 300
INNOCENT = 1
"""The number of the task that runs all the time. No frame of a storm tells this instance to stop it."""
GIVEN, FOREIGN = range(2, 7), range(50, 55)
"""The numbers of tasks that a storm gives to this instance, and of those that it gives to another."""
STRANGER = INSTANCE[:-1] + "2"


def frames(random: Random) -> list[dict[str, Any]]:
    """Give a proper frame of every kind."""
    message_id = random.choice(("", "m", f"storm-{random.randrange(100)}"))
    innocent = (acs.StopCandidate(task_arn=task_arn(INNOCENT), task_cluster_arn=CLUSTER),)
    messages = (
        *payloads(random, message_id),
        *manifests(random),
        acs.HeartbeatMessage(message_id=message_id, healthy=True),
        acs.TaskStopVerificationAck(message_id=message_id, stop_tasks=innocent * random.choice((1, 1000))),
        acs.AckRequest(message_id=message_id),
        acs.NackRequest(message_id=message_id, reason="no"),
        acs.CloseMessage(),
    )
    return [msgspec.to_builtins(encode(message)) for message in messages]


def payloads(random: Random, message_id: str) -> Iterator[acs.PayloadMessage]:
    """Give tasks, twice over and with what they are not; and stop what runs here, but elsewhere."""
    number = random.choice(GIVEN)
    two = a_payload_task(a_payload_container("app"), a_payload_container("side"), number=number)
    other = a_payload_task(a_payload_container("other"), number=random.choice((INNOCENT, number)))
    elsewhere = (a_payload_task(number=INNOCENT, desired="STOPPED"), a_payload_task(number=random.choice(FOREIGN)))
    for instance, tasks in ((INSTANCE, (two,)), (INSTANCE, (two, other, two)), (STRANGER, elsewhere)):
        yield acs.PayloadMessage(
            message_id=message_id, cluster_arn=CLUSTER, container_instance_arn=instance, tasks=tasks
        )


def manifests(random: Random) -> Iterator[acs.TaskManifestMessage]:
    """List the innocent task alone, older and newer than before; and nothing at all, but elsewhere."""
    innocent = (acs.ManifestTask(task_arn=task_arn(INNOCENT), desired_status="RUNNING"),)
    for instance, tasks in ((INSTANCE, innocent), (STRANGER, ())):
        yield acs.TaskManifestMessage(
            message_id=f"manifest-{random.randrange(100)}",
            cluster_arn=CLUSTER,
            container_instance_arn=instance,
            tasks=tasks,
            timeline=random.choice((-1, 0, random.randrange(1000), 2**62)),
        )


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
    """The control plane is honest again: a task runs and stops, and of what it says is not to be nothing is left."""
    control_plane = there.control_plane
    await control_plane.say(acs.HeartbeatMessage(message_id="honest", healthy=True))
    await control_plane.until(lambda: acs.HeartbeatAckRequest(message_id="honest") in control_plane.heard)
    await control_plane.send_tasks(a_payload_task(number=90), a_payload_task(number=91))
    await control_plane.reported("RUNNING", task_arn(90))
    await control_plane.send_tasks(a_payload_task(number=90, desired="STOPPED"))
    await control_plane.reported("STOPPED", task_arn(90))
    await control_plane.send_manifest(timeline=2**63 - 1)
    stops = await asked_about(control_plane)
    assert task_arn(91) in {candidate.task_arn for candidate in stops.stop_candidates}
    await control_plane.say(acs.TaskStopVerificationAck(message_id=stops.message_id, stop_tasks=stops.stop_candidates))
    await anyio.sleep(200)
    assert not there.engine.containers
    assert not there.engine.sandboxes


async def asked_about(control_plane: ControlPlane) -> acs.TaskStopVerificationMessage:
    """Wait for the agent's question about the latest manifest."""

    def asked() -> list[acs.TaskStopVerificationMessage]:
        questions = [one for one in control_plane.heard if isinstance(one, acs.TaskStopVerificationMessage)]
        return [one for one in questions if one.message_id == f"manifest-{control_plane.timeline}"]

    await control_plane.until(asked)
    return asked()[-1]


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Collect what the runtime is ever asked for: a task's id, and a container's name or nothing."""
    found: set[tuple[str, str]] = set()
    create, ensure, remove = FakeRuntime.create, FakeRuntime.ensure_sandbox, FakeRuntime.remove_sandbox

    async def seen_create(runtime: FakeRuntime, task: TaskSpec, container: ContainerSpec) -> str:
        found.add((task.task_id, container.name))
        return await create(runtime, task, container)

    async def seen_ensure(runtime: FakeRuntime, task: TaskSpec) -> None:
        found.add((task.task_id, ""))
        await ensure(runtime, task)

    async def seen_remove(runtime: FakeRuntime, task: str, eni: Eni | None) -> None:
        found.add((task.rsplit("/", 1)[-1], ""))
        await remove(runtime, task, eni)

    monkeypatch.setattr(FakeRuntime, "create", seen_create)
    monkeypatch.setattr(FakeRuntime, "ensure_sandbox", seen_ensure)
    monkeypatch.setattr(FakeRuntime, "remove_sandbox", seen_remove)
    return found


async def storm(control_plane: ControlPlane, random: Random) -> None:
    """Send frames, most of them mangled, and hang up now and then."""
    for _ in range(FRAMES):
        await control_plane.until(lambda: control_plane.channel)
        frame = random.choice(frames(random))
        if random.random() < 0.7:
            frame = mangled(frame, random)
        if isinstance(frame, dict) and control_plane.channel is not None:
            with contextlib.suppress(anyio.ClosedResourceError):  # it has hung up, and will be back
                await control_plane.channel.send(frame)
        if random.random() < 0.02:
            await control_plane.lose()
            control_plane.reachable = True
        await anyio.sleep(random.choice((0, 0.1)))


@pytest.mark.parametrize("seed", range(6))
def test_no_frame_ends_the_agent_or_what_runs(tmp_path: Path, seed: int, reached: set[tuple[str, str]]) -> None:
    async def play(there: Lab) -> None:
        async with there.agent():
            container = there.engine.containers[await run_the_innocent(there)]
            before = container.observed()
            await storm(there.control_plane, Random(seed))
            await anyio.sleep(300)
            assert there.engine.containers[container.id].observed() == before
            assert [one for one in there.engine.containers.values() if one.task.arn == task_arn(INNOCENT)] == [
                container
            ]
            await everything_ends_well(there)
        journal = Journal.open(there.path)
        assert [one.arn for one in journal.assignments() if one.finished_at is None] == []
        journal.close()

    scenario(tmp_path, play)
    assert len(reached) > 10
    assert not {task_arn(number).rsplit("/", 1)[-1] for number in FOREIGN} & {task_id for task_id, _ in reached}
    for task_id, name in reached:
        assert re.fullmatch(r"[0-9a-zA-Z-]+", task_id)
        assert re.fullmatch(r"[0-9a-zA-Z_-]*", name)


def docker(**texts: str) -> DockerConfig:
    return DockerConfig(**({"version": "1.41", "config": "{}", "host_config": "{}"} | texts))


DIGITS, DEEP = "9" * 4000, "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "members",
    [
        {"cpu": int(DIGITS)},
        {"memory": int(DIGITS)},
        {"memory": -1},
        {"start_timeout": int(DIGITS)},
        {"stop_timeout": int(DIGITS)},
        {"stop_timeout": -1},
        {"docker_config": docker(host_config='{"Tmpfs":{"/x":"size=' + DIGITS * 2 + 'm"}}')},
        {"docker_config": docker(host_config='{"MemorySwap":' + DIGITS + "}")},
        {"docker_config": docker(host_config='{"Dns":' + DEEP + "}")},
        {"docker_config": docker(config='{"Healthcheck":{"Test":["CMD"],"Interval":' + DIGITS + "}}"), "checked": True},
        {"overrides": DEEP},
        {"name": "../../etc"},
        {"name": "\0task"},
    ],
    ids="-".join,
)
def test_a_container_that_nobody_can_mean_never_comes_to_be(
    tmp_path: Path, members: dict[str, Any], reached: set[tuple[str, str]]
) -> None:
    async def play(there: Lab) -> None:
        async with there.agent():
            container = there.engine.containers[await run_the_innocent(there)]
            task = a_payload_task(a_payload_container(**{"name": "app", **members}), number=2)
            await there.control_plane.say(
                acs.PayloadMessage(
                    message_id="absurd", cluster_arn=CLUSTER, container_instance_arn=INSTANCE, tasks=(task,)
                )
            )
            await there.control_plane.until(
                lambda: "absurd" in {getattr(m, "message_id", "") for m in there.control_plane.heard}
            )
            await anyio.sleep(100)
            assert "RUNNING" not in there.control_plane.statuses(task_arn(2))
            assert container.state == "running"
            await everything_ends_well(there)

    scenario(tmp_path, play)
    assert not {name for task_id, name in reached if task_id == task_arn(2).rsplit("/", 1)[-1]} - {""}


@pytest.mark.parametrize("arn", ["", "..", "task/default/..", task_arn() + "/../..", task_arn()[:-3] + "a.b", "x\x00y"])
def test_what_cannot_name_a_task_names_nothing_on_this_host(tmp_path: Path, arn: str) -> None:
    async def play(there: Lab) -> None:
        async with there.agent():
            await run_the_innocent(there)
            stranger = msgspec.structs.replace(a_payload_task(number=2), arn=arn)
            message = acs.PayloadMessage(
                message_id="bad", cluster_arn=CLUSTER, container_instance_arn=INSTANCE, tasks=(stranger,)
            )
            await there.control_plane.say(message)
            await there.control_plane.until(lambda: isinstance(there.control_plane.heard[-1], acs.NackRequest))
            assert len(there.engine.containers) == 1
            await everything_ends_well(there)

    scenario(tmp_path, play)


def test_a_stop_that_was_not_asked_about_stops_nothing(tmp_path: Path) -> None:
    async def play(there: Lab) -> None:
        control_plane = there.control_plane

        async def confirm(message_id: str, number: int) -> None:
            stops = (acs.StopCandidate(task_arn=task_arn(number)),)
            await control_plane.say(acs.TaskStopVerificationAck(message_id=message_id, stop_tasks=stops))
            await anyio.sleep(10)

        async with there.agent():
            await run_the_innocent(there)
            await confirm("", INNOCENT)
            await control_plane.send_tasks(a_payload_task(a_payload_container("stray"), number=2))
            await control_plane.send_manifest(task_arn(INNOCENT))
            question = await asked_about(control_plane)
            assert [candidate.task_arn for candidate in question.stop_candidates] == [task_arn(2)]
            for message_id in ("", "m", "made-up"):
                await confirm(message_id, 2)
            assert there.running() == ["app", "stray"]
            await confirm(question.message_id, INNOCENT)
            assert there.running() == ["app", "stray"]

    scenario(tmp_path, play)


@pytest.mark.parametrize("desired", ["", "stopped", "PENDING", "\0", "RUNNING"])
def test_a_task_that_runs_is_stopped_by_no_other_word_than_stopped(tmp_path: Path, desired: str) -> None:
    async def play(there: Lab) -> None:
        async with there.agent():
            await run_the_innocent(there)
            await there.control_plane.send_tasks(a_payload_task(number=INNOCENT, desired=desired))
            await anyio.sleep(100)
            assert there.running() == ["app"]

    scenario(tmp_path, play)


REFUSALS = ("ServerException", "AccessDeniedException", "ClientException", "InactiveInstanceException", "\0", "")


class Babbling(ControlPlane):
    """Answers calls with whatever comes to its mind, unless it is told to be `honest`."""

    def __init__(self, seed: int, *, honest: bool) -> None:
        super().__init__()
        self.honest = honest
        self.random = Random(seed)
        self.babbled = 0

    async def call(self, operation: str, parameters: Any, **_: Any) -> dict[str, Any]:
        answer = await super().call(operation, parameters)
        if self.honest:
            return answer
        self.babbled += 1
        match self.random.randrange(6):
            case 0:
                raise UnreachableError("HTTP 500")
            case 1:
                raise RefusedError(self.random.choice(REFUSALS), "go away")
            case 2:
                return {}
            case _:
                nonsense = mangled(answer, self.random)
                return nonsense if isinstance(nonsense, dict) else {"answer": self.random.choice(NASTY)}


@pytest.mark.parametrize("seed", range(6))
def test_no_answer_keeps_the_agent_from_joining_in_the_end(tmp_path: Path, seed: int) -> None:
    async def play(made: Lab) -> None:
        there = Lab(Babbling(seed, honest=False), made.engine, made.path)
        async with there.control_plane.open(), there.agent():
            await anyio.sleep(600)
            assert there.control_plane.babbled > 10
            there.control_plane.honest = True
            await everything_ends_well(there)

    scenario(tmp_path, play)


@pytest.mark.parametrize("seed", range(6))
def test_no_answer_ends_what_runs(tmp_path: Path, seed: int) -> None:
    async def play(made: Lab) -> None:
        there = Lab(Babbling(seed, honest=True), made.engine, made.path)
        control_plane = there.control_plane
        async with control_plane.open(), there.agent():
            container = there.engine.containers[await run_the_innocent(there)]
            before = container.observed()
            for number in GIVEN:
                await control_plane.send_tasks(a_payload_task(a_payload_container("app", "run_for=9"), number=number))
            control_plane.honest = False
            for _ in range(20):
                await control_plane.lose()
                control_plane.reachable = True
                await anyio.sleep(60)
            assert control_plane.babbled > 50
            control_plane.honest = True
            await anyio.sleep(300)
            assert container.observed() == before
            assert there.running() == ["app"]
            await everything_ends_well(there)

    scenario(tmp_path, play)


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

    async def play(made: Lab) -> None:
        there = Lab(Echo(), made.engine, made.path)
        async with there.control_plane.open(), there.agent():
            await run_the_innocent(there)
            await anyio.sleep(600)
            await everything_ends_well(there)

    scenario(tmp_path, play)
