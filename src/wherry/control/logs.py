"""Keeps the log database in shape: packs small chunks together, removes what has expired and what was deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wherry.control import log_queries
from wherry.control.loop import Controller
from wherry.model.arn import Scope
from wherry.model.ids import Entropy
from wherry.model.logs.chunk import Chunk, repack
from wherry.model.logs.nouns import LogGroup, LogStream, Remains
from wherry.store.logs import LogStore, LogTx

CROWD = 16
"""So many chunks that were packed equally often are packed together: no event is packed again more than a few times."""
HANDFUL = 256
"""As many as are packed at once."""
IDLE_SECONDS = 60.0
"""When nothing has come in for so long, what there is of a stream is packed together even if it is little."""
BATCH = 200
"""Chunks removed in one transaction."""
PERIOD = 600.0

Clock = Callable[[], float]


def controllers(logs: LogStore, scope: Scope, *, clock: Clock, entropy: Entropy) -> tuple[Controller, ...]:
    """Make the loops of a log database."""
    return (
        log_queries.controller(logs, scope, clock=clock, entropy=entropy),
        _packer(logs, clock, entropy),
        _retention(logs, clock, entropy),
        _remover(logs, entropy),
    )


def _packer(logs: LogStore, clock: Clock, entropy: Entropy) -> Controller:
    async def step(key: str) -> float | None:
        return await pack_stream(logs, int(key), now=clock())

    async def sweep() -> Iterable[str]:
        return map(str, await logs.read(LogTx.streams_to_pack))

    # The packer waits while a burst lasts: one pass over many chunks is cheaper than many over few.
    return Controller(
        "log packer",
        logs,
        "log-stream",
        step,
        sweep,
        entropy=entropy,
        workers=1,
        period=PERIOD,
        quiet=2.0,
        patience=10.0,
    )


async def pack_stream(logs: LogStore, log_stream_id: int, *, now: float) -> float | None:
    """Pack small chunks of a stream together; return the seconds after which to look again, or None."""
    stream, level, ids, packed = await logs.read(_pack, log_stream_id, now=now)
    if stream is None:
        return None
    if ids:
        await logs.write(LogTx.replace, stream, ids, packed, level=level + 1)
        return 0.0
    return None if _is_idle(stream, now) else IDLE_SECONDS


def _pack(tx: LogTx, log_stream_id: int, *, now: float) -> tuple[LogStream | None, int, list[int], list[Chunk]]:
    found = tx.find(LogStream, id=log_stream_id)
    if not found:
        return None, 0, [], []
    at_least = 2 if _is_idle(found[0], now) else CROWD
    level, ids = tx.small_chunks(log_stream_id, at_least=at_least, at_most=HANDFUL)
    chunks = [chunk for chunk in map(tx.chunk, ids) if chunk is not None]
    return found[0], level, ids, repack(chunks)


def _is_idle(stream: LogStream, now: float) -> bool:
    return (stream.last_ingestion_time or 0) < (now - IDLE_SECONDS) * 1000


def _retention(logs: LogStore, clock: Clock, entropy: Entropy) -> Controller:
    async def step(key: str) -> float | None:
        return 0.0 if await logs.write(expire, int(key), clock()) >= BATCH else None

    async def sweep() -> Iterable[str]:
        groups = await logs.read(LogTx.find, LogGroup)
        return [str(group.id) for group in groups if group.retention_in_days is not None]

    return Controller("log retention", logs, "log-group", step, sweep, entropy=entropy, workers=1, period=PERIOD)


def expire(tx: LogTx, log_group_id: int, now: float) -> int:
    """Remove chunks of a group of which every event has expired, and tell how many there were."""
    found = tx.find(LogGroup, id=log_group_id)
    if not found or found[0].retention_in_days is None:
        return 0
    return tx.expire(found[0], found[0].expired_before(now), at_most=BATCH)


def _remover(logs: LogStore, entropy: Entropy) -> Controller:
    async def step(key: str) -> float | None:
        return 0.0 if await logs.write(remove, key) else None

    async def sweep() -> Iterable[str]:
        return [remains.key for remains in await logs.read(LogTx.find, Remains)]

    return Controller("log remover", logs, "log-remains", step, sweep, entropy=entropy, workers=1, period=PERIOD)


def remove(tx: LogTx, key: str) -> bool:
    """Remove some of what is left of a group or stream that was deleted; say whether there may be more."""
    remains = tx.get(Remains, key)
    if remains is None:
        return False
    if remains.log_stream_id:
        removed = tx.clear_stream(remains.log_group_id, remains.log_stream_id, at_most=BATCH)
    else:
        removed = tx.clear_group(remains.log_group_id, at_most=BATCH)
    if removed == 0:
        tx.delete(remains)
    return removed > 0
