"""The agent's standing with the control plane: its registration, and the channels opened in its name."""

from __future__ import annotations

import anyio
import structlog

from wherry import __version__
from wherry.agent import registration
from wherry.agent.backoff import Backoff
from wherry.agent.exec.executor import Executor
from wherry.agent.journal import JournalError
from wherry.agent.link.acs import AcsSession
from wherry.agent.link.base import Channel, RefusedError, UnreachableError
from wherry.agent.link.session import Conversation
from wherry.agent.link.tcs import TcsSession
from wherry.agent.options import AgentOptions
from wherry.agent.registration import Host
from wherry.agent.roster import Roster
from wherry.agent.runner import Surroundings
from wherry.agent.runtime.base import Capacity, RuntimeUnavailableError
from wherry.agent.spec import Struct
from wherry.model.arn import FARGATE_POOL, cluster_name_of

log = structlog.get_logger()


class _Identity(Struct, frozen=True):
    """Who the agent is to the control plane."""

    instance_arn: str
    cluster_arn: str


class Standing:
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


async def _capacity(around: Surroundings) -> Capacity:
    """Ask the engine until it answers."""
    backoff = Backoff(0.5, 10, 2, around.entropy)
    while True:
        try:
            return await around.runtime.capacity()
        except RuntimeUnavailableError as error:
            log.warning("engine_unavailable", error=str(error))
            await anyio.sleep(backoff.pause())
