"""A control plane: one task group whose children are all listed here."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec
import structlog
from anyio.abc import TaskStatus

from wherry.api import table
from wherry.api.acs import assignments
from wherry.api.authorization import decide
from wherry.api.context import Context
from wherry.api.ec2 import defaults
from wherry.app.application import application
from wherry.app.credentials import credentials_of
from wherry.app.forwards import forwarding, forwards_of
from wherry.app.registry import registry
from wherry.app.start import StartError, claimed, prepare_directory
from wherry.control import instances, logs, reaper, scheduler, services
from wherry.keyring import KeyringError, open_keyring
from wherry.model.arn import Scope
from wherry.settings import TASKS_ADDRESS, Settings
from wherry.store import Store, Tx
from wherry.store.logs import LogStore
from wherry.wire.gateway import Gateway
from wherry.wire.server import listen, serve
from wherry.wire.trust import Trust, is_loopback

if TYPE_CHECKING:
    from wherry.wire.forward import Forwarder

log = structlog.get_logger()

LIVE_TAIL_HOSTS = frozenset({"stream-localhost", "streaming-localhost"})
"""What clients call `localhost` that put AWS's prefix of StartLiveTail before it."""

CONTROLLERS = (services.controller, scheduler.controller, instances.controller, reaper.controller)
"""What makes each loop of a control plane; all are made from the same five."""


async def run_control_plane(
    settings: Settings,
    *,
    choose_vpc: Callable[[], str] | None = None,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Run a control plane until cancelled; `task_status` is told the port once it answers.

    Raises `StartError` and `StoreError` before anything has been served.
    """
    require_key(settings)
    forwards = forwards_of(settings)
    prepare_directory(settings.data_dir)
    with claimed(settings.data_dir, "server"), closing(bind(settings)) as bound:
        port: int = bound.getsockname()[1]
        settings = msgspec.structs.replace(settings, port=port)
        async with (
            open_context(settings, choose_vpc=choose_vpc) as ctx,
            forwarding(forwards) as forwarder,
            anyio.create_task_group() as group,
        ):
            trust = trust_of(ctx)
            for make in CONTROLLERS:
                controller = make(ctx.store, settings, ctx.scope, clock=ctx.clock, entropy=ctx.entropy)
                await group.start(controller.run)
            for controller in logs.controllers(ctx.logs, ctx.scope, clock=ctx.clock, entropy=ctx.entropy):
                await group.start(controller.run)
            gateway = _gateway(ctx, trust, forwarder)
            await group.start(serve, application(ctx, gateway, trust), gateway, bound)
            if settings.listens_for_tasks:
                await group.start(_serve_tasks, ctx, trust, forwarder)
            task_status.started(port)


async def _serve_tasks(
    ctx: Context,
    trust: Trust,
    forwarder: Forwarder | None,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve tasks where they reach this machine: they have credentials, and are not believed without."""
    strict = msgspec.structs.replace(trust, listen=TASKS_ADDRESS, strict=True)
    try:
        bound = listen(TASKS_ADDRESS, ctx.settings.port, before_it_exists=True)
    except OSError as error:
        log.warning("tasks_cannot_call", address=TASKS_ADDRESS, port=ctx.settings.port, error=error.strerror)
        task_status.started()
        return
    with closing(bound):
        gateway = _gateway(ctx, strict, forwarder)
        await serve(application(ctx, gateway, strict), gateway, bound, task_status=task_status)


def _gateway(ctx: Context, trust: Trust, forwarder: Forwarder | None) -> Gateway:
    return Gateway(
        services=table.services(ctx),
        region=ctx.scope.region,
        account_id=ctx.scope.account_id,
        trust=trust,
        clock=ctx.clock,
        entropy=ctx.entropy,
        authorize=partial(decide.authorize, ctx),
        forwarder=forwarder,
        max_body=ctx.settings.max_body,
    )


@asynccontextmanager
async def open_context(settings: Settings, *, choose_vpc: Callable[[], str] | None = None) -> AsyncIterator[Context]:
    """Open the store, seed it at the first start, and forget the connections of a former life.

    `choose_vpc` picks the VPC's addresses at the first start where the settings name none.
    """
    scope = Scope(region=settings.region, account_id=settings.account_id)
    try:
        keyring = open_keyring(settings.resolved_key_file, entropy=os.urandom)
    except KeyringError as error:
        raise StartError(str(error), "Without its keys nothing that is secret in the database can be read.") from error
    async with (
        Store.open(settings.resolved_database_url) as store,
        LogStore.open(settings.resolved_logs_database_url) as log_store,
        registry(settings, keyring) as images,
    ):
        vpc_cidr = settings.vpc_cidr
        if vpc_cidr is None and choose_vpc is not None and await store.read(defaults.vpc_cidr) is None:
            vpc_cidr = await anyio.to_thread.run_sync(choose_vpc)

        def begin(tx: Tx) -> None:
            defaults.seed(tx, scope=scope, vpc_cidr=vpc_cidr, entropy=os.urandom, now=time.time())
            assignments.forget_connections(tx, time.time())

        try:
            await store.write(begin)
        except defaults.InstallationError as error:
            raise StartError(str(error)) from error
        yield Context(
            store=store,
            logs=log_store,
            settings=settings,
            scope=scope,
            clock=time.time,
            entropy=os.urandom,
            keyring=keyring,
            registry=images,
        )


def require_key(settings: Settings) -> None:
    """Raise `StartError` where the listener verifies signatures and nobody could make one that holds."""
    strict = settings.auth == "strict"
    has_key = settings.access_key_id is not None and settings.secret_access_key is not None
    if not has_key and (strict or not is_loopback(settings.listen)):
        where = "with --auth strict" if strict else f"on {settings.listen}"
        raise StartError(
            f"A control plane {where} verifies signatures and has no credentials to verify them with.",
            "Set WHERRY_ACCESS_KEY_ID and WHERRY_SECRET_ACCESS_KEY, or listen on 127.0.0.1.",
        )


def trust_of(ctx: Context) -> Trust:
    """Decide whom the listener believes: it knows the administrator's key and those of users and roles."""
    settings = ctx.settings
    return Trust(
        listen=settings.listen,
        strict=settings.auth == "strict",
        credentials=credentials_of(ctx),
        hosts=LIVE_TAIL_HOSTS,
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
