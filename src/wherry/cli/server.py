"""`wherry server`: a control plane alone."""

from __future__ import annotations

from functools import partial

from wherry.app.control_plane import run_control_plane
from wherry.app.start import StartError
from wherry.cli.options import ServerOptions, decode
from wherry.cli.run import run
from wherry.store.errors import StoreError


def server(*, server: ServerOptions | None = None) -> None:
    """Run a control plane alone; agents join it with `wherry agent`."""
    settings = decode(server)

    def announce(_: int) -> tuple[str, ...]:
        return (f"[bold]Wherry[/]'s control plane is up at [cyan]{settings.base_url}[/].",)

    run(partial(run_control_plane, settings), announce, errors=(StartError, StoreError))
