"""`wherry exec`: a command in a container of a service or task, with this terminal if there is one."""

from __future__ import annotations

import shlex
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import anyio
from cyclopts import Parameter

from wherry.cli import target
from wherry.cli.client import asking, connect
from wherry.cli.failure import CommandFailed
from wherry.cli.options import ClientOptions, decode

UNKNOWN = 255
"""Our exit code where the command's is not known."""


def execute(
    name: Annotated[str, Parameter(help="A service, or a task: its ARN, its id or the start of it.")],
    *command: Annotated[str, Parameter(help="The command, after --; without one /bin/sh.", allow_leading_hyphen=True)],
    container: Annotated[
        str | None, Parameter(name=["--container", "-c"], help="The container, if the task has several.")
    ] = None,
    cluster: Annotated[str, Parameter(help="The cluster.")] = "default",
    client: ClientOptions | None = None,
) -> None:
    """Execute a command in a container of a running task; its exit code becomes ours."""
    settings = decode(client)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with asking(settings):
        ecs = connect(settings, "ecs")
        answer = ecs.execute_command(
            cluster=cluster,
            task=_task(ecs, name, cluster)["taskArn"],
            command=shlex.join(command or ("/bin/sh",)),
            interactive=terminal,
            **({} if container is None else {"container": container}),
        )
    from wherry.cli.exec_session import run  # noqa: PLC0415 - what follows takes long to load, an error need not wait

    with raw(sys.stdin.fileno()) if terminal else plain():
        code, reason = anyio.run(run, answer["session"], terminal)
    if reason:
        raise CommandFailed(reason)
    sys.exit(UNKNOWN if code is None else code)


def _task(ecs: Any, name: str, cluster: str) -> dict[str, Any]:
    """Choose a task that is running, the longest of those of a service."""
    running = [task for task in target.tasks(ecs, name, cluster) if task["lastStatus"] == "RUNNING"]
    if not running:
        raise CommandFailed(f"No task of {name} is running.", "'wherry ps' shows what there is.")
    return min(running, key=lambda task: (str(task.get("startedAt")), str(task["taskArn"])))


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Leave every key to the command, Ctrl-C too, and put the terminal back as it was."""
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor, termios.TCSADRAIN)  # What has been typed meanwhile is not lost.
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def plain() -> Iterator[None]:
    """Have Ctrl-C end us as it ends any program; the session ends with the connection."""
    yield
