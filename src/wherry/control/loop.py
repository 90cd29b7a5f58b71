"""The loop that every controller runs: dirty keys in, one step per key, and what to do when a step fails.

What a step does to its key is the controller's own; here is only when.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Any, Generic, NoReturn, TypeVar

import anyio
import structlog
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from wherry.model.ids import Entropy
from wherry.store import Conflict, Key
from wherry.store.transactions import Transactions

K = TypeVar("K", bound=Hashable)

Step = Callable[[str], Awaitable[float | None]]
"""Looks at one key and does what is to be done; returns the seconds after which to look again in any case, or None."""

Sweep = Callable[[], Awaitable[Iterable[str]]]
"""Names every key there is, or those about which something may have to be done."""

FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Seconds before the first retry of a failed key, and the most that doubling makes of it."""

PATIENT_CONFLICTS = 5
"""So many conflicts in a row are others being faster; more are a defect, and no reason to spin."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Wait:
    """Why a key waits: marks, a timer, or a punishment; times are the event loop's, in seconds."""

    first_mark: float = inf
    last_mark: float = inf
    timer: float = inf
    not_before: float = 0.0
    queued: float = inf

    def mark(self, now: float) -> None:
        self.first_mark = min(self.first_mark, now)
        self.last_mark = now

    def due(self, quiet: float, patience: float) -> float:
        calm = min(self.last_mark + quiet, self.first_mark + patience)
        return max(min(calm, self.timer), self.not_before)


class DirtyKeys(Generic[K]):
    """Keys that need a look, each at most once however often it is marked, and never one in two hands.

    A mark made while its key is being worked on is kept until that work is done. `quiet` is how many seconds a key must
    have been left in peace before it is handed out, and `patience` when it is handed out without that. The memory that
    this takes is bounded by the number of distinct keys.
    """

    def __init__(self, *, quiet: float = 0.0, patience: float = 0.0) -> None:
        self._quiet = quiet
        self._patience = patience
        self._waiting: dict[K, _Wait] = {}
        self._busy: dict[K, _Wait] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = count()
        self._changed = anyio.Event()

    def mark(self, key: K) -> None:
        """Ask for a look at `key`."""
        wait = self._busy.get(key)
        if wait is None:
            wait = self._waiting.setdefault(key, _Wait())
            wait.mark(anyio.current_time())
            self._queue(key, wait)
        else:
            wait.mark(anyio.current_time())

    async def take(self) -> K:
        """Wait for the key that is due first; `done` must follow."""
        while True:
            await checkpoint()
            now = anyio.current_time()
            if (key := self._pop(now)) is not None:
                return key
            pause = self._heap[0][0] - now if self._heap else inf
            with anyio.move_on_after(pause):
                await self._changed.wait()

    def done(self, key: K, *, again_in: float | None = None, hold: bool = False) -> None:
        """Give a taken key back, to be handed out again after `again_in` seconds at the latest.

        With `hold` not earlier either: marks are kept, but do not shorten that time.
        """
        wait = self._busy.pop(key)
        if again_in is not None:
            wait.timer = anyio.current_time() + again_in
            wait.not_before = wait.timer if hold else 0.0
        if wait.due(self._quiet, self._patience) < inf:
            self._waiting[key] = wait
            self._queue(key, wait)

    def _queue(self, key: K, wait: _Wait) -> None:
        """See to it that the heap holds the key at its time or earlier; `_pop` puts back what came too early."""
        due = wait.due(self._quiet, self._patience)
        if due >= wait.queued:
            return
        wait.queued = due
        heapq.heappush(self._heap, (due, next(self._order), key))
        if len(self._heap) > 2 * len(self._waiting) + 64:
            self._heap = [(waiting.queued, next(self._order), key) for key, waiting in self._waiting.items()]
            heapq.heapify(self._heap)
        if self._heap[0][0] >= due:
            self._changed.set()
            self._changed = anyio.Event()

    def _pop(self, now: float) -> K | None:
        while self._heap and self._heap[0][0] <= now:
            queued, _, key = heapq.heappop(self._heap)
            wait = self._waiting.get(key)
            if wait is None or wait.queued != queued:
                continue  # left behind by a key that has been moved to an earlier time
            wait.queued = inf
            if wait.due(self._quiet, self._patience) > now:
                self._queue(key, wait)
                continue
            del self._waiting[key]
            self._busy[key] = _Wait()
            return key
        return None


class Controller:
    """Runs `step` for every dirty key of one `kind`, some `workers` at a time and never twice at once for one key.

    Keys become dirty by the store's bell, by the delay that a step returned, and by the `sweep` every `period` seconds:
    a bell that was missed costs time, never correctness. A key whose step raises is left alone for a while that doubles
    each time, other keys go on. Nothing else is caught: `run` ends only by cancellation or by raising.
    """

    def __init__(
        self,
        name: str,
        store: Transactions[Any],
        kind: str,
        step: Step,
        sweep: Sweep,
        *,
        entropy: Entropy,
        workers: int = 4,
        period: float = 30.0,
        quiet: float = 0.0,
        patience: float = 1.0,
    ) -> None:
        self._name = name
        self._store = store
        self._kind = kind
        self._step = step
        self._sweep = sweep
        self._entropy = entropy
        self._workers = workers
        self._period = period
        self._keys: DirtyKeys[str] = DirtyKeys(quiet=quiet, patience=patience)
        self._failures: dict[str, int] = {}

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; `task_status` is told once no bell will be missed any more."""
        with self._store.bell.subscribe(self._hear):
            task_status.started()
            async with anyio.create_task_group() as group:
                group.start_soon(self._sweep_forever, name=f"{self._name} sweep")
                for n in range(self._workers):
                    group.start_soon(self._work_forever, name=f"{self._name} {n}")

    def mark(self, key: str) -> None:
        """Ask for a look at `key`, for reasons that the store does not know."""
        self._keys.mark(key)

    def _hear(self, keys: frozenset[Key]) -> None:
        for kind, key in keys:
            if kind == self._kind:
                self._keys.mark(key)

    async def _work_forever(self) -> NoReturn:
        while True:
            key = await self._keys.take()
            try:
                again_in = await self._step(key)
            except Exception as error:  # noqa: BLE001 - the controllers' boundary: one key's defect stays its own
                self._retry(key, error)
            else:
                self._failures.pop(key, None)
                self._keys.done(key, again_in=again_in)

    def _retry(self, key: str, error: Exception) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        if isinstance(error, Conflict) and failures <= PATIENT_CONFLICTS:
            self._keys.done(key, again_in=0.0)
            return
        delay = self._delay(failures)
        log.error("step failed", controller=self._name, key=key, retry_in=round(delay, 1), exc_info=error)
        self._keys.done(key, again_in=delay, hold=True)

    async def _sweep_forever(self) -> NoReturn:
        failures = 0
        while True:
            try:
                for key in await self._sweep():
                    self._keys.mark(key)
            except Exception:
                failures += 1
                pause = min(self._delay(failures), self._period)
                log.exception("sweep failed", controller=self._name, retry_in=round(pause, 1))
            else:
                failures, pause = 0, self._period
            await anyio.sleep(pause)

    def _delay(self, failures: int) -> float:
        """Double with every failure up to the cap, less up to a half by chance, so that keys do not march in step."""
        longest = min(FIRST_RETRY * 2.0 ** min(failures - 1, 30), LAST_RETRY)
        chance = int.from_bytes(self._entropy(4), "big") / 2**32
        return longest * (1 - chance / 2)
