"""The tokens by which containers name themselves: derived, so that they outlive the agent and are stored nowhere.

A token is a keyed hash of the task's ARN, the container's name and a purpose. The key is a file in the agent's state
directory; whoever cannot read it cannot guess the token of another container.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

KEY_BYTES = 32


class Tokens:
    """Derives tokens of 32 hexadecimal digits. Make it with `Tokens.open`, in tests from any key."""

    def __init__(self, key: bytes) -> None:
        """Derive under `key`."""
        self._key = key

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "Tokens()"

    @classmethod
    def open(cls, path: Path) -> Tokens:
        """Read the key file, or make it, readable by its owner alone. Raises OSError."""
        if not path.exists():
            _write_key(path)
        key = path.read_bytes()
        # A key that a full disk cut short must not pass for one.
        if len(key) != KEY_BYTES:
            _write_key(path)
            key = path.read_bytes()
        return cls(key)

    def container(self, task_arn: str, name: str) -> str:
        """Name a container in metadata and task protection: the id in /v4/ID and /api/ID."""
        return self._derive("endpoint", task_arn, name)

    def logs(self, task_arn: str, name: str) -> str:
        """Name a container where its log driver sends what it logs: the id in /logs/ID."""
        return self._derive("logs", task_arn, name)

    def _derive(self, *parts: str) -> str:
        # No ARN and no container's name has a newline in it.
        return hmac.new(self._key, "\n".join(parts).encode(), hashlib.sha256).hexdigest()[:32]


def _write_key(path: Path) -> None:
    """Put a fresh key in place in one step."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, os.urandom(KEY_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
