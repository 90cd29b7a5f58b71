"""The `wherry` command: what there is, and how errors are said.

Commands are named, not imported: what only prints variables does not wait for a database library to load.
"""

from __future__ import annotations

import sys

from cyclopts import App
from rich.console import Console

from wherry import __version__
from wherry.cli.failure import CommandFailed
from wherry.settings import SettingsError

app = App(
    name="wherry",
    help="Amazon ECS that you run yourself: the real ECS API in front of real containers on your own machines.",
    version=__version__,
    help_epilogue="Every waiting time of ECS is a WHERRY_… variable: see docs/reference/settings.md.",
)

COMMANDS = {
    "up": ("up:up", "Run a control plane and its agent on this machine until Ctrl-C or SIGTERM."),
    "server": ("server:server", "Run a control plane alone; agents join it with `wherry agent`."),
    "agent": ("agent:agent", "Run the agent of this host alone, for a control plane that runs elsewhere."),
    "down": ("down:down", "Stop what runs on this data directory, its tasks too, and leave nothing on the host."),
    "ps": ("ps:ps", "Show clusters, services and tasks; live in a terminal until Ctrl-C."),
    "logs": ("logs:logs", "Show what the containers of a service or task have written; -f goes on with what comes."),
    "exec": ("exec:execute", "Execute a command in a container of a running task: wherry exec web -- sh."),
    "env": ("client:env", "Print the exports that point the AWS tools at Wherry."),
    "validate": ("validate:validate", "Say what is wrong with a task definition, by line and column."),
    "rotate-keys": ("rotate_keys:rotate_keys", "Seal every secret under a new key; the control plane must be stopped."),
    "doctor": ("doctor:doctor", "Check what Wherry needs on this machine and say how to mend what is missing."),
}

for _name, (_place, _help) in COMMANDS.items():
    app.command(f"wherry.cli.{_place}", name=_name, help=_help)


def main() -> None:
    """Run the command that the arguments name; an error is one line and a hint, and exit code 1."""
    try:
        app()
    except CommandFailed as error:
        _fail(str(error), error.hint)
    except SettingsError as error:
        _fail(str(error), "See docs/reference/settings.md.")
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str, hint: str = "") -> None:
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    errors.print(f"[bold red]error:[/] {message}")
    if hint:
        errors.print(f"[bold]hint:[/] {hint}")
    sys.exit(1)
