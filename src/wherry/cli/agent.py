"""`wherry agent`: the agent of this host alone."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from cyclopts import Parameter

from wherry.agent.journal import JournalError
from wherry.app.host import run_agent
from wherry.app.start import StartError
from wherry.cli.failure import CommandFailed
from wherry.cli.options import AgentOptions, HostOptions, decode
from wherry.cli.run import run


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

    def announce(_: int) -> tuple[str, ...]:
        return (f"[bold]Wherry[/]'s agent works for [cyan]{settings.server_url or settings.base_url}[/].",)

    run(partial(run_agent, settings), announce, errors=(StartError, JournalError))
