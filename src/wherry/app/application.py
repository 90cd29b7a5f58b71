"""What a listener of the control plane serves: AWS's endpoint, the registry, the channels of agents, and its health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope
from starlette.websockets import WebSocket

from wherry import __version__
from wherry.api.acs import assignments
from wherry.api.acs.session import Session
from wherry.api.authorization import decide
from wherry.api.channel import Channel
from wherry.api.context import Context
from wherry.api.exec import relay
from wherry.api.registry.front import Front
from wherry.api.tcs import session as tcs
from wherry.model import datachannel
from wherry.model.arn import resource
from wherry.model.call import Call, Principal
from wherry.model.errors import ApiError, ClientException
from wherry.model.instance import ContainerInstance
from wherry.store import Tx
from wherry.wire.asgi import read_head
from wherry.wire.gateway import Gateway
from wherry.wire.trust import Trust, refuse_browsers
from wherry.wire.websocket import WebSocketChannel, WebSocketStream, admit, refuse

log = structlog.get_logger()


def application(ctx: Context, gateway: Gateway, trust: Trust) -> ASGIApp:
    """Put the AWS endpoint, the agents' two channels and the health check under one roof.

    No application of the framework: its middlewares would cost every call, and the gateway answers all errors itself.
    """

    async def health(request: Request) -> JSONResponse:
        try:
            refuse_browsers(read_head(request.scope).headers, trust)
        except ApiError as error:
            return JSONResponse({"message": error.message}, status_code=error.status)
        agents = await ctx.store.read(_connected_agents)
        return JSONResponse({"status": "ok", "version": __version__, "agents": agents})

    def admit_registry(scope: ASGIScope) -> None:
        refuse_browsers(read_head(scope).headers, trust)

    async def acs(channel: Channel, instance_arn: str) -> None:
        await Session(ctx, channel, instance_arn).run()

    async def telemetry(channel: Channel, instance_arn: str) -> None:
        await tcs.serve(ctx, channel, instance_arn)

    others = Router(
        routes=[
            Route("/health", health),
            Route("/v2/{rest:path}", Front(ctx, admit=admit_registry)),
            WebSocketRoute("/acs/ws", _agent_channel(ctx, trust, "Poll", "containerInstanceArn", acs)),
            WebSocketRoute(
                "/tcs/ws", _agent_channel(ctx, trust, "StartTelemetrySession", "containerInstance", telemetry)
            ),
            WebSocketRoute(f"{datachannel.PATH}{{session_id}}", _data_channel(ctx, trust)),
        ]
    )

    async def route(scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Let the calls of AWS, which all have one path, in without asking each other route first."""
        if scope["type"] == "http" and scope["path"] == "/":
            await gateway(scope, receive, send)
        else:
            await others(scope, receive, send)

    return route


def _agent_channel(
    ctx: Context, trust: Trust, action: str, parameter: str, talk: Callable[[Channel, str], Awaitable[None]]
) -> Callable[[WebSocket], Awaitable[None]]:
    async def endpoint(websocket: WebSocket) -> None:
        try:
            principal = await _admit(ctx, trust, websocket)
            instance_arn = websocket.query_params.get(parameter, "")
            if "\x00" in instance_arn:
                raise ClientException(f"{parameter} has a NUL character in it, which no ARN has.")
            await decide.authorize(ctx, _upgrade(ctx, principal, action, instance_arn))
            await ctx.store.read(assignments.check_active, instance_arn)
        except ApiError as error:
            await refuse(websocket, error)
            return
        await websocket.accept()
        await talk(WebSocketChannel(websocket), instance_arn)

    return endpoint


def _data_channel(ctx: Context, trust: Trust) -> Callable[[WebSocket], Awaitable[None]]:
    """Let both ends of a session of ECS Exec in by their tokens, the agent's by its signature besides."""

    async def endpoint(websocket: WebSocket) -> None:
        async def admit_agent() -> None:
            await _admit(ctx, trust, websocket)

        try:
            refuse_browsers(read_head(websocket.scope).headers, trust)
        except ApiError as error:
            await refuse(websocket, error)
            return
        await websocket.accept()
        stream = WebSocketStream(websocket)
        try:
            await relay.serve(ctx, stream, websocket.path_params["session_id"], admit_agent=admit_agent)
        except ApiError as error:
            log.warning("exec_agent_refused", error=error.message)

    return endpoint


def _upgrade(ctx: Context, principal: Principal, action: str, instance_arn: str) -> Call:
    """Write an upgrade as the call of ECS that its action is."""
    named = resource(instance_arn).split("/")
    return Call(
        service="ecs",
        operation=action,
        params={"containerInstance": instance_arn, "cluster": named[1] if len(named) == 3 else ""},
        principal=principal,
        region=ctx.scope.region,
        request_id="",
    )


async def _admit(ctx: Context, trust: Trust, websocket: WebSocket) -> Principal:
    return await admit(
        websocket, trust=trust, region=ctx.scope.region, account_id=ctx.scope.account_id, now=ctx.clock()
    )


def _connected_agents(tx: Tx) -> int:
    return tx.count(ContainerInstance, agent_connected=True)
