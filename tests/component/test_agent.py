"""A whole agent against a scripted control plane, on a machine without containers, in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from random import Random
from typing import Any

import anyio
import msgspec
import pytest
from msgspec.structs import replace
from tests.component.agent_lab import (
    CLUSTER,
    EPOCH,
    INSTANCE,
    ControlPlane,
    Lab,
    a_payload_container,
    a_payload_task,
    clock,
    in_virtual_time,
    lab,
    task_arn,
)

from wherry.agent.journal import Journal, JournalError
from wherry.agent.link.base import AccessKey, RefusedError, UnreachableError
from wherry.agent.roster import Roster
from wherry.agent.runner import Surroundings
from wherry.agent.runtime.base import ContainerState, Observed
from wherry.agent.runtime.fake.runtime import FakeRuntime
from wherry.agent.spec import ContainerSpec, TaskSpec
from wherry.model.protocol import acs
from wherry.model.protocol.container import DockerConfig, PayloadSecret
from wherry.model.protocol.task import RoleCredentials


def scenario(tmp_path: Path, play) -> None:
    async def whole() -> None:
        async with lab(tmp_path) as made:
            await play(made)

    in_virtual_time(whole)


async def quiet() -> None:
    """Let everything happen that happens at once."""
    await anyio.sleep(0.5)


def test_it_registers_into_the_pool_with_what_the_host_has(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.until(lambda: lab.control_plane.queries)
        registration = lab.control_plane.registrations[0]
        attributes = {a["name"]: a.get("value") for a in registration["attributes"]}
        assert attributes["wherry.pool"] == "FARGATE"
        assert attributes["ecs.cpu-architecture"] == "x86_64"
        resources = {r["name"]: r.get("integerValue") for r in registration["totalResources"]}
        assert (resources["CPU"], resources["MEMORY"]) == (4096, 16384)
        assert "containerInstanceArn" not in registration
        query = lab.control_plane.queries[0]
        assert query["containerInstanceArn"] == INSTANCE
        assert query["clusterArn"].endswith(":cluster/.fargate")
        assert (query["protocolVersion"], query["seqNum"], query["sendCredentials"]) == ("2", "1", "true")
        assert query["dockerVersion"] == "DockerVersion: fake"

        async with lab.agent():
            await lab.control_plane.until(lambda: len(lab.control_plane.registrations) == 2)
        assert lab.control_plane.registrations[1]["containerInstanceArn"] == INSTANCE

    scenario(tmp_path, play)


def test_nobody_looks_at_the_engine_before_a_container_runs(tmp_path: Path, monkeypatch) -> None:
    looks, states = FakeRuntime.containers_of, []

    async def noted(runtime: FakeRuntime, spec: TaskSpec) -> list[Observed]:
        seen = await looks(runtime, spec)
        states.append([one.state for one in seen])
        return seen

    monkeypatch.setattr(FakeRuntime, "containers_of", noted)

    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task())
            await lab.control_plane.reported("RUNNING")
            await quiet()
        # The end of the start and the engine's event of it are one occasion each.
        assert 1 <= states.count([ContainerState.RUNNING]) == len(states) <= 2
        looked = len(states)
        async with lab.agent():
            await quiet()
        # A new agent knows nothing before it has looked.
        assert len(states) > looked

    scenario(tmp_path, play)


def test_a_container_that_somebody_removes_before_its_start_is_created_again(tmp_path: Path, monkeypatch) -> None:
    start, removed = FakeRuntime.start, []

    async def prune_and_start(runtime: FakeRuntime, runtime_id: str) -> None:
        if not removed:
            removed.append(runtime_id)
            await runtime.remove(runtime_id)
        await start(runtime, runtime_id)

    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task(a_payload_container("app")))
            report = await lab.control_plane.reported("RUNNING")
        assert [one["runtimeId"] for one in report["containers"]] == list(lab.engine.containers)
        assert len(removed) == 1

    monkeypatch.setattr(FakeRuntime, "start", prune_and_start)
    scenario(tmp_path, play)


def test_a_task_runs_and_is_stopped(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(a_payload_task(a_payload_container("app", "digest=sha256:abc")))
            report = await control_plane.reported("RUNNING")
            assert report["containers"] == [
                {
                    "containerName": "app",
                    "status": "RUNNING",
                    "runtimeId": next(iter(lab.engine.containers)),
                    "imageDigest": "sha256:abc",
                }
            ]
            assert EPOCH <= report["pullStartedAt"] <= report["pullStoppedAt"] <= clock()
            await anyio.sleep(100)

            await control_plane.send_tasks(a_payload_task(desired="STOPPED"))
            report = await control_plane.reported("STOPPED")
            assert report["containers"][0]["exitCode"] == 0
            assert report["executionStoppedAt"] >= EPOCH + 100
            await control_plane.until(lambda: "detached" in control_plane.statuses())
            await quiet()

        assert control_plane.statuses() == ["attached", "RUNNING", "STOPPED", "detached"]
        assert not lab.engine.containers
        assert not lab.engine.sandboxes

    scenario(tmp_path, play)


def test_an_essential_container_that_exits_ends_the_task_and_the_exit_code_is_told(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(
                a_payload_task(a_payload_container("app", "run_for=10&exit_code=3"), a_payload_container("side"))
            )
            report = await lab.control_plane.reported("STOPPED")
        assert {c["containerName"]: c["exitCode"] for c in report["containers"]} == {"app": 3, "side": 0}
        assert "reason" not in report

    scenario(tmp_path, play)


def test_out_of_memory_is_told_in_the_words_of_ecs(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task(a_payload_container("app", "run_for=1&oom=true")))
            report = await lab.control_plane.reported("STOPPED")
        assert report["containers"][0]["exitCode"] == 137
        assert report["containers"][0]["reason"] == "OutOfMemoryError: Container killed due to memory usage"

    scenario(tmp_path, play)


def test_a_pull_error_becomes_the_containers_reason_and_nothing_runs(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(
                a_payload_task(a_payload_container("app", "pull_error=no such image"), a_payload_container("side"))
            )
            report = await lab.control_plane.reported("STOPPED")
            await lab.control_plane.until(lambda: "detached" in lab.control_plane.statuses())
            await quiet()
        app = next(c for c in report["containers"] if c["containerName"] == "app")
        assert app["reason"] == "CannotPullContainerError: no such image"
        assert "exitCode" not in app
        assert "RUNNING" not in lab.control_plane.statuses()
        assert not lab.engine.containers

    scenario(tmp_path, play)


def test_an_init_container_comes_first_and_may_end(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(
                a_payload_task(
                    a_payload_container("init", "run_for=30", essential=False),
                    a_payload_container("app", after="init:SUCCESS"),
                )
            )
            await anyio.sleep(29)
            assert lab.running() == ["init"]
            assert lab.engine.pulls == ["fake/init?run_for=30"]
            report = await control_plane.reported("RUNNING")
            assert {c["containerName"]: c["status"] for c in report["containers"]} == {
                "init": "STOPPED",
                "app": "RUNNING",
            }
            assert lab.running() == ["app"]

    scenario(tmp_path, play)


def test_health_is_published_at_once_and_statistics_now_and_then(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(
                a_payload_task(a_payload_container("app", "healthy_after=7&unhealthy_after=31", checked=True))
            )
            await control_plane.until(lambda: {"app": "HEALTHY"} in control_plane.health)
            assert clock() - EPOCH < 9
            await control_plane.until(lambda: {"app": "UNHEALTHY"} in control_plane.health)
            assert clock() - EPOCH < 33
            await control_plane.until(lambda: control_plane.metrics)
            metric = control_plane.metrics[0].container_metrics[0]
            assert metric.cpu_stats_set is not None
            assert 0.9 < metric.cpu_stats_set.sum < 1.1  # The fake uses a hundredth of a core.

    scenario(tmp_path, play)


def test_a_change_of_health_publishes_that_task_alone_and_each_is_published_now_and_then(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane

        async def published() -> dict[str, int]:
            """Count what is published within two periods."""
            control_plane.health.clear()
            await anyio.sleep(2 * lab.options.telemetry)
            return Counter(name for health in control_plane.health for name in health)

        async with lab.agent():
            await control_plane.send_tasks(
                a_payload_task(a_payload_container("calm", checked=True)),
                a_payload_task(a_payload_container("moody", "unhealthy_after=50", checked=True), number=2),
            )
            await anyio.sleep(5)
            assert await published() == {"calm": 2, "moody": 2}
            assert await published() == {"calm": 2, "moody": 3}
            assert await published() == {"calm": 2, "moody": 2}

    scenario(tmp_path, play)


def test_an_agent_that_comes_back_adopts_its_containers(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(a_payload_task())
            await control_plane.reported("RUNNING")
            await quiet()
        assert lab.running() == ["app"]
        (container,) = lab.engine.containers
        await anyio.sleep(1000)

        async with lab.agent():
            await quiet()
            await control_plane.send_tasks(a_payload_task())
            await anyio.sleep(100)
            assert list(lab.engine.containers) == [container]
            assert control_plane.statuses() == ["attached", "RUNNING"]
            lab.engine.kill(container, 9)
            report = await control_plane.reported("STOPPED")
        assert report["containers"][0]["exitCode"] == 9

    scenario(tmp_path, play)


def test_what_happened_while_the_agent_was_away_is_told_when_it_is_back(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task(a_payload_container("app", "run_for=60&exit_code=4")))
            await lab.control_plane.reported("RUNNING")
        await anyio.sleep(1000)
        async with lab.agent():
            report = await lab.control_plane.reported("STOPPED")
        assert report["containers"][0]["exitCode"] == 4
        assert EPOCH + 60 <= report["executionStoppedAt"] < EPOCH + 65

    scenario(tmp_path, play)


def test_an_hour_without_a_control_plane_stops_nothing_and_loses_no_report(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(
                a_payload_task(number=1), a_payload_task(a_payload_container("b", "run_for=1000&exit_code=5"), number=2)
            )
            await control_plane.reported("RUNNING", task_arn(1))
            await control_plane.reported("RUNNING", task_arn(2))
            await control_plane.lose()
            await anyio.sleep(3600)
            assert lab.running() == ["app"]

            control_plane.reachable = True
            report = await control_plane.reported("STOPPED", task_arn(2))
            assert report["containers"][0]["exitCode"] == 5
            await control_plane.send_manifest(task_arn(1))
            await control_plane.send_tasks(a_payload_task(number=1))
            await anyio.sleep(100)
            assert lab.running() == ["app"]
            assert control_plane.statuses(task_arn(1)).count("RUNNING") == 1

    scenario(tmp_path, play)


def test_tasks_go_on_when_the_control_plane_is_not_there_at_the_start(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task(a_payload_container("app"), a_payload_container("side")))
            await lab.control_plane.reported("RUNNING")
        await lab.control_plane.lose()
        async with lab.agent():
            await quiet()
            app = next(c for c in lab.engine.containers.values() if c.spec.name == "app")
            lab.engine.kill(app.id)
            await anyio.sleep(60)
            assert lab.running() == []

    scenario(tmp_path, play)


def test_the_manifest_stops_what_it_lacks_only_after_asking(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(a_payload_task(number=1), a_payload_task(number=2))
            await control_plane.reported("RUNNING", task_arn(1))
            await control_plane.reported("RUNNING", task_arn(2))
            await control_plane.send_manifest(task_arn(1))
            await control_plane.until(
                lambda: any(isinstance(m, acs.TaskStopVerificationMessage) for m in control_plane.heard)
            )
            await anyio.sleep(100)
            assert lab.running() == ["app", "app"]
            asked = control_plane.heard[-1]
            assert isinstance(asked, acs.TaskStopVerificationMessage)
            assert [c.task_arn for c in asked.stop_candidates] == [task_arn(2)]

            await control_plane.say(
                acs.TaskStopVerificationAck(message_id=asked.message_id, stop_tasks=asked.stop_candidates)
            )
            await control_plane.reported("STOPPED", task_arn(2))
            assert control_plane.statuses(task_arn(1)).count("STOPPED") == 0

    scenario(tmp_path, play)


def test_an_old_manifest_is_dropped_even_after_a_restart(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(a_payload_task())
            await control_plane.send_manifest(task_arn(), timeline=5)
            await control_plane.until(lambda: len(control_plane.acks) == 2)
        async with lab.agent():
            await control_plane.until(lambda: len(control_plane.queries) == 2)
            await control_plane.send_manifest(timeline=5)
            await anyio.sleep(30)
            assert not any(isinstance(m, acs.TaskStopVerificationMessage) for m in control_plane.heard)
            assert lab.running() == ["app"]

    scenario(tmp_path, play)


def test_leftovers_go_after_a_manifest_and_not_before(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(a_payload_task(number=1), a_payload_task(number=2))
            await control_plane.reported("RUNNING", task_arn(1))
            await control_plane.reported("RUNNING", task_arn(2))
        lab.path.unlink()
        async with lab.agent():
            await control_plane.until(lambda: len(control_plane.queries) == 2)
            await anyio.sleep(100)
            assert len(lab.engine.containers) == 2
            await control_plane.send_manifest(task_arn(1))
            await anyio.sleep(10)
            assert [c.task.arn for c in lab.engine.containers.values()] == [task_arn(1)]
            assert {task_id for _, task_id in lab.engine.sandboxes} == {f"{1:032x}"}
            (adopted,) = lab.engine.containers
            await control_plane.send_tasks(a_payload_task(number=1))
            await anyio.sleep(10)
            assert list(lab.engine.containers) == [adopted]
            assert lab.engine.containers[adopted].state is ContainerState.RUNNING

    scenario(tmp_path, play)


class Streams:
    """A relay that is told what ends."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def equipped(self, _: TaskSpec, container: ContainerSpec) -> ContainerSpec:
        return container

    async def finish(self, _: str, __: str) -> None:
        await anyio.lowlevel.checkpoint()

    async def end(self, arn: str) -> None:
        self.ended.append(arn)


