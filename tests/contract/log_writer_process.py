"""A process that appends batches of events one after the other and says so once each is durable; the tests kill it.

Usage: log_writer_process.py URL WRITERS
"""

from __future__ import annotations

import os
import sys

import anyio

from wherry.model.logs.chunk import Chunk, Event, pack
from wherry.model.logs.nouns import LogGroup, LogStream, stream_key
from wherry.store.logs import LogStore, LogTx

BATCH = 20


def stream_in(tx: LogTx, name: str) -> LogStream:
    """Find a stream of the group "g", and make what is not there."""
    group = tx.get(LogGroup, "g") or tx.put(LogGroup(log_group_name="g", id=tx.new_id(), creation_time=0))
    key = stream_key(group.id, name)
    found = tx.get(LogStream, key)
    if found is not None:
        return found
    return tx.put(LogStream(key=key, log_stream_name=name, log_group_id=group.id, id=tx.new_id(), creation_time=0))


def append(tx: LogTx, name: str, chunk: Chunk) -> None:
    """Append to a stream of the group "g"."""
    tx.append(stream_in(tx, name), chunk)


def batch(label: str, at: int = 0) -> Chunk:
    """Make a batch whose events tell of which it is."""
    return pack([Event(at, n, 0, f"{label}/{n}") for n in range(BATCH)])


async def write_forever(store: LogStore, writer: int) -> None:
    n = 0
    while True:
        label = f"{os.getpid()}-{writer}-{n}"
        await store.write(append, f"s{writer}", batch(label, at=n))
        os.write(1, f"{label}\n".encode())
        n += 1


async def main(url: str, writers: int) -> None:
    async with LogStore.open(url) as store, anyio.create_task_group() as group:
        for writer in range(writers):
            group.start_soon(write_forever, store, writer)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]))
