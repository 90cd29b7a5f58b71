"""What a session's command wrote, for the log group that the cluster's executeCommandConfiguration names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wherry.api.context import Context
from wherry.api.exec.sessions import Session
from wherry.model.cluster import Cluster
from wherry.model.task import Task
from wherry.store import Tx


class Transcript:
    """Takes the agent's frames in; this one keeps nothing."""

    @classmethod
    @asynccontextmanager
    async def of(cls, ctx: Context, session: Session) -> AsyncIterator[Transcript]:
        """Open the transcript of a session."""
        yield cls()

    async def take(self, frame: bytes) -> None:
        """Take what the agent has sent."""


def log_group(tx: Tx, cluster: Cluster, task: Task, container_name: str) -> str | None:  # noqa: ARG001
    """Name the log group of the transcripts of a container; None where none are kept."""
    return None
