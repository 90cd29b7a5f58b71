"""The control plane as a process that may be killed, and the line to it, which may be cut."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from random import Random
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup, TaskStatus

from wherry.agent.link.base import Channel, RefusedError, UnreachableError
from wherry.agent.link.pair import MemoryChannel, memory_pair
from wherry.api import table
from wherry.api.acs import assignments
from wherry.api.acs.session import Session
from wherry.api.context import Context
from wherry.api.tcs import session as tcs
from wherry.app.control_plane import CONTROLLERS
from wherry.model.errors import ApiError
from wherry.wire.gateway import dispatch


class Plane:
    """One life of the control plane: its controllers, its sessions, and the calls that it is answering."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._services = table.services(ctx)
        self._calls: set[anyio.CancelScope] = set()
        self._group: TaskGroup | None = None
        self._ended = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        ctx = self.ctx
        try:
            await ctx.store.write(assignments.forget_connections, ctx.clock())
            async with anyio.create_task_group() as group:
                for make in CONTROLLERS:
                    controller = make(ctx.store, ctx.settings, ctx.scope, clock=ctx.clock, entropy=ctx.entropy)
                    await group.start(controller.run)
                self._group = group
                task_status.started()
        finally:
            self._ended.set()

    async def kill(self) -> None:
        """End it wherever it is; who waits for an answer gets none."""
        group, self._group = self._group, None
        for scope in self._calls:
            scope.cancel()
        if group is not None:
            group.cancel_scope.cancel()
            await self._ended.wait()

    async def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if self._group is not None:
            with anyio.CancelScope() as scope:
                self._calls.add(scope)
                try:
                    return await dispatch(self._services, service, operation, params)
                finally:
                    self._calls.discard(scope)
        raise UnreachableError("the control plane is down")

    def talk(self, conversation: Callable[[], Awaitable[None]], channel: Channel) -> None:
        if self._group is None:
            raise UnreachableError("the control plane is down")

        async def talk() -> None:
            try:
                await conversation()
            except ApiError:
                await channel.aclose()

        self._group.start_soon(talk)


class Link:
    """The way of one agent to the control plane (`wherry.agent.link.base.ControlPlane`).

    `up` False: nobody answers. `silent`: what is sent on an open channel vanishes. `forgetful` is how likely the answer
    to a call is lost after it has been carried out.
    """

    def __init__(self, plane: Callable[[], Plane], random: Random) -> None:
        self.up = True
        self.silent = False
        self.forgetful = 0.0
        self._plane = plane
        self._random = random
        self._open: set[MemoryChannel] = set()

    async def call(
        self, operation: str, parameters: Mapping[str, Any], *, service: str = "ecs", **_: Any
    ) -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        self._reach()
        try:
            answer = await self._plane().call(service, operation, _over_the_wire(parameters))
        except ApiError as error:
            raise RefusedError(error.code, error.message) from error
        self._reach()
        if self._random.random() < self.forgetful:
            raise UnreachableError("the answer is lost")
        return _over_the_wire(answer)

    async def connect(self, endpoint: str, query: Mapping[str, str]) -> Channel:
        await anyio.lowlevel.checkpoint()
        self._reach()
        plane = self._plane()
        arn = query.get("containerInstanceArn") or query["containerInstance"]
        try:
            await plane.ctx.store.read(assignments.check_active, arn)
        except ApiError as error:
            raise RefusedError(error.code, error.message) from error
        ours, theirs = memory_pair()
        self._open |= {ours, theirs}
        wire = _Wire(self, theirs)
        acs = endpoint.endswith("/acs/")
        plane.talk(Session(plane.ctx, wire, arn).run if acs else partial(tcs.serve, plane.ctx, wire, arn), wire)
        return _Wire(self, ours)

    async def cut(self) -> None:
        """Cut the line: whatever is open breaks."""
        self.up = False
        for channel in tuple(self._open):
            await self.close(channel)

    async def close(self, channel: MemoryChannel) -> None:
        self._open.discard(channel)
        await channel.aclose()

    def _reach(self) -> None:
        if not self.up:
            raise UnreachableError("the line is down")


class _Wire:
    """One end of a channel, with what JSON makes of its frames."""

    def __init__(self, link: Link, end: MemoryChannel) -> None:
        self._link, self._end = link, end
        self.receive = end.receive

    async def send(self, frame: dict[str, Any]) -> None:
        await (anyio.lowlevel.checkpoint() if self._link.silent else self._end.send(_over_the_wire(frame)))

    async def aclose(self) -> None:
        await self._link.close(self._end)


def _over_the_wire(value: Mapping[str, Any]) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(value), type=dict[str, Any])
