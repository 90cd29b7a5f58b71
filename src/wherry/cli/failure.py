"""What a command says when it cannot go on: one line, and a hint where there is one."""

from __future__ import annotations


class CommandFailed(Exception):  # noqa: N818 - reads as what happened
    """The command cannot go on. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Take one sentence and, if there is something to be done, what."""
        super().__init__(message)
        self.hint = hint