@asynccontextmanager
async def a_roster(lab: Lab, streams: Streams, journal: str) -> AsyncIterator[Roster]:
    """Run a roster without an agent around it."""
    with closing(Journal.open(lab.path.with_name(journal))) as opened:
        around = Surroundings(
            runtime=FakeRuntime(lab.engine),
            control_plane=lab.control_plane,
            journal=opened,
            clock=clock,
            entropy=Random(0).randbytes,
            relay=streams,
        )
        roster = Roster(around, stop_timeout=30)
        async with anyio.create_task_group() as group:
            group.start_soon(roster.run)
            yield roster
            group.cancel_scope.cancel()


def test_the_streams_of_a_task_end_with_it_and_with_what_is_left_of_one_that_nobody_knows(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        streams = Streams()
        async with a_roster(lab, streams, "first") as roster:
            never = a_payload_container("never", "create_error=no")
            roster.assign((a_payload_task(never), a_payload_task(number=2)))
            await anyio.sleep(60)
            assert streams.ended == [task_arn(1)]
        async with a_roster(lab, streams, "second") as roster:
            roster.clear_leftovers(())
            await anyio.sleep(60)
        assert streams.ended == [task_arn(1), task_arn(2)]

    scenario(tmp_path, play)


class Parameters:
    """A control plane's parameters, and who has asked for them."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self.reachable = False
        self.asked: list[AccessKey | None] = []
        self._others = control_plane.call
        control_plane.call = self.call

    async def call(self, operation: str, parameters: Mapping[str, Any], **how: Any) -> dict[str, Any]:
        if operation != "GetParameters":
            return await self._others(operation, parameters, **how)
        await anyio.lowlevel.checkpoint()
        if not self.reachable:
            raise UnreachableError("the line is down")
        self.asked.append(how["signer"])
        return {"Parameters": [{"Name": "/key", "Value": "value"}]}


def test_an_agent_without_a_tasks_credentials_waits_for_them_and_acts_in_no_other_name(tmp_path: Path) -> None:
    key = AccessKey(access_key_id="ASIA", secret_access_key="secret", session_token="token")
    role = RoleCredentials(
        credentials_id="id", expiration="2026-11-26T12:00:00Z", role_arn="arn:role", **msgspec.structs.asdict(key)
    )
    secret = PayloadSecret(name="KEY", value_from="/key", provider="ssm")
    task = replace(a_payload_task(a_payload_container(secrets=(secret,))), execution_role_credentials=role)

    async def play(lab: Lab) -> None:
        parameters = Parameters(lab.control_plane)
        async with lab.agent():
            await lab.control_plane.send_tasks(task)
        # What was in memory is gone, as after a boot.
        parameters.reachable = True
        async with lab.agent():
            await anyio.sleep(300)
            assert parameters.asked == []
            await lab.control_plane.send_tasks(task)
            await lab.control_plane.reported("RUNNING")
        assert parameters.asked == [key]

    scenario(tmp_path, play)


def test_a_payload_that_comes_after_the_end_runs_nothing_and_has_the_end_told_again(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(a_payload_task(a_payload_container("app", "run_for=5&exit_code=2")))
            await control_plane.until(lambda: "detached" in control_plane.statuses())
            await quiet()
            pulls = list(lab.engine.pulls)
            await control_plane.send_tasks(a_payload_task(a_payload_container("app", "run_for=5&exit_code=2")))
            await anyio.sleep(60)
        assert lab.engine.pulls == pulls
        assert control_plane.statuses() == ["attached", "RUNNING", "STOPPED", "detached", "STOPPED", "detached"]
        assert control_plane.reports[-2] == control_plane.reports[-4]

    scenario(tmp_path, play)


def test_a_task_that_has_run_before_and_that_the_journal_does_not_know_is_not_begun(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(replace(a_payload_task(), started=True))
            told = await control_plane.reported("STOPPED")
            await control_plane.until(lambda: "detached" in control_plane.statuses())
        assert lab.engine.pulls == []
        assert control_plane.statuses() == ["STOPPED", "detached"]
        assert "No container matching saved ID found" in told["containers"][0]["reason"]

    scenario(tmp_path, play)


def test_a_task_that_has_run_before_and_still_does_is_adopted_by_an_agent_with_a_new_journal(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task())
            await lab.control_plane.reported("RUNNING")
        (running,) = lab.engine.containers
        await lab.control_plane.lose()
        lab.control_plane.reachable, lab.path = True, tmp_path / "new.db"
        async with lab.agent():
            await lab.control_plane.send_tasks(replace(a_payload_task(), started=True))
            await anyio.sleep(60)
            assert lab.running() == ["app"]
            assert list(lab.engine.containers) == [running]

    scenario(tmp_path, play)


def test_what_cannot_be_written_down_is_not_acknowledged_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(lab: Lab) -> None:
        def full(*_: object) -> None:
            raise JournalError("the disk is full")

        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task())
            await lab.control_plane.reported("RUNNING")
            acknowledged = len(lab.control_plane.acks)
            with monkeypatch.context() as broken:
                broken.setattr(Journal, "save", full)
                second = acs.PayloadMessage(
                    message_id="m2",
                    cluster_arn=CLUSTER,
                    container_instance_arn=INSTANCE,
                    tasks=(a_payload_task(number=2),),
                )
                await lab.control_plane.say(second)
                await anyio.sleep(10)
                assert len(lab.control_plane.acks) == acknowledged
                assert lab.running() == ["app"]
            await lab.control_plane.send_tasks(a_payload_task(number=2))
            await lab.control_plane.reported("RUNNING", task_arn(2))

    scenario(tmp_path, play)


def test_a_fault_that_cannot_be_written_down_is_met_again_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(
                a_payload_task(a_payload_container("app", "pull_seconds=5&pull_error=gone"))
            )
            save, broken = Journal.save, anyio.current_time() + 60

            def full(journal: Journal, assignments: object) -> None:
                if anyio.current_time() < broken:
                    raise JournalError("the disk is full")
                save(journal, assignments)

            await anyio.sleep(1)
            monkeypatch.setattr(Journal, "save", full)
            told = await lab.control_plane.reported("STOPPED")
        assert "gone" in told["containers"][0]["reason"]
        assert anyio.current_time() > broken

    scenario(tmp_path, play)


def test_a_stop_for_a_task_that_never_came_is_answered_by_its_end(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task(desired="STOPPED"))
            await lab.control_plane.until(lambda: "detached" in lab.control_plane.statuses())
        assert lab.control_plane.statuses() == ["STOPPED", "detached"]
        assert lab.engine.pulls == []

    scenario(tmp_path, play)


def test_a_stop_abandons_a_pull(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task(a_payload_container("app", "pull_seconds=900")))
            await anyio.sleep(5)
            await lab.control_plane.send_tasks(a_payload_task(desired="STOPPED"))
            await lab.control_plane.reported("STOPPED")
            assert clock() - EPOCH < 10
        assert not lab.engine.containers

    scenario(tmp_path, play)


def test_a_malformed_task_ends_with_a_reason_and_its_neighbours_run(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        broken = a_payload_container("app", docker_config=DockerConfig(version="", config="{", host_config="{}"))
        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task(broken, number=1), a_payload_task(number=2))
            report = await lab.control_plane.reported("STOPPED", task_arn(1))
            assert report["reason"].startswith("UnrecognizedTaskError: Error loading task - container app")
            await lab.control_plane.reported("RUNNING", task_arn(2))

    scenario(tmp_path, play)


def test_a_frame_that_cannot_be_read_is_refused_and_the_conversation_goes_on(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.until(lambda: control_plane.channel)
            assert control_plane.channel is not None
            await control_plane.channel.send({"type": "PayloadMessage", "message": {"messageId": "m1", "tasks": 5}})
            await control_plane.until(lambda: control_plane.heard)
            refusal = control_plane.heard[0]
            assert isinstance(refusal, acs.NackRequest)
            assert refusal.message_id == "m1"
            await control_plane.say(acs.HeartbeatMessage(message_id="h1", healthy=True))
            await control_plane.until(lambda: len(control_plane.heard) == 2)
            assert control_plane.heard[1] == acs.HeartbeatAckRequest(message_id="h1")
            assert len(control_plane.queries) == 1

    scenario(tmp_path, play)


def test_a_payload_is_in_the_journal_before_it_is_acknowledged(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.send_tasks(a_payload_task())
        assert [one.arn for one in Journal.open(lab.path).assignments()] == [task_arn()]

    scenario(tmp_path, play)


def test_silence_ends_the_conversation_and_the_agent_dials_again(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        async with lab.agent():
            await lab.control_plane.say(acs.HeartbeatMessage(message_id="h", healthy=True))
            await lab.control_plane.until(lambda: len(lab.control_plane.queries) == 2)
        assert 60 <= clock() - EPOCH <= 125
        assert lab.control_plane.queries[1]["sendCredentials"] == "false"

    scenario(tmp_path, play)


def test_an_instance_that_is_not_known_any_more_registers_anew(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.until(lambda: control_plane.queries)
            other = INSTANCE[:-1] + "2"
            control_plane.known = {other}
            await control_plane.lose()
            control_plane.reachable = True
            await control_plane.until(lambda: control_plane.queries[-1]["containerInstanceArn"] == other)

    scenario(tmp_path, play)


def test_a_new_name_that_cannot_be_written_down_waits_for_room_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        other = INSTANCE[:-1] + "2"

        def full(*_: object) -> None:
            raise JournalError("the disk is full")

        async with lab.agent():
            await control_plane.send_tasks(a_payload_task())
            await control_plane.reported("RUNNING")
            with monkeypatch.context() as broken:
                broken.setattr(Journal, "set_instance", full)
                control_plane.known = {other}
                await control_plane.lose()
                control_plane.reachable = True
                await anyio.sleep(600)
                assert lab.running() == ["app"]
            await control_plane.until(lambda: control_plane.queries[-1]["containerInstanceArn"] == other)
            assert len(control_plane.registrations) == 3, "one at the start, one that was refused, one that counts"

    scenario(tmp_path, play)


def test_an_engine_that_restarts_costs_nothing(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        async with lab.agent():
            await control_plane.send_tasks(a_payload_task())
            await control_plane.reported("RUNNING")
            lab.engine.crash()
            await control_plane.send_tasks(a_payload_task(number=2))
            await anyio.sleep(300)
            assert control_plane.statuses() == ["attached", "RUNNING"]
            lab.engine.restart()
            await control_plane.reported("RUNNING", task_arn(2))
            assert control_plane.statuses(task_arn(1)).count("STOPPED") == 0

    scenario(tmp_path, play)


def test_a_report_that_is_refused_for_good_is_not_repeated(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        control_plane = lab.control_plane
        control_plane.refuse = RefusedError("InvalidParameterException", "no such task")
        async with lab.agent():
            await control_plane.send_tasks(a_payload_task(a_payload_container("app", "run_for=5")))
            await anyio.sleep(30)
        assert not lab.engine.containers
        assert not lab.engine.sandboxes

    scenario(tmp_path, play)


def test_a_bug_in_one_task_backs_off_that_task_only(tmp_path: Path) -> None:
    async def play(lab: Lab) -> None:
        good = lab.engine.script

        def script(image: str):
            if "bad" in image:
                raise ZeroDivisionError
            return good(image)

        lab.engine.script = script  # type: ignore[method-assign]
        async with lab.agent():
            await lab.control_plane.send_tasks(
                a_payload_task(a_payload_container("bad"), number=1), a_payload_task(number=2)
            )
            await lab.control_plane.reported("RUNNING", task_arn(2))
            await anyio.sleep(100)
            assert lab.control_plane.statuses(task_arn(1)).count("STOPPED") == 0

    scenario(tmp_path, play)


@pytest.mark.parametrize("seed", range(20))
def test_an_agent_that_dies_again_and_again_brings_a_task_through_once(tmp_path: Path, seed: int) -> None:
    random = Random(seed)

    async def play(lab: Lab) -> None:
        starts: list[str] = []
        run = lab.engine.run
        lab.engine.run = lambda container: (starts.append(container.spec.name), run(container))  # type: ignore[method-assign]
        slow = "pull_seconds=3&start_seconds=1"
        task = a_payload_task(
            a_payload_container("init", f"{slow}&run_for=5", essential=False),
            a_payload_container("app", f"{slow}&run_for=40&exit_code=6", after="init:SUCCESS"),
            a_payload_container("side", f"{slow}&ignore_stop=true", stop_timeout=7),
        )
        async with lab.agent():
            await lab.control_plane.send_tasks(task)
            await anyio.sleep(random.uniform(0, 2))
        for _ in range(15):
            async with lab.agent():
                await anyio.sleep(random.uniform(0, 8))
        async with lab.agent():
            await lab.control_plane.until(lambda: "detached" in lab.control_plane.statuses())
            await quiet()
        assert sorted(starts) == ["app", "init", "side"]
        report = await lab.control_plane.reported("STOPPED")
        assert {c["containerName"]: c["exitCode"] for c in report["containers"]} == {"init": 0, "app": 6, "side": 137}
        order = list(dict.fromkeys(lab.control_plane.statuses()))
        assert order == ["attached", "RUNNING", "STOPPED", "detached"]
        assert not lab.engine.containers
        assert not lab.engine.sandboxes

    scenario(tmp_path, play)


def test_a_task_spec_knows_its_id() -> None:
    assert TaskSpec(arn=task_arn(7), cluster="", family="", version="", containers=()).task_id == f"{7:032x}"
