"""The relay: answers the engine's awslogs driver at once, and carries what it sent to the control plane in its order.

The driver sends a batch, and drops it if nobody takes it within a moment. So a stream is under suspicion from whenever
the agent may have missed one: when the agent starts, and when a batch could not be written down. The next batch of such
a stream, the silence of its driver, or the end of its container settles it, by the engine's own copy of the lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread
import msgspec
import structlog
from anyio.abc import TaskGroup
from msgspec.structs import replace

from wherry.agent.backoff import Backoff
from wherry.agent.link.base import RefusedError, UnreachableError
from wherry.agent.logs import gap, options
from wherry.agent.logs.faults import not_validated
from wherry.agent.logs.forward import Forwarder, Verdict, verdict
from wherry.agent.logs.spool import REMEMBERED, Batch, Spool, SpoolError
from wherry.agent.logs.stream import Event, Line, Stream
from wherry.agent.runtime.base import RuntimeFault, RuntimeUnavailableError
from wherry.agent.spec import ContainerSpec, TaskSpec
from wherry.model.ids import Entropy

log = structlog.get_logger()

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that the control plane has to answer the creation of a stream, for which a container's start waits."""
AT_ONCE = 4
"""Streams that are forwarded at the same time."""
MENDING = 30.0
"""Seconds between two attempts where somebody must first mend something."""
HOPELESS = 3600.0
"""Seconds after the end of a container from which lines that the control plane refuses are given up."""
LINGER = 60.0
"""Seconds for which a container that is done with is known: its driver may still be sending."""
LAST_BATCH = (0.5, 1.0, 1.5)
"""Seconds between looks at whether the driver's last batch has come, when a container is about to be removed."""
SHARE = 4
"""Into how many parts the spool's room is thought divided: one stream may take one part."""


class Copies(Protocol):
    """The engine's own copies of what containers write."""

    async def logged(self, task_arn: str, name: str, *, since: float) -> list[Line] | None:
        """Read the lines of a container since an instant (epoch seconds), oldest first; None if it is not there."""
        ...


class UnknownStreamError(LookupError):
    """No container of this agent has the token."""


class _Way:
    """A stream under way: what is known of it only while the agent runs.

    `settled` is the instant (epoch milliseconds) up to which the engine's copy was consulted: a batch that reaches back
    before it may bring what is there already.
    """

    def __init__(self, stream: Stream, *, suspect: bool) -> None:
        self.stream = stream
        self.suspect = suspect
        self.settled: float = math.inf if stream.over_at is not None else 0
        self.lock = anyio.Lock()
        self.woken = anyio.Event()
        self.refusal: RefusedError | None = None
        self.latest = b""

    def wake(self) -> None:
        self.woken.set()
        self.woken = anyio.Event()


