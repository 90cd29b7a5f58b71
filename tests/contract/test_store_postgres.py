"""What only a database server can do: be shared, go away, come back, and be set up by somebody else."""

from __future__ import annotations

import anyio
import psycopg
import pytest
from msgspec.structs import replace

from wherry.model.account import Meta
from wherry.store import Store, Tx
from wherry.store.errors import DatabaseUnavailable, ReadOnlyDatabase

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def increment(tx: Tx) -> int:
    found = tx.get(Meta, "counter") or Meta(name="counter", value="0")
    return tx.put(replace(found, value=str(int(found.value) + 1))).version


async def test_two_control_planes_take_turns_and_lose_nothing(postgres_url):
    async with Store.open(postgres_url) as one, Store.open(postgres_url) as other:
        async with anyio.create_task_group() as group:
            for n in range(100):
                group.start_soon((one, other)[n % 2].write, increment)
        found = await one.read(Tx.get, Meta, "counter")

    assert found == Meta(name="counter", value="100", version=100)


async def test_two_that_open_an_empty_database_at_once_migrate_it_once(empty_postgres_url):
    async def use() -> None:
        async with Store.open(empty_postgres_url) as store:
            await store.write(increment)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(use)

    async with Store.open(empty_postgres_url) as store:
        assert await store.write(increment) == 4


async def test_the_store_goes_on_after_its_connections_were_cut(postgres_url):
    async with Store.open(postgres_url) as store:
        await store.write(increment)
        await store.read(Tx.count, Meta)
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        assert await store.write(increment) == 2
        assert await store.read(Tx.count, Meta) == 1


async def test_a_connection_that_is_cut_in_a_transaction_fails_that_transaction_only(postgres_url):
    def cut(tx: Tx) -> None:
        increment(tx)
        tx._execute("SELECT pg_terminate_backend(pg_backend_pid())", {})

    async with Store.open(postgres_url) as store:
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            await store.write(cut)

        assert await store.write(increment) == 1


async def test_a_server_that_is_not_there_is_named_without_the_password(tmp_path):
    with pytest.raises(DatabaseUnavailable, match="Check that it runs") as caught:
        async with Store.open(f"postgresql://wherry:secret@/none?host={tmp_path}"):
            pass

    assert "secret" not in str(caught.value)


async def test_a_commit_is_durable_even_where_the_administrator_chose_otherwise(postgres_url):
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET synchronous_commit = off")

    async with Store.open(postgres_url) as store:
        assert await store.write(lambda tx: tx._execute("SHOW synchronous_commit", {}).fetchone()) == ("on",)


async def test_a_standby_is_refused(postgres_url):
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET default_transaction_read_only = on")

    async with Store.open(postgres_url) as store:
        with pytest.raises(ReadOnlyDatabase, match="primary server"):
            await store.write(increment)
