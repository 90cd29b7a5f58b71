"""`wherry up`: this machine as its own cloud."""

from __future__ import annotations

from functools import partial

from wherry.agent.journal import JournalError
from wherry.app.machine import run_up
from wherry.app.start import StartError
from wherry.cli.options import HostOptions, ServerOptions, decode
from wherry.cli.run import run
from wherry.settings import Settings
from wherry.store.errors import StoreError


def up(*, server: ServerOptions | None = None, host: HostOptions | None = None) -> None:
    """Run a control plane and its agent on this machine until Ctrl-C or SIGTERM; tasks go on running."""
    settings = decode(server, host)

    def announce(port: int) -> tuple[str, ...]:
        option = "" if port == Settings().port else f" --port {port}"
        return (
            f"[bold]Wherry[/] is up at [cyan]{settings.base_url}[/] (region {settings.region}).",
            f'[dim]Try: eval "$(wherry env{option})" and then aws ecs list-clusters; Ctrl-C stops.[/]',
        )

    run(partial(run_up, settings), announce, errors=(StartError, StoreError, JournalError))