class Relay:
    """All streams of one agent. `run` must be running for anything to reach the control plane."""

    def __init__(
        self,
        spool: Spool,
        forwarder: Forwarder,
        copies: Copies,
        *,
        token: Callable[[str, str], str],
        endpoint: str,
        room: int,
        clock: Callable[[], float],
        entropy: Entropy,
    ) -> None:
        """Read the spool, which may take `room` bytes.

        `token` derives that of a container from its task's ARN and its name; `endpoint` is the agent's URL for drivers;
        `clock` tells epoch seconds.
        """
        self._spool = spool
        self._forwarder = forwarder
        self._copies = copies
        self._token = token
        self._endpoint = endpoint
        self._room = room
        self._clock = clock
        self._entropy = entropy
        self._thread = anyio.CapacityLimiter(1)
        self._sending = anyio.CapacityLimiter(AT_ONCE)
        self._emptied = anyio.Event()
        self._group: TaskGroup | None = None
        self._ways = {one.token: _Way(one, suspect=one.over_at is None) for one in spool.streams()}

    async def run(self) -> None:
        """Carry everything to the control plane until cancelled."""
        async with anyio.create_task_group() as group:
            self._group = group
            began = self._clock()
            for way in list(self._ways.values()):
                group.start_soon(self._carry, way)
                if way.suspect:
                    group.start_soon(self._settle, way, began)
            await anyio.sleep_forever()

    async def equipped(self, task: TaskSpec, container: ContainerSpec) -> ContainerSpec:
        """Complete the log options of a container that is to be created, and know its stream from now on.

        On Fargate the stream is asked for here: `RuntimeFault` (ResourceInitializationError) if it is refused.
        Elsewhere that is the driver's to do, which in non-blocking mode starts without it. Raises `SpoolError`.
        """
        if container.logs is None:
            return container
        token = self._token(task.arn, container.name)
        stream = options.stream_of(task, container.name, container.logs, token=token)
        if stream is not None and token not in self._ways:
            await self._spooled(self._spool.save, stream)
            way = self._ways[token] = _Way(stream, suspect=False)
            if self._group is not None:
                self._group.start_soon(self._carry, way)
        if stream is not None and task.launch_type == "FARGATE":
            await self._validate(self._ways[token])
        return replace(container, logs=options.completed(container.logs, stream=stream, endpoint=self._endpoint))

    async def finish(self, task_arn: str, name: str) -> None:
        """Take what is still missing of a container that has ended, before it is removed with the engine's copy.

        Raises `RuntimeUnavailableError` and `SpoolError`.
        """
        way = self._ways.get(self._token(task_arn, name))
        if way is None or way.stream.over_at is not None:
            return
        for pause in LAST_BATCH:
            async with way.lock:
                if not await self._lost(way):
                    break
            await anyio.sleep(pause)
        async with way.lock:
            lost = await self._lost(way)
            try:
                await self._take(way, lost)
            except RefusedError as refusal:
                # Nobody has room for what is refused anyway, and the container is not kept for it.
                log.warning("log_lines_lost", task=task_arn, container=name, events=len(lost), error=str(refusal))
            await self._end(way)

    async def end(self, task_arn: str) -> None:
        """Let a task that is over have no stream any more, whatever became of its containers. Raises `SpoolError`."""
        for way in [way for way in self._ways.values() if way.stream.task_arn == task_arn]:
            async with way.lock:
                if way.stream.over_at is None:
                    await self._end(way)

    async def _validate(self, way: _Way) -> None:
        try:
            with anyio.fail_after(PATIENCE):
                await self._forwarder.make(way.stream)
        except (UnreachableError, TimeoutError) as error:
            await self._put_off(way, error)
        except RefusedError as refusal:
            if verdict(refusal) is not Verdict.PASSES:
                raise not_validated(refusal) from refusal
            await self._put_off(way, refusal)

    async def _put_off(self, way: _Way, error: Exception) -> None:
        log.warning("log_stream_put_off", group=way.stream.group, stream=way.stream.name, error=str(error))
        await self._spooled(self._spool.ask_for_stream, way.stream.token)
        way.wake()

    def knows(self, token: str) -> bool:
        """Tell whether a container of this agent has the token."""
        return token in self._ways

    async def create_stream(self, token: str, group: str, name: str) -> None:
        """Answer CreateLogStream as the control plane does; it is put off where that cannot be asked.

        Raises `RefusedError`, `UnknownStreamError` and `SpoolError`.
        """
        way = await self._bound(token, group, name)
        try:
            with anyio.fail_after(PATIENCE):
                await self._forwarder.create_stream(way.stream)
        except (UnreachableError, TimeoutError) as error:
            await self._put_off(way, error)

    async def create_group(self, token: str, group: str) -> None:
        """Answer CreateLogGroup likewise; the stream that is then asked for brings the group along."""
        way = self._way(token)
        _check(group == way.stream.group and way.stream.creates_group, "log group", group)
        try:
            with anyio.fail_after(PATIENCE):
                await self._forwarder.create_group(way.stream)
        except (UnreachableError, TimeoutError) as error:
            log.warning("log_group_put_off", group=group, error=str(error))

    async def put(self, token: str, group: str, name: str, events: Sequence[Event]) -> None:
        """Take a batch of the driver; returns once it is written down, which waits for room.

        Raises `RefusedError`, `UnknownStreamError`, `RuntimeUnavailableError` and `SpoolError`.
        """
        way = await self._bound(token, group, name)
        digest = await self._spooled(_digest, events)
        async with way.lock:
            try:
                if way.suspect or events[0].timestamp <= way.settled:
                    await self._take_doubtful(way, events)
                elif digest != way.latest:
                    # The same again is the batch before, whose answer the driver did not get.
                    await self._take(way, events)
            except RefusedError:
                raise
            except BaseException:
                # Whatever kept it from being taken: the driver will not send it for long.
                way.suspect = True
                raise
            way.latest = digest

    async def _take_doubtful(self, way: _Way, events: Sequence[Event]) -> None:
        """Take a batch together with what was lost before it, and without what was taken before."""
        lines, taken = await self._compared(way)
        lost = list(gap.lost(lines, taken, events, way.stream)) if way.suspect else []
        await self._take(way, [*lost, *gap.fresh(lines, taken, events, way.stream)])
        if lost:
            log.info("log_lines_recovered", task=way.stream.task_arn, container=way.stream.container, events=len(lost))
        way.suspect = False

    async def _take(self, way: _Way, events: Sequence[Event]) -> None:
        if not events:
            return
        await self._wait_for_room(way, sum(len(event.message) for event in events))
        await self._spooled(self._spool.append, way.stream.token, events)
        way.wake()

    async def _wait_for_room(self, way: _Way, size: int) -> None:
        """Hold the driver up while there is no room: then the container waits, or its own buffer drops, by its mode.

        Lines that the control plane refuses hold nobody up: the driver is told what it would be told on AWS.
        """
        waiting, told = self._spool.waiting, False
        while waiting[way.stream.token] > 0 and (
            sum(waiting.values()) + size > self._room or waiting[way.stream.token] + size > self._room // SHARE
        ):
            if way.refusal is not None:
                raise way.refusal
            if not told:
                log.warning("log_spool_full", task=way.stream.task_arn, container=way.stream.container)
            told = True
            await self._emptied.wait()

    async def _lost(self, way: _Way, *, until: float = math.inf) -> list[Event]:
        """Find in the engine's copy what was written before `until` (epoch seconds) and never taken."""
        lines, taken = await self._compared(way)
        before = [line for line in lines if line.at < until * 1e9]
        return await anyio.to_thread.run_sync(lambda: list(gap.lost(before, taken, None, way.stream)))

    async def _compared(self, way: _Way) -> tuple[list[Line], list[Event]]:
        """Read the newest lines of the engine's copy, and what was taken of them."""
        stream = way.stream
        taken: list[Event] = await self._spooled(self._spool.taken, stream.token)
        newest = max((event.timestamp for event in taken), default=0)
        oldest = min((event.timestamp for event in taken), default=0)
        since = oldest if stream.joins else max(0, newest - REMEMBERED)
        return await self._copied(stream, since / 1000) or [], taken

    async def _copied(self, stream: Stream, since: float) -> list[Line] | None:
        """Read the engine's copy; None if the container is not there. One that cannot be read has nothing for us."""
        try:
            return await self._copies.logged(stream.task_arn, stream.container, since=since)
        except RuntimeFault as fault:
            log.warning("log_copy_unreadable", task=stream.task_arn, container=stream.container, error=str(fault))
            return []

    async def _settle(self, way: _Way, began: float) -> None:
        """Settle a stream whose driver stays silent: what it had to send when the agent began, it has thrown away."""
        await anyio.sleep(2 * way.stream.flush + PATIENCE)
        backoff = Backoff(1, 30, 2, self._entropy)
        while way.suspect:
            try:
                async with way.lock:
                    if way.suspect:
                        await self._take(way, await self._lost(way, until=began))
                        way.suspect, way.settled = False, began * 1000
                    if await self._copied(way.stream, began) is None:
                        await self._end(way)
            except (RuntimeUnavailableError, SpoolError, RefusedError) as error:
                log.warning("log_stream_unsettled", task=way.stream.task_arn, error=str(error))
                await anyio.sleep(backoff.pause())

    async def _end(self, way: _Way) -> None:
        way.stream = replace(way.stream, over_at=self._clock())
        way.suspect, way.settled = False, math.inf
        await self._spooled(self._spool.save, way.stream)
        way.wake()

    async def _carry(self, way: _Way) -> None:
        """Forward one stream in its order, until its container is done with and nothing of it is left."""
        backoff = Backoff(0.5, 30, 2, self._entropy)
        while True:
            woken = way.woken
            try:
                batch = await self._spooled(self._spool.next, way.stream.token)
                if batch is not None:
                    await self._forward(way, batch, backoff)
                elif self._over_for(way) > LINGER:
                    await self._spooled(self._spool.forget, way.stream.token)
                    del self._ways[way.stream.token]
                    return
                else:
                    with anyio.move_on_after(LINGER if way.stream.over_at is not None else None):
                        await woken.wait()
            except SpoolError as error:
                log.warning("log_spool_failed", error=str(error))
                await anyio.sleep(backoff.pause())

    async def _forward(self, way: _Way, batch: Batch, backoff: Backoff) -> None:
        """Forward a batch, or pause before the next attempt."""
        try:
            async with self._sending:
                await self._forwarder.send(way.stream, batch)
            way.refusal = None
        except UnreachableError:
            await anyio.sleep(backoff.pause())
            return
        except RefusedError as refusal:
            if not self._gives_up(way, refusal):
                await anyio.sleep(backoff.pause() if verdict(refusal) is Verdict.PASSES else MENDING)
                return
        backoff.reset()
        await self._spooled(self._spool.done, batch)
        self._emptied.set()
        self._emptied = anyio.Event()

    def _gives_up(self, way: _Way, refusal: RefusedError) -> bool:
        where = {"task": way.stream.task_arn, "container": way.stream.container, "group": way.stream.group}
        judged = verdict(refusal)
        final = judged is Verdict.FINAL or (judged is Verdict.MENDABLE and self._over_for(way) > HOPELESS)
        if judged is Verdict.MENDABLE:
            way.refusal = refusal
        log.warning("log_lines_lost" if final else "log_lines_refused", error=str(refusal), **where)
        return final

    def _over_for(self, way: _Way) -> float:
        return -1 if way.stream.over_at is None else self._clock() - way.stream.over_at

    def _way(self, token: str) -> _Way:
        if (way := self._ways.get(token)) is None:
            raise UnknownStreamError(token)
        return way

    async def _bound(self, token: str, group: str, name: str) -> _Way:
        """Find the stream of a token; a driver without a name for its stream tells it once and for all."""
        way = self._way(token)
        _check(group == way.stream.group, "log group", group)
        if way.stream.name is None:
            way.stream = replace(way.stream, name=name)
            await self._spooled(self._spool.save, way.stream)
        _check(name == way.stream.name, "log stream", name)
        return way

    async def _spooled(self, function: Callable[..., T], *arguments: object) -> T:
        return await anyio.to_thread.run_sync(partial(function, *arguments), limiter=self._thread)


def _digest(events: Sequence[Event]) -> bytes:
    return sha256(msgspec.json.encode(events)).digest()


def _check(good: bool, what: str, name: str) -> None:  # noqa: FBT001 - the outcome, not a switch
    if not good:
        raise RefusedError("AccessDeniedException", f"This container does not log to the {what} {name!r}.")
