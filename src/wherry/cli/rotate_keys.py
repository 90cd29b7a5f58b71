"""`wherry rotate-keys`: everything that is sealed in the database, sealed anew."""

from __future__ import annotations

import anyio
from rich.console import Console

from wherry.app.keys import rotate_keys as rotate
from wherry.app.start import StartError
from wherry.cli.failure import CommandFailed
from wherry.cli.options import DatabaseOptions, decode
from wherry.store.errors import StoreError


def rotate_keys(*, database: DatabaseOptions | None = None) -> None:
    """Seal every secret in the database under a new key, and forget the old ones. The control plane must be stopped.

    Interrupted at any point, it has lost nothing, and running it again finishes it. Temporary credentials and logins to
    the registry that were given out before are not valid any more; agents are given new ones when they connect.
    """
    settings = decode(database)
    try:
        resealed = anyio.run(rotate, settings)
    except (StartError, StoreError) as error:
        raise CommandFailed(str(error), getattr(error, "hint", "")) from None
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Sealed {resealed} texts under a new key. Back up {settings.resolved_key_file} beside the database.")
