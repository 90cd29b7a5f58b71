"""The log store on both databases: what was acknowledged stays, in order, whatever is done to it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.contract.log_writer_process import BATCH, append, batch, stream_in
from tests.e2e.disk import a_disk

from wherry.control.logs import expire, pack_stream, remove
from wherry.model.logs.chunk import Event, pack
from wherry.model.logs.nouns import LogGroup, LogStream, Remains
from wherry.model.logs.page import Span
from wherry.store.errors import DiskFull
from wherry.store.logs import LogStore, LogTx, reading

pytestmark = pytest.mark.anyio

WRITER = Path(__file__).with_name("log_writer_process.py")
DAY = 24 * 3600 * 1000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def logs(store_url: str):
    async with LogStore.open(store_url) as store:
        yield store


def lines(tx: LogTx, name: str) -> list[str]:
    """Read all messages of a stream, page by page."""
    stream, span, found = stream_in_reading(tx, name), Span(), []
    while True:
        page = reading.read_stream(tx, stream, span, backward=False, limit=7)
        found += [event.message for event in page.events]
        if page.more_after is None:
            return found
        span = span._replace(start=page.more_after)


def stream_in_reading(tx: LogTx, name: str) -> LogStream:
    [found] = tx.find(LogStream, log_stream_name=name)
    return found


def chunks(tx: LogTx) -> int:
    return int(tx._execute("SELECT count(*) FROM log_chunks", {}).fetchone()[0])


def of_batch(label: str) -> list[str]:
    return [f"{label}/{n}" for n in range(BATCH)]


async def test_events_are_ordered_by_time_and_then_as_they_came(logs: LogStore) -> None:
    await logs.write(append, "s", batch("later", at=2))
    await logs.write(append, "s", batch("first", at=1))
    await logs.write(append, "s", batch("last", at=2))
    assert await logs.read(lines, "s") == [*of_batch("first"), *of_batch("later"), *of_batch("last")]


async def test_packing_keeps_every_event_in_its_place(logs: LogStore) -> None:
    times = [random.Random(7).randrange(50) for _ in range(70)]
    for n, at in enumerate(times):
        await logs.write(append, "s", batch(str(n), at=at))
    before = await logs.read(lines, "s")
    stream = await logs.read(stream_in_reading, "s")

    while await pack_stream(logs, stream.id, now=1e9) == 0.0:
        pass
    assert await logs.read(chunks) == 1
    assert await logs.read(lines, "s") == before
    assert await logs.read(LogTx.last_sequence) == 70 * BATCH


async def test_a_stream_in_use_is_packed_only_when_it_has_a_crowd_of_chunks(logs: LogStore) -> None:
    for n in range(15):
        await logs.write(append, "s", batch(str(n), at=n))
    stream = await logs.read(stream_in_reading, "s")
    assert await pack_stream(logs, stream.id, now=1.0) == 60.0
    assert await logs.read(chunks) == 15
    await logs.write(append, "s", batch("15", at=15))
    assert await pack_stream(logs, stream.id, now=1.0) == 0.0
    assert await logs.read(chunks) == 1


async def test_packing_loses_nothing_that_comes_in_meanwhile(logs: LogStore) -> None:
    for n in range(20):
        await logs.write(append, "s", batch(str(n), at=n))
    stream = await logs.read(stream_in_reading, "s")
    await logs.write(append, "s", batch("20", at=20))
    await pack_stream(logs, stream.id, now=1e9)
    await logs.write(append, "s", batch("21", at=21))
    assert await logs.read(lines, "s") == [line for n in range(22) for line in of_batch(str(n))]


async def test_retention_removes_chunks_of_which_all_has_expired(logs: LogStore) -> None:
    now = 10 * DAY / 1000
    for at in (0, 8 * DAY, 9 * DAY, 10 * DAY):
        await logs.write(append, "s", batch(str(at), at=at))
    group = (await logs.read(LogTx.find, LogGroup))[0]
    assert await logs.write(expire, group.id, now) == 0

    await logs.write(lambda tx: tx.put(LogGroup(**{**_fields(tx.get(LogGroup, "g")), "retention_in_days": 1})))
    assert await logs.write(expire, group.id, now) == 2
    assert await logs.read(chunks) == 2
    each = sum(len(f"{9 * DAY}/{n}") + 26 for n in range(BATCH)) + sum(
        len(f"{10 * DAY}/{n}") + 26 for n in range(BATCH)
    )
    assert await logs.read(LogTx.stored_bytes, group.id) == each


def _fields(group: LogGroup | None) -> dict[str, object]:
    assert group is not None
    return {name: getattr(group, name) for name in group.__struct_fields__}


async def test_what_was_deleted_is_removed_chunk_by_chunk(logs: LogStore) -> None:
    await logs.write(append, "s", batch("s"))
    await logs.write(append, "t", batch("t"))
    stream = await logs.read(stream_in_reading, "s")
    await logs.write(LogTx.put, Remains(key="r", log_group_id=stream.log_group_id, log_stream_id=stream.id))

    while await logs.write(remove, "r"):
        pass
    assert await logs.read(LogTx.find, Remains) == []
    assert await logs.read(lines, "t") == of_batch("t")
    assert await logs.read(chunks) == 1


def acknowledged_until_killed(url: str, *, after: int) -> set[str]:
    """Start a writing process, kill it without warning after so many acknowledgements, and return all it gave."""
    with subprocess.Popen([sys.executable, WRITER, url, "4"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(after)]
        process.kill()
        said += process.stdout.readlines()
    assert all(line.endswith("\n") for line in said), "the writer ended by itself"
    return {line.strip() for line in said}


async def test_everything_acknowledged_is_there_after_kill_9(store_url: str) -> None:
    chance = random.Random(0)
    acknowledged: set[str] = set()
    for _ in range(3):
        acknowledged |= acknowledged_until_killed(store_url, after=chance.randint(1, 200))

    async with LogStore.open(store_url) as store:
        found = [line for n in range(4) for line in await store.read(lines, f"s{n}")]
    per_batch = Counter(line.rsplit("/", 1)[0] for line in found)
    assert acknowledged <= set(per_batch)
    assert set(per_batch.values()) == {BATCH}, "half of a batch is there, or a batch twice"
    assert len(set(found)) == len(found)


@pytest.mark.docker
async def test_a_full_disk_gives_one_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    with a_disk(tmp_path / "disk", mib=4) as disk:
        async with LogStore.open(f"sqlite:///{disk.place}/logs.db") as store:
            written = 0
            disk_is_full = pytest.raises(DiskFull, match="Free some space")
            disk.fill()
            with disk_is_full:
                while True:
                    noise = random.Random(written).randbytes(60_000).hex()
                    await store.write(append, "s", pack([Event(written, 0, 0, f"{written} {noise}")]))
                    written += 1
            disk.free()
            await store.write(append, "s", pack([Event(10_000, 0, 0, "afterwards")]))
            found = [line.split()[0] for line in await store.read(lines, "s")]
    assert found == [*map(str, range(written)), "afterwards"]


async def test_a_stream_is_numbered_anew_when_its_name_is_used_again(logs: LogStore) -> None:
    first = await logs.write(stream_in, "s")
    await logs.write(LogTx.delete, first)
    again = await logs.write(stream_in, "s")
    assert again.id > first.id
