"""The one writer: it takes all jobs that wait at once, and a thread makes them durable while the next ones gather."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any

from anyio.lowlevel import EventLoopToken, current_token

from wherry.store.commit import Batch, Job

BATCH = 32
"""At most so many functions share a commit, so that the first caller is not kept waiting by the last."""


class Writer:
    """Jobs come in on the event loop, in batches; one batch at a time is carried out.

    With `on_loop` the functions run there, where no other thread takes the interpreter away between their statements,
    and only the commit, which waits for the disk, is the thread's. What another program keeps locked is waited for on
    the thread.
    """

    def __init__(
        self, batch: Callable[[Sequence[Job[Any]]], Batch], settle: Callable[[Batch], None], *, on_loop: bool
    ) -> None:
        self._batch = batch
        self._settle = settle
        self._on_loop = on_loop
        self._call_soon = _threadsafe(current_token())
        self._waiting: list[Job[Any]] = []
        self._busy = False
        self._closing = False
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="wherry-store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job[Any]) -> None:
        """Queue a job; from then on it happens, even if nobody waits for it any more."""
        self._waiting.append(job)
        if not self._busy:
            self._busy = True
            # Not at once: what else is ready to run may have a job for the same commit.
            self._call_soon(self._next)

    def close(self) -> None:
        """Do what is queued and end the thread; blocks until it has, and so must not run on the event loop."""
        self._call_soon(self._close_soon)
        self._thread.join()

    def _next(self) -> None:
        batch = self._batch(self._waiting[:BATCH])
        del self._waiting[:BATCH]
        if self._on_loop:
            batch.run(wait=False)
        self._queue.put(batch)

    def _run(self) -> None:
        while batch := self._queue.get():
            batch.commit()
            self._call_soon(partial(self._end, batch))

    def _end(self, batch: Batch) -> None:
        try:
            self._settle(batch)
        finally:  # whatever a listener of the bell does, the writer goes on
            if self._waiting:
                self._next()
            else:
                self._busy = False
                if self._closing:
                    self._queue.put(None)

    def _close_soon(self) -> None:
        self._closing = True
        if not self._busy:
            self._queue.put(None)


def _threadsafe(token: EventLoopToken) -> Callable[[Callable[[], None]], object]:
    """Find how to call into the event loop without waiting for it, as anyio's own `from_thread` does."""
    loop = token.native_token
    if isinstance(loop, asyncio.AbstractEventLoop):
        # With the context of now, by which anyio knows its event loop when a listener of the bell asks it for the time.
        return partial(loop.call_soon_threadsafe, context=copy_context())
    call_soon: Callable[[Callable[[], None]], object] = loop.run_sync_soon  # type: ignore[attr-defined]  # trio's token
    return call_soon
