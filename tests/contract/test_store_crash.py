"""What was acknowledged outlives the process that was told so, and no half of a transaction does."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.model.account import Meta
from wherry.store import Store, Tx

WRITER = Path(__file__).with_name("writer_process.py")


@pytest.fixture
def anyio_backend():
    return "asyncio"


def acknowledged_until_killed(url: str, *, after: int) -> set[str]:
    """Start a writing process, kill it without warning after so many acknowledgements, and return all it gave."""
    with subprocess.Popen([sys.executable, WRITER, url, "4"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        lines += process.stdout.readlines()
    assert all(line.endswith("\n") for line in lines), "the writer ended by itself"
    return {line.strip() for line in lines}


@pytest.mark.anyio
async def test_everything_acknowledged_is_there_after_kill_9(store_url):
    chance = random.Random(0)
    acknowledged: set[str] = set()
    for _ in range(3):
        acknowledged |= acknowledged_until_killed(store_url, after=chance.randint(1, 300))

    async with Store.open(store_url) as store:
        names = {row.name for row in await store.read(Tx.find, Meta)}

    assert {f"{name}-{side}" for name in acknowledged for side in ("left", "right")} <= names
    assert {name.rsplit("-", 1)[0] for name in names if name.endswith("left")} == {
        name.rsplit("-", 1)[0] for name in names if name.endswith("right")
    }
