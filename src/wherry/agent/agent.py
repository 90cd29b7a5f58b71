"""The agent: one task group that carries the tasks through, and keeps the links to the control plane.

The two halves meet in the roster only. Tasks go on when the links are down, from the first moment: registration comes
after the runners have started.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import msgspec
import structlog
from anyio.abc import TaskStatus

from wherry import __version__
from wherry.agent import environment, registration, storage
from wherry.agent.backoff import Backoff
from wherry.agent.credentials import RoleCredentialsStore, RoleType
from wherry.agent.endpoints import routes
from wherry.agent.endpoints.callers import ADDRESS
from wherry.agent.endpoints.server import Endpoints
from wherry.agent.endpoints.tokens import Tokens
from wherry.agent.exec.executor import Executor
from wherry.agent.firelens.routers import Routers
from wherry.agent.journal import Journal, JournalError
from wherry.agent.link.acs import AcsSession
from wherry.agent.link.base import Channel, ControlPlane, RefusedError, UnreachableError
from wherry.agent.link.objects import ObjectStore
from wherry.agent.link.session import Conversation, keep_open
from wherry.agent.link.tcs import TcsSession
from wherry.agent.logs.forward import Forwarder
from wherry.agent.logs.relay import Relay
from wherry.agent.logs.spool import Spool
from wherry.agent.registration import Host
from wherry.agent.roster import Roster
from wherry.agent.runner import Surroundings
from wherry.agent.runtime.base import Capacity, PullBehavior, Runtime, RuntimeUnavailableError
from wherry.agent.spec import ContainerSpec, Struct, TaskSpec
from wherry.model.arn import FARGATE_POOL, cluster_name_of
from wherry.model.host_rules import NOTHING, HostRules
from wherry.model.ids import Entropy

log = structlog.get_logger()


class AgentOptions(Struct, frozen=True):
    """What an agent is told. Times in seconds, CPU in units, memory in MiB; None: all that the host has.

    `log_room` is how many bytes of logs may wait for the control plane.
    """

    cpu: int | None = None
    memory: int | None = None
    reserved_memory: int = 0
    availability_zones: tuple[str, ...] = ()
    pull_behavior: PullBehavior = PullBehavior.DEFAULT
    stop_timeout: float = 30
    telemetry: float = 20
    sweep: float = 30
    cleanup_wait: float = 0
    host_rules: HostRules = NOTHING
    log_room: int = 1024**3


class _Identity(Struct, frozen=True):
    """Who the agent is to the control plane."""

    instance_arn: str
    cluster_arn: str


class _Links:
    """The agent's standing with the control plane: its identity, and the channels opened in its name."""

    def __init__(self, around: Surroundings, roster: Roster, executor: Executor, options: AgentOptions) -> None:
        self._around = around
        self._roster = roster
        self._executor = executor
        self._options = options
        self._host: Host | None = None
        self.identity = _Identity(instance_arn="", cluster_arn="")
        self._credentials_sent = False

    async def register(self) -> None:
        """Register until it is taken: again under the ARN of old, under a new one if that is not known any more."""
        host = await self._measure()
        backoff = Backoff(1, 30, 1.3, self._around.entropy)
        known = self._around.journal.instance_arn
        while True:
            request = registration.request(
                host,
                cluster=FARGATE_POOL,
                version=__version__,
                instance_arn=known,
                zones=self._options.availability_zones,
            )
            try:
                answer = await self._around.control_plane.call("RegisterContainerInstance", request)
                arn = registration.instance_arn(answer)
                break
            except RefusedError as error:
                log.warning("registration_refused", instance=known, error=str(error))
                known = None if error.final else known
            except UnreachableError as error:
                log.warning("control_plane_unreachable", error=str(error))
            await anyio.sleep(backoff.pause())
        await self._remember_instance(arn)
        prefix = arn.split(":container-instance/", 1)[0]
        self.identity = _Identity(instance_arn=arn, cluster_arn=f"{prefix}:cluster/{cluster_name_of(arn)}")
        log.info("registered", instance=arn, cpu=host.cpu, memory=host.memory)

    async def _remember_instance(self, arn: str) -> None:
        """Write down who we are, however long the disk is full: what runs here goes on meanwhile."""
        backoff = Backoff(1, 30, 1.3, self._around.entropy)
        while True:
            try:
                self._around.journal.set_instance(arn)
            except JournalError as error:
                log.warning("journal_failed", instance=arn, error=str(error))
                await anyio.sleep(backoff.pause())
            else:
                return

    async def _measure(self) -> Host:
        if self._host is None:
            options = self._options
            capacity = await _capacity(self._around)
            self._host = registration.host(
                capacity, cpu=options.cpu, memory=options.memory, reserved_memory=options.reserved_memory
            )
        return self._host

    async def dial_acs(self) -> Channel:
        """Open ACS."""
        endpoint = await self._discover("endpoint")
        host, identity = await self._measure(), self.identity
        query = {
            "agentHash": "wherry",
            "agentVersion": __version__,
            "clusterArn": identity.cluster_arn,
            "containerInstanceArn": identity.instance_arn,
            "dockerVersion": registration.docker_version(host),
            "protocolVersion": "2",
            "sendCredentials": "false" if self._credentials_sent else "true",
            "seqNum": "1",
        }
        channel = await self._around.control_plane.connect(endpoint, query)
        self._credentials_sent = True
        return channel

    async def dial_tcs(self) -> Channel:
        """Open TCS."""
        endpoint = await self._discover("telemetryEndpoint")
        host, identity = await self._measure(), self.identity
        query = {
            "agentHash": "wherry",
            "agentVersion": __version__,
            "cluster": identity.cluster_arn,
            "containerInstance": identity.instance_arn,
            "dockerVersion": registration.docker_version(host),
        }
        return await self._around.control_plane.connect(endpoint, query)

    async def acs(self, conversation: Conversation) -> None:
        """Take assignments as the instance that the agent is now."""
        session = AcsSession(
            conversation.channel,
            roster=self._roster,
            executor=self._executor,
            journal=self._around.journal,
            cluster=self.identity.cluster_arn,
            instance_arn=self.identity.instance_arn,
            entropy=self._around.entropy,
        )
        await session.run(conversation)

    async def tcs(self, conversation: Conversation) -> None:
        """Publish as the instance that the agent is now."""
        session = TcsSession(
            conversation.channel,
            roster=self._roster,
            runtime=self._around.runtime,
            cluster=self.identity.cluster_arn,
            instance_arn=self.identity.instance_arn,
            every=self._options.telemetry,
            clock=self._around.clock,
            entropy=self._around.entropy,
        )
        await session.run(conversation)

    async def leave_to_acs(self) -> None:
        """Do nothing about an instance that is not known: ACS sees it as well, and registers."""

    async def _discover(self, name: str) -> str:
        parameters = {"containerInstance": self.identity.instance_arn, "cluster": self.identity.cluster_arn}
        answer = await self._around.control_plane.call("DiscoverPollEndpoint", parameters)
        return registration.endpoint(answer, name)


