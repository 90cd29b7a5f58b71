"""A process that writes rows one after the other and says so once each is durable; the tests kill it.

Usage: writer_process.py URL WRITERS
"""

from __future__ import annotations

import os
import sys

import anyio

from wherry.model.account import Meta
from wherry.store import Store, Tx


async def write_forever(store: Store, writer: int) -> None:
    n = 0
    while True:
        name = f"{os.getpid()}-{writer}-{n}"
        await store.write(put_pair, name)
        os.write(1, f"{name}\n".encode())
        n += 1


def put_pair(tx: Tx, name: str) -> None:
    """Write two rows that belong together."""
    tx.put(Meta(name=f"{name}-left", value="x" * 500))
    tx.put(Meta(name=f"{name}-right", value="x" * 500))


async def main(url: str, writers: int) -> None:
    async with Store.open(url) as store, anyio.create_task_group() as group:
        for writer in range(writers):
            group.start_soon(write_forever, store, writer)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]))
