"""A whole agent on a fake machine, and a control plane that does as a test says, in virtual time."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import trio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from trio.testing import MockClock

from wherry.agent.agent import run_agent
from wherry.agent.journal import Journal
from wherry.agent.link.base import Channel, DataStream, RefusedError, UnreachableError
from wherry.agent.link.pair import memory_pair
from wherry.agent.options import AgentOptions
from wherry.agent.runtime.fake.engine import Engine
from wherry.agent.runtime.fake.runtime import FakeRuntime
from wherry.model.protocol import acs, tcs
from wherry.model.protocol.container import DockerConfig, PayloadContainer, PayloadDependency
from wherry.model.protocol.frames import Message, decode, encode
from wherry.model.protocol.task import Ipv4Assignment, PayloadEni, PayloadTask

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
INSTANCE = "arn:aws:ecs:us-east-1:000000000000:container-instance/.fargate/" + "1" * 32
EPOCH = 1_700_000_000.0


def clock() -> float:
    return EPOCH + anyio.current_time()


def in_virtual_time(test: Callable[[], Awaitable[None]], *, seconds: float = 20_000) -> None:
    """Run a test in which an hour takes no time, and which fails if it takes too many."""

    async def bounded() -> None:
        with trio.fail_after(seconds):
            await test()

    trio.run(bounded, clock=MockClock(autojump_threshold=0))


class Exchange:
    """One end of a data channel without a network."""

    def __init__(
        self, heard: MemoryObjectReceiveStream[str | bytes], said: MemoryObjectSendStream[str | bytes]
    ) -> None:
        self._heard = heard
        self._said = said

    async def send(self, frame: str | bytes) -> None:
        try:
            await self._said.send(frame)
        except anyio.BrokenResourceError as error:
            raise anyio.ClosedResourceError from error

    async def receive(self) -> str | bytes:
        return await self._heard.receive()

    async def aclose(self) -> None:
        self._heard.close()
        self._said.close()
        await anyio.lowlevel.checkpoint()


class ControlPlane:
    """Records what the agent says; says what a test wants."""

    def __init__(self) -> None:
        self.reachable = True
        self.refuse: RefusedError | None = None
        self.known = {INSTANCE}
        self.registrations: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.queries: list[dict[str, str]] = []
        self.heard: list[Message] = []
        self.health: list[dict[str, str]] = []
        self.metrics: list[tcs.TaskMetric] = []
        self.timeline = 0
        self.sessions: dict[str, Exchange] = {}
        self.channel: Channel | None = None
        self._channels: list[Channel] = []
        self._changed = anyio.Event()

    async def call(self, operation: str, parameters: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        self._reach()
        match operation:
            case "RegisterContainerInstance":
                return self._register(dict(parameters))
            case "DiscoverPollEndpoint":
                return {"endpoint": "http://x/acs/", "telemetryEndpoint": "http://x/tcs/"}
            case _:
                if self.refuse is not None:
                    raise self.refuse
                msgspec.json.encode(parameters)
                self.reports.append(dict(parameters))
                self._ring()
                return {"acknowledgment": "ACK"}

    def _register(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self.registrations.append(parameters)
        known = parameters.get("containerInstanceArn")
        if known is not None and known not in self.known:
            raise RefusedError("ClientException", "not registered")
        return {"containerInstance": {"containerInstanceArn": known or min(self.known)}}

    async def connect(self, endpoint: str, query: Mapping[str, str]) -> Channel:
        await anyio.lowlevel.checkpoint()
        self._reach()
        arn = query.get("containerInstanceArn") or query.get("containerInstance")
        if arn not in self.known:
            raise RefusedError("InactiveInstanceException", "not registered")
        ours, theirs = memory_pair()
        self._channels.append(ours)
        telemetry = endpoint.endswith("/tcs/")
        if not telemetry:
            self.queries.append(dict(query))
            self.channel = ours
        self._nursery.start_soon(self._listen, ours, telemetry)
        self._ring()
        return theirs

    async def open_data_channel(self, session_id: str) -> DataStream:
        """Hand the agent its end of a session; the test has the other one."""
        await anyio.lowlevel.checkpoint()
        self._reach()
        to_agent, heard_by_agent = anyio.create_memory_object_stream[str | bytes](math.inf)
        said_by_agent, from_agent = anyio.create_memory_object_stream[str | bytes](math.inf)
        self.sessions[session_id] = Exchange(from_agent, to_agent)
        self._ring()
        return Exchange(heard_by_agent, said_by_agent)

    def _reach(self) -> None:
        if not self.reachable:
            raise UnreachableError("the line is down")

    async def _listen(self, channel: Channel, telemetry: bool) -> None:
        try:
            while True:
                message = decode(msgspec.json.decode(msgspec.json.encode(await channel.receive())))
                assert message is not None
                self._take(message)
                if telemetry:
                    await channel.send(encode(tcs.AckPublishHealth()))
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            return
        finally:
            if self.channel is channel:
                self.channel = None
            with anyio.CancelScope(shield=True):
                await channel.aclose()

    def _take(self, message: Message) -> None:
        match message:
            case tcs.PublishHealthRequest():
                self.health += [{c.container_name: c.health_status for c in task.containers} for task in message.tasks]
            case tcs.PublishMetricsRequest():
                self.metrics += message.task_metrics
            case _:
                self.heard.append(message)
        self._ring()

    def _ring(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something that the agent does makes the condition true."""
        while not condition():
            await self._changed.wait()

    async def lose(self) -> None:
        """Cut all lines."""
        self.reachable, self.channel = False, None
        for channel in self._channels:
            await channel.aclose()
        self._channels.clear()

    async def say(self, message: Message) -> None:
        await self.until(lambda: self.channel)
        assert self.channel is not None
        await self.channel.send(encode(message))

    async def send_tasks(self, *tasks: PayloadTask, message_id: str = "m") -> None:
        """Send a payload and wait for its acknowledgement."""
        before = len(self.acks)
        await self.say(
            acs.PayloadMessage(message_id=message_id, cluster_arn=CLUSTER, container_instance_arn=INSTANCE, tasks=tasks)
        )
        await self.until(lambda: len(self.acks) > before)

    async def send_manifest(self, *arns: str, desired: str = "RUNNING", timeline: int | None = None) -> None:
        self.timeline += 1
        await self.say(
            acs.TaskManifestMessage(
                message_id=f"manifest-{self.timeline}",
                cluster_arn=CLUSTER,
                container_instance_arn=INSTANCE,
                tasks=tuple(acs.ManifestTask(task_arn=arn, desired_status=desired) for arn in arns),
                timeline=self.timeline if timeline is None else timeline,
            )
        )

    @property
    def acks(self) -> list[acs.AckRequest]:
        return [message for message in self.heard if isinstance(message, acs.AckRequest)]

    def statuses(self, arn: str | None = None) -> list[str]:
        """List what was reported: task statuses, and attachment statuses in lower case."""
        found = []
        for report in self.reports:
            found += [change["status"].lower() for change in report.get("attachments", ())]
            if "status" in report and arn in (None, report["task"]):
                found.append(report["status"])
        return found

    async def reported(self, status: str, arn: str | None = None) -> dict[str, Any]:
        """Wait for a task's report and return it."""
        await self.until(lambda: status in self.statuses(arn))
        return next(r for r in self.reports if r.get("status") == status and arn in (None, r["task"]))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ControlPlane]:
        async with trio.open_nursery() as self._nursery:
            yield self
            self._nursery.cancel_scope.cancel()


