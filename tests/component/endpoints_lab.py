"""An agent on a fake machine that really serves its tasks, on loopback: each task has an address of 127.0.0.0/8."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import anyio
import msgspec
from tests.component.agent_lab import CLUSTER, INSTANCE, a_payload_task, task_arn

from wherry.agent.agent import Equipment, run_agent
from wherry.agent.credentials import RoleCredentialsStore
from wherry.agent.endpoints.server import Endpoints
from wherry.agent.endpoints.tokens import Tokens
from wherry.agent.journal import Journal
from wherry.agent.link.base import AccessKey, Channel, RefusedError, UnreachableError
from wherry.agent.link.pair import memory_pair
from wherry.agent.options import AgentOptions
from wherry.agent.runtime.fake.engine import Engine
from wherry.agent.runtime.fake.runtime import FakeRuntime
from wherry.model.protocol import acs
from wherry.model.protocol.container import PayloadContainer
from wherry.model.protocol.frames import Message, decode, encode
from wherry.model.protocol.task import Ipv4Assignment, PayloadTask, RoleCredentials

ADDRESS = "127.0.0.1"


class Plane:
    """A control plane that has one instance; `answers` are those to other operations, or errors."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any] | Exception] = {}
        self.calls: list[tuple[str, dict[str, Any], AccessKey | None]] = []
        self.heard: list[Message] = []
        self.channel: Channel | None = None
        self.connected = anyio.Event()
        self.delay = 0.0

    async def call(
        self, operation: str, parameters: Mapping[str, Any], *, service: str = "ecs", signer: AccessKey | None = None
    ) -> dict[str, Any]:
        await anyio.sleep(self.delay)
        assert service == "ecs"
        match operation:
            case "RegisterContainerInstance":
                return {"containerInstance": {"containerInstanceArn": INSTANCE}}
            case "DiscoverPollEndpoint":
                return {"endpoint": "http://x/acs/", "telemetryEndpoint": "http://x/tcs/"}
        self.calls.append((operation, dict(parameters), signer))
        answer = self.answers.get(operation, {"acknowledgment": "ACK"})
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def connect(self, endpoint: str, query: Mapping[str, str]) -> Channel:
        del query
        if endpoint.endswith("/tcs/"):
            raise UnreachableError("nobody listens to telemetry here")
        self.channel, theirs = memory_pair()
        self.connected.set()
        return theirs

    async def aclose(self) -> None:
        if self.channel is not None:
            await self.channel.aclose()

    async def say(self, message: Message) -> Message:
        """Send a message; return the next one that the agent says."""
        with anyio.fail_after(5):
            await self.connected.wait()
            await self.channel.send(encode(message))
            return await self.hear()

    async def hear(self) -> Message:
        with anyio.fail_after(5):
            message = decode(msgspec.json.decode(msgspec.json.encode(await self.channel.receive())))
        assert message is not None
        return message

    async def send_tasks(self, *tasks: PayloadTask) -> Message:
        return await self.say(
            acs.PayloadMessage(message_id="m", cluster_arn=CLUSTER, container_instance_arn=INSTANCE, tasks=tasks)
        )


class Host:
    """A machine with agents that serve on one port of loopback."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        with socket.socket() as probe:
            probe.bind((ADDRESS, 0))
            self.port: int = probe.getsockname()[1]
        self.sockets = home / "run"

    @asynccontextmanager
    async def agent(self, plane: Plane, name: str = "one") -> AsyncIterator[Tokens]:
        """Run an agent of its own state; leaving ends it as SIGTERM would."""
        state = self.home / name
        journal = Journal.open(state / "journal.db")
        tokens = Tokens.open(state / "endpoints.key")
        endpoints = Endpoints(instance=name, tokens=tokens, directory=self.sockets, address=ADDRESS, port=self.port)
        start = partial(
            run_agent,
            runtime=FakeRuntime(self.engine, instance=name),
            control_plane=plane,
            journal=journal,
            options=AgentOptions(),
            clock=self.engine.clock,
            entropy=Random(0).randbytes,
            equipment=Equipment(credentials=RoleCredentialsStore(state / "credentials"), endpoints=endpoints),
        )
        try:
            async with anyio.create_task_group() as group:
                await group.start(start)
                yield tokens
                group.cancel_scope.cancel()
        finally:
            await plane.aclose()
            journal.close()

    async def ask(self, path: str, *, of: str, method: str = "GET", data: bytes | None = None) -> tuple[int, Any]:
        """Ask from the address of a task, or of the host ("127.0.0.1"); returns status and JSON."""
        connector = aiohttp.TCPConnector(local_addr=(of, 0))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"http://{ADDRESS}:{self.port}{path}", data=data) as answer,
        ):
            text = await answer.read()
            return answer.status, msgspec.json.decode(text) if answer.content_type == "application/json" else text

    async def runs(self, count: int) -> None:
        """Wait until so many containers run."""
        with anyio.fail_after(5), self.engine.listen() as happened:
            while sum(one.state == "running" for one in self.engine.containers.values()) < count:
                await happened.receive()

    def environment(self, task: int, name: str = "app") -> dict[str, str]:
        """Tell what a container was given."""
        return next(
            one.spec.environment
            for one in self.engine.containers.values()
            if (one.task.arn, one.spec.name) == (task_arn(task), name)
        )

    def uri(self, task: int, variable: str = "ECS_CONTAINER_METADATA_URI_V4", name: str = "app") -> str:
        return self.environment(task, name)[variable].removeprefix("http://169.254.170.2")


@asynccontextmanager
async def a_host(home: Path) -> AsyncIterator[Host]:
    async with AsyncExitStack() as stack:
        yield Host(await stack.enter_async_context(Engine()), home)


def a_task(number: int, *containers: PayloadContainer, **members: Any) -> PayloadTask:
    """Describe a task whose address is 127.0.0.NUMBER."""
    task = a_payload_task(*containers, number=number)
    [eni] = task.elastic_network_interfaces
    own = (Ipv4Assignment(primary=True, private_address=address_of(number)),)
    eni = msgspec.structs.replace(eni, ipv4_addresses=own, subnet_gateway_ipv4_address="127.0.0.1/8")
    whole = {"elastic_network_interfaces": (eni,), "availability_zone": "us-east-1a", "vpc_id": "vpc-1"} | members
    return msgspec.structs.replace(task, **whole)


def address_of(number: int) -> str:
    return f"127.0.0.{number}"


def credentials(name: str, role_type: str = "TaskApplication") -> RoleCredentials:
    return RoleCredentials(
        credentials_id=f"id-{name}",
        access_key_id=f"ASIA{name}",
        secret_access_key=f"secret-{name}",
        session_token=f"token-{name}",
        expiration="2026-11-26T12:00:00Z",
        role_arn=f"arn:aws:iam::000000000000:role/{name}",
        role_type=role_type,
    )


REFUSED = RefusedError("AccessDeniedException", "no", status=400, request_id="r-1")
