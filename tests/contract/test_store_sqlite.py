"""What only an embedded database can suffer: other processes, damaged files, full and read-only disks."""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
import stat
import sys
import threading

import anyio
import pytest
from msgspec.structs import replace

from wherry.model.account import Meta
from wherry.store import Store, StoreError, Tx
from wherry.store import sqlite as engine
from wherry.store.errors import CorruptDatabase, DatabaseLocked, DiskFull, NewerSchema, ReadOnlyDatabase

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "wherry.db"


async def opened(path) -> None:
    async with Store.open(f"sqlite:///{path}"):
        pass


async def test_the_file_is_made_for_its_owner_only(path):
    async with Store.open(f"sqlite:///{path}") as store:
        await store.write(Tx.put, Meta(name="a", value="b"))
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_one_control_plane_has_the_file_and_the_next_is_told_who(path):
    async with Store.open(f"sqlite:///{path}"):
        with pytest.raises(DatabaseLocked, match=r"Another control plane \(process \d+\) uses the database .*Stop it"):
            await opened(path)
    await opened(path)


async def test_the_lock_ends_with_its_process(path):
    program = (
        "import anyio, os, signal\n"
        "from wherry.store import Store\n"
        "async def main():\n"
        f"    async with Store.open('sqlite:///{path}'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "anyio.run(main)\n"
    )
    process = await anyio.run_process([sys.executable, "-c", program], check=False)
    assert process.returncode == -signal.SIGKILL

    await opened(path)


async def test_a_commit_waits_for_the_disk(path):
    async with Store.open(f"sqlite:///{path}") as store:
        settings = await store.write(
            lambda tx: [tx._execute(f"PRAGMA {name}", {}).fetchone()[0] for name in ("journal_mode", "synchronous")]
        )

    assert settings == ["wal", 2]


async def test_a_file_that_is_no_database_is_called_so(path):
    path.parent.mkdir()
    path.write_bytes(b"These are not the bytes of a database." * 100)

    with pytest.raises(CorruptDatabase, match="is no database"):
        await opened(path)


async def test_a_damaged_row_is_reported_with_its_table(path):
    async with Store.open(f"sqlite:///{path}") as store:
        await store.write(Tx.put, Meta(name="a", value="b"))
    with sqlite3.connect(path) as shell:
        shell.execute("UPDATE meta SET body = '{'")
    shell.close()

    async with Store.open(f"sqlite:///{path}") as store:
        with pytest.raises(CorruptDatabase, match="table meta cannot be read"):
            await store.read(Tx.get, Meta, "a")


async def test_a_damaged_file_is_reported(path):
    async with Store.open(f"sqlite:///{path}") as store:
        await store.write(lambda tx: [tx.put(Meta(name=f"{n}", value="x" * 2000)) for n in range(200)])
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    path.write_bytes(content)

    async with Store.open(f"sqlite:///{path}") as store:
        with pytest.raises(CorruptDatabase, match="Restore it from a backup"):
            await store.read(Tx.find, Meta)


async def test_a_body_without_newer_fields_gets_their_defaults(path):
    async with Store.open(f"sqlite:///{path}") as store:
        await store.write(Tx.put, Meta(name="a", value="b"))
    with sqlite3.connect(path) as shell:
        shell.execute("""UPDATE meta SET body = '{"name": "a", "value": "b", "fromTheFuture": 1}'""")
    shell.close()

    async with Store.open(f"sqlite:///{path}") as store:
        assert await store.read(Tx.get, Meta, "a") == Meta(name="a", value="b")


async def test_a_path_that_cannot_be_written_is_called_so(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ReadOnlyDatabase, match="cannot be written"):
        await opened(tmp_path / "file" / "wherry.db")


async def test_a_database_of_a_newer_version_is_refused_and_its_lock_given_back(path):
    await opened(path)
    with sqlite3.connect(path) as shell:
        shell.execute("UPDATE alembic_version SET version_num = '9999'")
    shell.close()

    for _ in range(2):
        with pytest.raises(NewerSchema):
            await opened(path)


async def test_a_foreign_lock_is_waited_for_and_then_reported(path, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.0)
    async with Store.open(f"sqlite:///{path}") as store:
        shell = sqlite3.connect(path, isolation_level=None)
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseLocked, match="Close database shells"):
            await store.write(Tx.put, Meta(name="a", value="b"))
        shell.execute("ROLLBACK")
        shell.close()

        await store.write(Tx.put, Meta(name="a", value="b"))


async def test_while_a_foreign_lock_is_waited_for_the_event_loop_answers_reads(path):
    async with Store.open(f"sqlite:///{path}") as store:
        shell = sqlite3.connect(path, isolation_level=None)
        shell.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as group:
            written = anyio.Event()

            async def write() -> None:
                await store.write(Tx.put, Meta(name="a", value="b"))
                written.set()

            group.start_soon(write)
            for _ in range(20):
                await anyio.wait_all_tasks_blocked()
                assert await store.read(Tx.get, Meta, "a") is None
            assert not written.is_set()
            shell.execute("ROLLBACK")
            shell.close()
        assert (await store.read(Tx.get, Meta, "a")).value == "b"


async def test_functions_run_on_the_event_loop_and_the_commit_elsewhere(path, monkeypatch):
    committed_by = []
    commit = engine.SqliteConnection.commit
    monkeypatch.setattr(
        engine.SqliteConnection, "commit", lambda self: (committed_by.append(threading.get_ident()), commit(self))[1]
    )
    async with Store.open(f"sqlite:///{path}") as store:
        assert await store.write(lambda _: threading.get_ident()) == threading.get_ident()
    assert committed_by
    assert threading.get_ident() not in committed_by


