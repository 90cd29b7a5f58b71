"""The agent: one task group that carries the tasks through, and keeps the links to the control plane.

The two halves meet in the roster only. Tasks go on when the links are down, from the first moment: registration comes
after the runners have started.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import msgspec
from anyio.abc import TaskStatus

from wherry.agent import environment, storage
from wherry.agent.credentials import RoleCredentialsStore, RoleType
from wherry.agent.endpoints import routes
from wherry.agent.endpoints.callers import ADDRESS
from wherry.agent.endpoints.server import Endpoints
from wherry.agent.endpoints.tokens import Tokens
from wherry.agent.exec.executor import Executor
from wherry.agent.firelens.routers import Routers
from wherry.agent.journal import Journal
from wherry.agent.link.base import ControlPlane
from wherry.agent.link.objects import ObjectStore
from wherry.agent.link.session import keep_open
from wherry.agent.logs.forward import Forwarder
from wherry.agent.logs.relay import Relay
from wherry.agent.logs.spool import Spool
from wherry.agent.options import AgentOptions
from wherry.agent.roster import Roster
from wherry.agent.runner import Surroundings
from wherry.agent.runtime.base import Runtime
from wherry.agent.spec import ContainerSpec, Struct, TaskSpec
from wherry.agent.standing import Standing
from wherry.model.ids import Entropy


class Equipment(Struct, frozen=True):
    """What an agent may have besides.

    `credentials` holds those of tasks' roles, by default in memory.
    `endpoints` is what tasks find at 169.254.170.2, and needs asyncio; without it they find nothing there and are told
    of nothing.
    `spool` is where logs wait for the control plane; without it containers with the log driver awslogs speak to AWS.
    `objects` is where environment files are read; without it tasks that have some fail.
    `routers` wires log routers; without it the log driver awsfirelens is one that the engine does not know.
    """

    credentials: RoleCredentialsStore | None = None
    endpoints: Endpoints | None = None
    spool: Spool | None = None
    objects: ObjectStore | None = None
    routers: Routers | None = None


_BARE = Equipment()


async def run_agent(
    *,
    runtime: Runtime,
    control_plane: ControlPlane,
    journal: Journal,
    options: AgentOptions,
    clock: Callable[[], float],
    entropy: Entropy,
    equipment: Equipment = _BARE,
    task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Run an agent until cancelled; its tasks then run on, and the next agent with this journal adopts them.

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
        credentials=equipment.credentials or RoleCredentialsStore(),
        objects=equipment.objects,
        routers=equipment.routers,
    )
    if (endpoints := equipment.endpoints) is not None:
        around = _with_endpoints(around, endpoints.tokens, equipment.spool, room=options.log_room)
    roster = Roster(around, stop_timeout=options.stop_timeout, host_rules=options.host_rules)
    executor = Executor(around, roster)
    standing = Standing(around, roster, executor, options)
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
        await standing.register()
        task_status.started(standing.identity.instance_arn)
        group.start_soon(partial(keep, "acs", standing.dial_acs, standing.acs, on_inactive=standing.register))
        group.start_soon(partial(keep, "tcs", standing.dial_tcs, standing.tcs, on_inactive=standing.leave_to_acs))


def _with_endpoints(around: Surroundings, tokens: Tokens, spool: Spool | None, *, room: int) -> Surroundings:
    told = msgspec.structs.replace(around, environment=partial(_told_of_endpoints, tokens))
    return told if spool is None else msgspec.structs.replace(told, relay=_relay(told, tokens, spool, room=room))


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
