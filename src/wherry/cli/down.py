"""`wherry down`: stop the processes of a data directory, then everything that they had running."""

from __future__ import annotations

import anyio
from rich.console import Console

from wherry import claim
from wherry.agent.runtime.base import RuntimeFault, RuntimeUnavailableError
from wherry.app.host import remove_tasks
from wherry.cli.failure import CommandFailed
from wherry.cli.options import DirectoryOptions, decode

PATIENCE_SECONDS = 30


def down(*, directory: DirectoryOptions | None = None) -> None:
    """Stop what runs on this data directory, its tasks too, and remove everything they left on the host.

    A second call finds nothing to do. Services come back with the next start: what is wanted is in the database.
    """
    settings, console = decode(directory), Console(highlight=False, soft_wrap=True)
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
        removed = anyio.run(remove_tasks, settings)
    except RuntimeUnavailableError as error:
        raise CommandFailed(
            f"The Docker Engine does not answer, so tasks may be left: {error}", "Start it and run this again."
        ) from None
    except RuntimeFault as fault:
        raise CommandFailed(
            f"Something of the tasks may be left: {fault.message}", "Mend it and run this again."
        ) from None
    console.print(f"Removed {removed} containers. The data directory {settings.data_dir} is as it was.")
