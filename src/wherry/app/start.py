"""What every start has in common: a directory, held by one process, or one sentence that says why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wherry import claim


class StartError(Exception):
    """It cannot start; the text says why, `hint` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Take one sentence and a hint."""
        super().__init__(message)
        self.hint = hint


@contextmanager
def claimed(directory: Path, role: str) -> Iterator[None]:
    """Hold the data directory for `role`; raises `StartError` if another process does, or if it cannot be written."""
    with ExitStack() as held:
        try:
            held.enter_context(claim.claim(directory, role))
        except claim.ClaimedError as error:
            raise StartError(str(error), "Stop it first, or choose another directory with --data-dir.") from error
        except OSError as error:
            raise StartError(
                f"The data directory {directory} cannot be written: {error.strerror}.",
                "Make it writable, free some space, or choose another with --data-dir.",
            ) from error
        yield


def prepare_directory(directory: Path) -> None:
    """Make a directory that only its owner may look into; raises `StartError`."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"Cannot make the data directory {directory}: {error.strerror}.",
            "Choose another with --data-dir, or run as root.",
        ) from error
