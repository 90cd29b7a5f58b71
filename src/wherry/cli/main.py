"""The `wherry` command: what there is, and how errors are said."""

from __future__ import annotations

import sys
from typing import Annotated

import botocore.exceptions
from cyclopts import App, Parameter
from rich.console import Console

from wherry import __version__
from wherry.agent.journal import JournalError
from wherry.app import StartError
from wherry.cli import doctor, down, ps, run, validate
from wherry.cli.client import exports
from wherry.cli.failure import CommandFailed
from wherry.cli.options import AgentOptions, ClientOptions, HostOptions, ServerOptions, decode
from wherry.model.errors import ApiError
from wherry.settings import SettingsError
from wherry.store.errors import StoreError

app = App(
    name="wherry",
    help="Amazon ECS that you run yourself: the real ECS API in front of real containers on your own machines.",
    version=__version__,
    help_epilogue="Every waiting time of ECS is a WHERRY_… variable: see docs/reference/settings.md.",
)
app.command(validate.validate, name="validate")

_console = Console()
_errors = Console(stderr=True, highlight=False, soft_wrap=True)


@app.command(name="up")
def up(*, server: ServerOptions | None = None, host: HostOptions | None = None) -> None:
    """Run a control plane and its agent on this machine until Ctrl-C or SIGTERM; tasks go on running."""
    run.up(decode(server, host))


@app.command(name="server")
def server_(*, server: ServerOptions | None = None) -> None:
    """Run a control plane alone; agents join it with `wherry agent`."""
    run.server(decode(server))


@app.command(name="agent")
def agent_(
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
    run.agent(decode(agent, host))


@app.command(name="down")
def down_(*, server: ServerOptions | None = None) -> None:
    """Stop what runs on this data directory, its tasks too, and remove everything they left on the host."""
    down.down(decode(server), _console)


@app.command(name="doctor")
def doctor_(
    *,
    server: ServerOptions | None = None,
    fix: Annotated[bool, Parameter(help="Mend what can be mended: register the OCI runtime.")] = False,
) -> None:
    """Check what Wherry needs on this machine and say how to mend what is missing."""
    if not doctor.doctor(decode(server), fix=fix, console=_console):
        sys.exit(1)


@app.command(name="ps")
def ps_(
    *,
    client: ClientOptions | None = None,
    once: Annotated[bool, Parameter(help="Print once instead of keeping the table up to date.")] = False,
) -> None:
    """Show clusters, services and tasks; live in a terminal until Ctrl-C."""
    settings = decode(client)
    try:
        ps.show(settings, watch=_console.is_terminal and not once, console=_console)
    except botocore.exceptions.EndpointConnectionError:
        raise CommandFailed(
            f"No control plane answers at {settings.base_url}.", "Start one with 'wherry up', or give its --port."
        ) from None
    except botocore.exceptions.BotoCoreError as error:
        raise CommandFailed(f"The control plane at {settings.base_url} does not answer as it should: {error}") from None
    except botocore.exceptions.ClientError as error:
        raise CommandFailed(str(error)) from None


@app.command(name="env")
def env_(*, client: ClientOptions | None = None) -> None:
    """Print the exports that point the AWS tools at Wherry: eval "$(wherry env)"."""
    for name, value in exports(decode(client)).items():
        print(f"export {name}={value}")


def main() -> None:
    """Run the command that the arguments name; an error is one line and a hint, and exit code 1."""
    try:
        app()
    except (CommandFailed, StartError) as error:
        _fail(str(error), error.hint)
    except (SettingsError, StoreError, JournalError, ApiError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str, hint: str = "") -> None:
    _errors.print(f"[bold red]error:[/] {message}")
    if hint:
        _errors.print(f"[bold]hint:[/] {hint}")
    sys.exit(1)