async def run_agent(
    *,
    runtime: Runtime,
    control_plane: ControlPlane,
    journal: Journal,
    options: AgentOptions,
    clock: Callable[[], float],
    entropy: Entropy,
    credentials: RoleCredentialsStore | None = None,
    endpoints: Endpoints | None = None,
    spool: Spool | None = None,
    objects: ObjectStore | None = None,
    routers: Routers | None = None,
    task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Run an agent until cancelled; its tasks then run on, and the next agent with this journal adopts them.

    `credentials` holds those of tasks' roles, by default in memory. `endpoints` is what tasks find at 169.254.170.2,
    and needs asyncio; without it they find nothing there and are told of nothing.
    `objects` is where environment files are read; without it tasks that have some fail.
    `routers` wires log routers; without it the log driver awsfirelens is one that the engine does not know.
    `spool` is where logs wait for the control plane; without it containers with the log driver awslogs speak to AWS.
    `task_status` is told the container instance's ARN once the agent has registered. `clock` tells epoch seconds.
    Raises `JournalError`.
    """
    around = Surroundings(
        runtime=runtime,
        control_plane=control_plane,
        journal=journal,
        clock=clock,
        entropy=entropy,
        pull_behavior=options.pull_behavior,
        sweep=options.sweep,
        cleanup_wait=options.cleanup_wait,
        credentials=credentials or RoleCredentialsStore(),
        objects=objects,
        routers=routers,
    )
    if endpoints is not None:
        around = msgspec.structs.replace(around, environment=partial(_told_of_endpoints, endpoints.tokens))
    if endpoints is not None and spool is not None:
        around = msgspec.structs.replace(around, relay=_relay(around, endpoints.tokens, spool, room=options.log_room))
    roster = Roster(around, stop_timeout=options.stop_timeout, host_rules=options.host_rules)
    executor = Executor(around, roster)
    links = _Links(around, roster, executor, options)
    keep = partial(keep_open, entropy=entropy)
    async with anyio.create_task_group() as group:
        if endpoints is not None:
            # What starts may ask at once.
            await group.start(endpoints.run, routes.tables(around, roster, endpoints.tokens))
        if around.relay is not None:
            group.start_soon(around.relay.run)
        group.start_soon(roster.run)
        group.start_soon(storage.watch, roster, runtime)
        group.start_soon(executor.run)
        await links.register()
        task_status.started(links.identity.instance_arn)
        group.start_soon(partial(keep, "acs", links.dial_acs, links.acs, on_inactive=links.register))
        group.start_soon(partial(keep, "tcs", links.dial_tcs, links.tcs, on_inactive=links.leave_to_acs))


def _told_of_endpoints(tokens: Tokens, task: TaskSpec, container: ContainerSpec) -> dict[str, str]:
    return environment.injected(task, token=tokens.container(task.arn, container.name))


def _relay(around: Surroundings, tokens: Tokens, spool: Spool, *, room: int) -> Relay:
    return Relay(
        spool,
        Forwarder(around.control_plane, partial(around.credentials.signer, role_type=RoleType.EXECUTION)),
        around.runtime,
        token=tokens.logs,
        endpoint=f"http://{ADDRESS}",
        room=room,
        clock=around.clock,
        entropy=around.entropy,
    )


async def _capacity(around: Surroundings) -> Capacity:
    """Ask the engine until it answers."""
    backoff = Backoff(0.5, 10, 2, around.entropy)
    while True:
        try:
            return await around.runtime.capacity()
        except RuntimeUnavailableError as error:
            log.warning("engine_unavailable", error=str(error))
            await anyio.sleep(backoff.pause())
