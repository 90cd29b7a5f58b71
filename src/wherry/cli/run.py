"""`wherry up`, `server` and `agent`: start, say where, stop cleanly on a signal."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

import anyio
import structlog
from cyclopts import Parameter
from rich.console import Console

from wherry import app
from wherry.agent.journal import JournalError
from wherry.cli.failure import CommandFailed
from wherry.cli.options import AgentOptions, HostOptions, ServerOptions, decode
from wherry.settings import Settings
from wherry.store.errors import StoreError

_console = Console(stderr=True, highlight=False)


def up(*, server: ServerOptions | None = None, host: HostOptions | None = None) -> None:
    """Run a control plane and its agent on this machine until Ctrl-C or SIGTERM; tasks go on running."""
    settings = decode(server, host)
    _run(partial(app.run_up, settings), partial(_announce_up, settings))


def server(*, server: ServerOptions | None = None) -> None:
    """Run a control plane alone; agents join it with `wherry agent`."""
    settings = decode(server)
    _run(partial(app.run_control_plane, settings), partial(_announce_server, settings))


def agent(
    *,
    agent: AgentOptions | None = None,
    host: HostOptions | None = None,
    fargate: Annotated[bool, Parameter(help="Join the Fargate pool: capacity without visible instances.")] = True,
) -> None:
    """Run the agent of this host alone, for a control plane that runs elsewhere."""
    if not fargate:
        raise CommandFailed(
            "Joining a cluster as a container instance is not supported yet.", "Leave --no-fargate out."
        )
    settings = decode(agent, host)
    _run(partial(app.run_agent, settings), partial(_announce_agent, settings))


def _announce_up(settings: Settings, port: int) -> None:
    _console.print(f"[bold]Wherry[/] is up at [cyan]{settings.base_url}[/] (region {settings.region}).")
    _console.print(
        f'[dim]Try: eval "$(wherry env{_port_option(port)})" and then aws ecs list-clusters; Ctrl-C stops.[/]'
    )


def _announce_server(settings: Settings, port: int) -> None:
    _console.print(f"[bold]Wherry[/]'s control plane is up at [cyan]{settings.base_url}[/]; port {port}.")


def _announce_agent(settings: Settings, _: int) -> None:
    _console.print(f"[bold]Wherry[/]'s agent works for [cyan]{settings.server_url or settings.base_url}[/].")


def _port_option(port: int) -> str:
    default = Settings().port
    return "" if port == default else f" --port {port}"


def _run(start: Callable[..., Coroutine[Any, Any, None]], announce: Callable[[int], None]) -> None:
    """Run until SIGTERM or SIGINT; a failure of any child ends the process."""
    configure_logging()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(_stop_on_signal, group.cancel_scope)
            announce(await group.start(start))

    try:
        anyio.run(main, backend_options={"use_uvloop": True})
    except* (app.StartError, StoreError, JournalError) as errors:
        error = _first(errors)
        raise CommandFailed(str(error), getattr(error, "hint", "")) from None


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()
            return


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def configure_logging() -> None:
    """Log to stderr: for people in a terminal, as JSON lines elsewhere or where WHERRY_LOG_FORMAT says so."""
    wanted = os.environ.get("WHERRY_LOG_FORMAT", "console" if sys.stderr.isatty() else "json")
    # The console's own tracebacks show variables, and with them what tasks and callers keep secret.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer = console if wanted == "console" else structlog.processors.JSONRenderer(json.dumps)
    level = logging.getLevelNamesMapping().get(os.environ.get("WHERRY_LOG_LEVEL", "INFO").upper(), logging.INFO)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if wanted == "console" else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
