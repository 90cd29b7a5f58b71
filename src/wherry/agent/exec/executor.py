"""The sessions of ECS Exec on this host: begun when the control plane says so, in containers of this agent only."""

from __future__ import annotations

from functools import partial

import anyio
import structlog

from wherry.agent.exec.session import ExecSession
from wherry.agent.link.base import DataStream, RefusedError, UnreachableError
from wherry.agent.progress import Phase
from wherry.agent.roster import Roster
from wherry.agent.runner import Surroundings
from wherry.agent.runtime.base import RuntimeFault, RuntimeUnavailableError
from wherry.model.datachannel import OpenDataChannelInput, to_json
from wherry.model.ids import uuid
from wherry.model.protocol.acs import ExecuteCommandMessage

log = structlog.get_logger()

AT_ONCE = 500
"""Sessions that a host has at once: a control plane that means harm starts no more."""


class Executor:
    """Executes commands; `run` must be running. Sessions outlive the connection over which they were asked for."""

    def __init__(self, around: Surroundings, roster: Roster) -> None:
        """Execute in containers that `roster` knows."""
        self._around = around
        self._roster = roster
        self._orders, self._waiting = anyio.create_memory_object_stream[ExecuteCommandMessage](AT_ONCE)
        self._open = 0

    async def run(self) -> None:
        """Run sessions until cancelled, which ends them; those that an earlier life left over are ended first."""
        with self._orders, self._waiting:
            try:
                await self._around.runtime.end_executions()
            except (RuntimeUnavailableError, RuntimeFault) as error:
                log.warning("exec_left_over_unknown", error=str(error))
            async with anyio.create_task_group() as group:
                async for order in self._waiting:
                    if self._open < AT_ONCE:
                        self._open += 1
                        group.start_soon(self._serve, order)

    def begin(self, order: ExecuteCommandMessage) -> None:
        """Begin a session soon; one too many is not begun."""
        try:
            self._orders.send_nowait(order)
        except anyio.WouldBlock:
            log.warning("exec_too_many", session=order.session_id)

    async def _serve(self, order: ExecuteCommandMessage) -> None:
        log.info("exec_begins", session=order.session_id, task=order.task_arn, container=order.container_name)
        try:
            stream = await self._around.control_plane.open_data_channel(order.session_id)
            try:
                await self._converse(order, stream)
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                    await stream.aclose()
        except* (UnreachableError, RefusedError) as errors:
            log.warning("exec_channel_failed", session=order.session_id, error=str(errors.exceptions[0]))
        except* (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass  # The client, or the control plane, has left.
        except* Exception:  # A session that fails must not take the agent with it.
            log.exception("exec_failed", session=order.session_id)
        finally:
            self._open -= 1
            log.info("exec_ended", session=order.session_id)

    async def _converse(self, order: ExecuteCommandMessage, stream: DataStream) -> None:
        around = self._around
        opening = OpenDataChannelInput(token_value=order.token_value, request_id=uuid(around.entropy))
        await stream.send(to_json(opening).decode())
        session = ExecSession(order, stream, clock=around.clock, entropy=around.entropy)
        runtime_id = self._container(order)
        if runtime_id is None:
            await session.refuse(f"The container {order.container_name} is not running.")
        else:
            await session.run(partial(around.runtime.execute, runtime_id))

    def _container(self, order: ExecuteCommandMessage) -> str | None:
        """Find the container, if it is this agent's and runs."""
        for view in self._roster.views():
            if view.assignment.arn == order.task_arn:
                for container in view.containers:
                    if container.name == order.container_name and container.phase is Phase.RUNNING:
                        return container.memory.runtime_id
        return None
