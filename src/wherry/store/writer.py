"""The one thread that writes: it takes all that wait at once, commits them together, and tells the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from anyio.lowlevel import EventLoopToken, current_token

from wherry.store.commit import Job
from wherry.store.schema import Key

Commit = Callable[[Sequence[Job[Any]]], frozenset[Key]]
Settle = Callable[[Sequence[Job[Any]], frozenset[Key]], None]

BATCH = 128
"""At most so many functions share a commit, so that the first caller is not kept waiting by the last."""


class Writer:
    """A thread between two queues: jobs come in from the event loop, settled batches go back to it."""

    def __init__(self, commit: Commit, settle: Settle) -> None:
        self._commit = commit
        self._settle = settle
        self._call_soon = _threadsafe(current_token())
        self._queue: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="wherry-store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job[Any]) -> None:
        """Queue a job; from then on it happens, even if nobody waits for it any more."""
        self._queue.put(job)

    def close(self) -> None:
        """Do what is queued and end the thread; blocks until it has."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            self._call_soon(partial(self._settle, batch, self._commit(batch)))

    def _next(self) -> list[Job[Any]]:
        """Wait for work; return nothing when it is time to end."""
        batch: list[Job[Any]] = []
        job = self._queue.get()
        try:
            while job is not None:
                batch.append(job)
                if len(batch) == BATCH:
                    return batch
                job = self._queue.get_nowait()
        except Empty:
            return batch
        if batch:
            self._queue.put(None)
        return batch


def _threadsafe(token: EventLoopToken) -> Callable[[Callable[[], None]], object]:
    """Find how to call into the event loop without waiting for it.

    anyio's own `from_thread` waits until the loop has run the call; the writer uses that time for the next commit.
    """
    loop = token.native_token
    if isinstance(loop, asyncio.AbstractEventLoop):
        # With the context of now, by which anyio knows its event loop when a listener of the bell asks it for the time.
        return partial(loop.call_soon_threadsafe, context=copy_context())
    call_soon: Callable[[Callable[[], None]], object] = loop.run_sync_soon  # type: ignore[attr-defined]  # trio's token
    return call_soon