async def test_a_listener_of_the_bell_that_raises_does_not_end_the_writer(path):
    def deaf(_keys: object) -> None:
        raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    heard: list[BaseException] = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))
    try:
        async with Store.open(f"sqlite:///{path}") as store:
            with store.bell.subscribe(deaf), anyio.fail_after(20):
                await store.write(lambda tx: tx.ring(("kind", "a")))
                await store.write(Tx.put, Meta(name="a", value=""))
            assert await store.read(Tx.count, Meta) == 1
    finally:
        loop.set_exception_handler(before)
    assert [type(error) for error in heard] == [ZeroDivisionError]


def everything(tx: Tx) -> tuple[object, ...]:
    return tx.get(Meta, "a"), tx.get(Meta, "b"), tx.find(Meta, name=("a", "b")), tx.count(Meta)


async def test_what_was_read_is_not_read_again_until_something_is_committed(path):
    async with Store.open(f"sqlite:///{path}") as store:
        [a] = await store.write(lambda tx: [tx.put(Meta(name="a", value="1"))])
        asked: list[str] = []
        with store._database.reader() as connection:
            connection._connection.set_trace_callback(asked.append)
        first = await store.read(everything)
        known = [statement for statement in asked if statement.startswith("SELECT")]
        asked.clear()

        assert await store.read(everything) == first
        assert (len(known), [statement.split()[0] for statement in asked]) == (4, ["BEGIN", "PRAGMA", "ROLLBACK"])
        await store.write(lambda tx: (tx.put(replace(a, value="2")), tx.put(Meta(name="b", value="3"))))
        assert [row.value for row in (await store.read(everything))[2]] == ["2", "3"]


async def test_what_others_commit_is_seen_by_the_next_read_and_not_by_the_one_that_has_begun(path):
    def change(value: str) -> None:
        with sqlite3.connect(path) as shell:
            shell.execute(f"""UPDATE meta SET body = '{{"name": "a", "value": "{value}"}}'""")
        shell.close()

    async with Store.open(f"sqlite:///{path}") as store:
        await store.write(Tx.put, Meta(name="a", value="1"))
        await store.read(everything)
        change("2")
        assert (await store.read(Tx.get, Meta, "a")).value == "2"

        def read_late(tx: Tx) -> str:
            change("3")
            return tx.find(Meta)[0].value

        assert await store.read(read_late) == "2"
        assert await store.read(lambda tx: (tx.find(Meta)[0].value, tx.get(Meta, "a").value)) == ("3", "3")


async def test_an_answer_is_the_readers_to_change(path):
    async with Store.open(f"sqlite:///{path}") as store:
        await store.write(lambda tx: [tx.put(Meta(name=name, value="")) for name in "abc"])
        for _ in range(3):
            found = await store.read(Tx.find, Meta)
            assert [row.name for row in found] == ["a", "b", "c"]
            found.clear()


async def test_what_a_connection_knows_is_bounded(path, monkeypatch):
    monkeypatch.setattr(engine, "MOST_KNOWN", 10)
    async with Store.open(f"sqlite:///{path}") as store:
        await store.write(lambda tx: [tx.put(Meta(name=f"{n}", value="")) for n in range(20)])
        await store.read(Tx.find, Meta)
        await store.read(Tx.get, Meta, "1")
        with store._database.reader() as connection:
            assert len(connection.known) == 1


async def test_a_database_in_memory_forgets_what_was_read_when_it_is_written():
    async with Store.open("sqlite://") as store:
        [a] = await store.write(lambda tx: [tx.put(Meta(name="a", value="1"))])
        await store.read(everything)
        await store.write(Tx.put, replace(a, value="2"))
        assert (await store.read(everything))[2][0].value == "2"


async def test_a_full_disk_fails_the_write_and_the_store_goes_on_when_there_is_room(path):
    async with Store.open(f"sqlite:///{path}") as store:
        await store.write(Tx.put, Meta(name="before", value=""))
        [pages] = await store.write(lambda tx: tx._execute("PRAGMA page_count", {}).fetchone())
        await store.write(lambda tx: tx._execute(f"PRAGMA max_page_count = {pages + 5}", {}))
        with pytest.raises(DiskFull, match="Free some space"):
            await store.write(Tx.put, Meta(name="big", value="x" * 1_000_000))
        await store.write(Tx.put, Meta(name="after", value=""))

        assert {row.name for row in await store.read(Tx.find, Meta)} == {"before", "after"}


async def test_a_disk_error_is_the_callers_and_not_the_writers_end(path):
    async with Store.open(f"sqlite:///{path}") as store:
        await store.write(Tx.put, Meta(name="before", value=""))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        try:
            with pytest.raises(StoreError):
                await store.write(Tx.put, Meta(name="big", value="x" * 1_000_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        await store.write(Tx.put, Meta(name="after", value=""))

        assert {row.name for row in await store.read(Tx.find, Meta)} == {"before", "after"}


@pytest.mark.parametrize("url", ["mysql://host/db", "nonsense"])
async def test_another_kind_of_database_is_refused_with_an_example(url):
    with pytest.raises(StoreError, match="sqlite:///PATH or postgresql://"):
        async with Store.open(url):
            pass
