"""The composition root: what a control plane and an agent consist of, each one task group with every child listed."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import anyio
from anyio.abc import TaskStatus
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from wherry import __version__
from wherry.api import table
from wherry.api.acs import assignments
from wherry.api.acs.session import Session
from wherry.api.channel import Channel
from wherry.api.context import Context
from wherry.api.ec2 import defaults
from wherry.api.tcs import session as tcs
from wherry.control import reaper, scheduler, services
from wherry.model.arn import Scope
from wherry.model.errors import ApiError, InvalidParameterException
from wherry.model.instance import ContainerInstance
from wherry.settings import Settings
from wherry.store import Store, Tx
from wherry.wire.gateway import Gateway
from wherry.wire.server import listen, serve
from wherry.wire.sigv4 import Secret
from wherry.wire.trust import Trust, is_loopback
from wherry.wire.websocket import WebSocketChannel, admit, refuse


class StartError(Exception):
    """It cannot start; the text says why, `hint` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Take one sentence and a hint."""
        super().__init__(message)
        self.hint = hint


async def run_control_plane(settings: Settings, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
    """Run a control plane until cancelled; `task_status` is told the port once it answers.

    Raises `StartError`, `StoreError` and `InstallationError` before anything has been served.
    """
    trust = trust_of(settings)
    prepare_directory(settings.data_dir)
    bound = bind(settings)
    try:
        async with open_context(settings) as ctx:
            gateway = Gateway(
                services=table.services(ctx),
                region=settings.region,
                account_id=settings.account_id,
                trust=trust,
                clock=ctx.clock,
                entropy=ctx.entropy,
                max_body=settings.max_body,
            )
            async with anyio.create_task_group() as group:
                for controller in (
                    services.controller(ctx.store, settings, ctx.scope, clock=ctx.clock, entropy=ctx.entropy),
                    scheduler.controller(ctx.store, settings, ctx.scope, clock=ctx.clock, entropy=ctx.entropy),
                    reaper.controller(ctx.store, settings, ctx.scope, clock=ctx.clock, entropy=ctx.entropy),
                ):
                    await group.start(controller.run)
                await group.start(serve, application(ctx, gateway, trust), bound)
                task_status.started(bound.getsockname()[1])
    finally:
        bound.close()


def application(ctx: Context, gateway: Gateway, trust: Trust) -> Starlette:
    """Put the AWS endpoint, the agents' two channels and the health check under one roof."""

    async def health(_: Request) -> JSONResponse:
        agents = await ctx.store.read(_connected_agents)
        return JSONResponse({"status": "ok", "version": __version__, "agents": agents})

    async def acs(channel: Channel, instance_arn: str) -> None:
        await Session(ctx, channel, instance_arn).run()

    async def telemetry(channel: Channel, instance_arn: str) -> None:
        await tcs.serve(ctx, channel, instance_arn)

    return Starlette(
        routes=[
            *gateway.routes(),
            Route("/health", health),
            WebSocketRoute("/acs/ws", _agent_channel(ctx, trust, "containerInstanceArn", acs)),
            WebSocketRoute("/tcs/ws", _agent_channel(ctx, trust, "containerInstance", telemetry)),
        ]
    )


def _agent_channel(
    ctx: Context, trust: Trust, parameter: str, talk: Callable[[Channel, str], Awaitable[None]]
) -> Callable[[WebSocket], Awaitable[None]]:
    async def endpoint(websocket: WebSocket) -> None:
        try:
            admit(
                websocket,
                trust=trust,
                region=ctx.scope.region,
                account_id=ctx.scope.account_id,
                now=ctx.clock(),
            )
            instance_arn = websocket.query_params.get(parameter, "")
            if await ctx.store.read(lambda tx: tx.get(ContainerInstance, instance_arn)) is None:
                raise assignments.InactiveInstanceException
        except ApiError as error:
            await refuse(websocket, error)
            return
        await websocket.accept()
        await talk(WebSocketChannel(websocket), instance_arn)

    return endpoint


def _connected_agents(tx: Tx) -> int:
    return sum(instance.agent_connected for instance in tx.find(ContainerInstance))


@asynccontextmanager
async def open_context(settings: Settings, *, choose_vpc: Callable[[], str] | None = None) -> AsyncIterator[Context]:
    """Open the store, seed it at the first start, and forget the connections of a former life.

    `choose_vpc` picks the VPC's addresses at the first start where the settings name none.
    """
    scope = Scope(region=settings.region, account_id=settings.account_id)
    async with Store.open(settings.resolved_database_url) as store:
        vpc_cidr = settings.vpc_cidr
        if vpc_cidr is None and choose_vpc is not None and await store.read(defaults.vpc_cidr) is None:
            vpc_cidr = choose_vpc()

        def begin(tx: Tx) -> None:
            defaults.seed(tx, scope=scope, vpc_cidr=vpc_cidr, entropy=os.urandom, now=time.time())
            assignments.forget_connections(tx)

        await store.write(begin)
        yield Context(store=store, settings=settings, scope=scope, clock=time.time, entropy=os.urandom)


def trust_of(settings: Settings) -> Trust:
    """Decide whom the listener believes; raises `StartError` where it would have to believe strangers."""
    secret = _secret(settings)
    strict = settings.auth == "strict"
    if secret is None and (strict or not is_loopback(settings.listen)):
        where = "with --auth strict" if strict else f"on {settings.listen}"
        raise StartError(
            f"A control plane {where} verifies signatures and has no credentials to verify them with.",
            "Set WHERRY_ACCESS_KEY_ID and WHERRY_SECRET_ACCESS_KEY, or listen on 127.0.0.1.",
        )
    known = {settings.access_key_id: secret}
    return Trust(listen=settings.listen, strict=strict, credentials=known.get if secret is not None else None)


def _secret(settings: Settings) -> Secret | None:
    if settings.access_key_id is None or settings.secret_access_key is None:
        return None
    return Secret(
        secret_access_key=settings.secret_access_key,
        principal_arn=f"arn:aws:iam::{settings.account_id}:root",
        session_token=settings.session_token,
    )


def bind(settings: Settings) -> socket.socket:
    """Take the port; raises `StartError` with what to do when somebody else has it."""
    try:
        return listen(settings.listen, settings.port)
    except OSError as error:
        raise StartError(
            f"Cannot listen on {settings.listen} port {settings.port}: {error.strerror}.",
            "Choose another with --port, or stop what listens there ('ss -ltnp' tells who it is).",
        ) from error


def prepare_directory(directory: Path) -> None:
    """Make a directory that only its owner may look into; raises `StartError`."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"Cannot make the data directory {directory}: {error.strerror}.",
            "Choose another with --data-dir, or run as root.",
        ) from error


__all__ = ["InvalidParameterException", "StartError", "run_control_plane"]
