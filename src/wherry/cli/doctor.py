"""`wherry doctor`: what this machine has, what it lacks, and how to mend that."""

from __future__ import annotations

from typing import Annotated

import anyio
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from wherry.agent.host import Check, check_host
from wherry.agent.runtime.docker import registration
from wherry.agent.runtime.docker.engine import engine_url
from wherry.cli.failure import CommandFailed
from wherry.cli.options import ClientOptions, decode


def doctor(
    *,
    client: ClientOptions | None = None,
    fix: Annotated[bool, Parameter(help="Mend what can be mended: register the OCI runtime with the engine.")] = False,
) -> int:
    """Check what Wherry needs on this machine and say how to mend what is missing; exit code 1 if anything is."""
    settings, console = decode(client), Console(highlight=False, soft_wrap=True)
    if fix:
        _fix(console)

    async def ask() -> list[Check]:
        return await check_host(url=engine_url(), ports=[(settings.listen, settings.port)])

    checks = anyio.run(ask)
    table = Table("", "CHECK", "FOUND", box=None)
    for check in checks:
        table.add_row(_mark(check), check.name, check.detail)
    console.print(table)
    for check in checks:
        if not check.ok and check.remedy:
            console.print(f"[bold]{check.name}[/]: {check.remedy}")
    return 0 if all(check.ok or not check.needed for check in checks) else 1


def _mark(check: Check) -> str:
    if check.ok:
        return "[green]✓[/]"
    return "[red]✗[/]" if check.needed else "[yellow]![/]"


def _fix(console: Console) -> None:
    try:
        changed = registration.register_runtime()
    except (OSError, registration.RegistrationError) as error:
        raise CommandFailed(f"The OCI runtime could not be registered: {error}", "Run it as root.") from error
    console.print("Registered the OCI runtime with the Docker Engine." if changed else "Nothing had to be mended.")