class Lab:
    """A machine, a control plane, and agents that come and go."""

    def __init__(self, control_plane: ControlPlane, engine: Engine, path: Path) -> None:
        self.control_plane = control_plane
        self.engine = engine
        self.path = path
        self.options = AgentOptions()

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        """Run an agent; leaving ends it as SIGTERM would."""
        journal = Journal.open(self.path)
        random = Random(0)
        try:
            async with anyio.create_task_group() as group:
                start = partial(
                    run_agent,
                    runtime=FakeRuntime(self.engine),
                    control_plane=self.control_plane,
                    journal=journal,
                    options=self.options,
                    clock=clock,
                    entropy=random.randbytes,
                )
                group.start_soon(start)
                yield
                group.cancel_scope.cancel()
        finally:
            journal.close()

    def running(self) -> list[str]:
        return sorted(c.spec.name for c in self.engine.containers.values() if c.state == "running")


@asynccontextmanager
async def lab(path: Path) -> AsyncIterator[Lab]:
    async with ControlPlane().open() as control_plane, Engine(clock=clock) as engine:
        yield Lab(control_plane, engine, path / "journal.db")


def a_payload_task(*containers: PayloadContainer, number: int = 1, desired: str = "RUNNING") -> PayloadTask:
    return PayloadTask(
        arn=task_arn(number),
        desired_status=desired,
        overrides="{}",
        family="web",
        version="1",
        task_cluster_arn=CLUSTER,
        containers=containers or (a_payload_container(),),
        elastic_network_interfaces=(
            PayloadEni(
                attachment_arn=f"arn:aws:ecs:us-east-1:000000000000:attachment/{number}",
                ec2_id=f"eni-{number}",
                mac_address=f"02:00:00:00:00:{number:02x}",
                ipv4_addresses=(Ipv4Assignment(primary=True, private_address=f"172.31.0.{number + 4}"),),
                subnet_gateway_ipv4_address="172.31.0.1/20",
            ),
        ),
        cpu=0.25,
        memory=512,
        network_mode="awsvpc",
        launch_type="FARGATE",
    )


def task_arn(number: int = 1) -> str:
    return f"arn:aws:ecs:us-east-1:000000000000:task/default/{number:032x}"


def a_payload_container(
    name: str = "app", script: str = "", *, checked: bool = False, after: str = "", **members: Any
) -> PayloadContainer:
    """`script` is the fake runtime's; `after` is "container:CONDITION"."""
    config = {"Healthcheck": {"Test": ["CMD", "true"]}} if checked else {}
    dependency = []
    if after:
        target, condition = after.split(":")
        dependency = [PayloadDependency(container_name=target, condition=condition)]
    whole = {
        "name": name,
        "image": f"fake/{name}" + (f"?{script}" if script else ""),
        "essential": True,
        "cpu": 0,
        "memory": 0,
        "overrides": "{}",
        "depends_on": tuple(dependency),
        "health_check_type": "docker" if checked else None,
        "docker_config": DockerConfig(version="1.41", config=msgspec.json.encode(config).decode(), host_config="{}"),
    }
    return PayloadContainer(**{**whole, **members})
