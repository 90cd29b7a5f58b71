"""`wherry down`: stop the processes of a data directory, then everything that they had running."""

from __future__ import annotations

import anyio
from rich.console import Console

from wherry import app, claim
from wherry.agent.runtime.base import RuntimeUnavailableError
from wherry.cli.failure import CommandFailed
from wherry.settings import Settings

PATIENCE_SECONDS = 30


def down(settings: Settings, console: Console) -> None:
    """Stop and remove; a second call finds nothing to do."""
    for role in ("server", "agent"):
        try:
            stopped = claim.stop(settings.data_dir, role, patience=PATIENCE_SECONDS)
        except claim.ClaimedError as error:
            raise CommandFailed(
                f"Process {error.pid} was asked to stop and did not.", f"kill -9 {error.pid}, then run this again."
            ) from None
        if stopped:
            console.print(f"Stopped the {role}.")
    try:
        removed = anyio.run(app.remove_tasks, settings)
    except RuntimeUnavailableError as error:
        raise CommandFailed(
            f"The Docker Engine does not answer, so tasks may be left: {error}", "Start it and run this again."
        ) from None
    console.print(f"Removed {removed} containers. The data directory {settings.data_dir} is as it was.")
