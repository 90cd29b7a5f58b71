"""How the demo looks: steps, lines beneath them, and what is being waited for."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

PATIENCE = 180

# A pipe has no width: lines stay whole there.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


class DemoFailed(Exception):  # noqa: N818  it reads as what happened
    """A step did not show what it should; `hint` says what to do next."""

    def __init__(self, reason: str, hint: str = "") -> None:
        """Take both as sentences."""
        super().__init__(reason)
        self.hint = hint


def step(title: str) -> None:
    """Begin a step."""
    console.print(f"\n[bold cyan]▸[/] [bold]{title}[/]")


def line(text: str, style: str = "") -> None:
    """Print text beneath the step; what is too long goes on under its own beginning."""
    for part in text.splitlines():
        body = part.lstrip(" ")
        console.print(Padding(Text(body, style=style), (0, 0, 0, 2 + len(part) - len(body)), expand=False))


def command(text: str) -> None:
    """Print what a user would type."""
    console.print(Padding(Text.assemble(("$ ", "dim"), (text, "bold green")), (0, 0, 0, 2), expand=False))


def good(text: str) -> None:
    """Print what was checked and held."""
    console.print(Padding(Text.assemble(("✓ ", "bold green"), text), (0, 0, 0, 2), expand=False))


def expect(condition: object, otherwise: str, hint: str = "") -> None:
    """End the tour unless the condition holds."""
    if not condition:
        raise DemoFailed(otherwise, hint)


def wait_for(what: str, condition: Callable[[], object], detail: Callable[[], str] = str) -> None:
    """Wait until the condition holds and say for what, with `detail`; give up when patience ends."""
    began = time.monotonic()
    with _spinner(f"waiting for {what}") as update:
        while not condition():
            passed = time.monotonic() - began
            expect(passed < PATIENCE, f"waited {PATIENCE} s for {what}")
            update(f"waiting for {what} [dim]{detail()} {passed:.0f} s[/]")
            time.sleep(0.2)


def shortened(text: str) -> str:
    """Cut the 32 digits of task ids to eight: enough to tell them apart on a screen."""
    return re.sub(r"\b([0-9a-f]{8})[0-9a-f]{24}\b", r"\1", text)


@contextmanager
def _spinner(text: str) -> Iterator[Callable[[str], None]]:
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(text, spinner="dots") as status:
        yield status.update
