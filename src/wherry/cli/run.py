"""What `wherry up`, `server` and `agent` share: run until a signal, stop cleanly, say in one line what went wrong."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import structlog
from rich.console import Console

from wherry.cli.failure import CommandFailed

COLLECT_AFTER = (20_000, 20, 20)
"""Python's thresholds for the generations of garbage, higher than its own: a call makes thousands of objects."""


def run(
    start: Callable[..., Coroutine[Any, Any, None]],
    announce: Callable[[int], tuple[str, ...]],
    *,
    errors: tuple[type[Exception], ...],
) -> None:
    """Run until SIGTERM or SIGINT; print what `announce` says of the port once it has started.

    A failure of any child ends the process; raises `CommandFailed` for the `errors` that explain themselves.
    """
    configure_logging()
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(_stop_on_signal, group.cancel_scope)
            port = await group.start(start)
            _spare_the_collector()
            for line in announce(port):
                console.print(line)

    try:
        anyio.run(main, backend_options={"use_uvloop": True})
    except* errors as group:
        error = _first(group)
        raise CommandFailed(str(error), getattr(error, "hint", "")) from None


def _spare_the_collector() -> None:
    """Take what is there for good, such as the services' models, out of the garbage collector's rounds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


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
