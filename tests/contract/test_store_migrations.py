"""The migrations make exactly the schema that the tables declare, once, and refuse what they do not know."""

from __future__ import annotations

import logging

import pytest
import sqlalchemy as sa
from tests import first_release
from tests.builders import an_instance
from tests.sums import sums_as_kept, sums_as_they_should_be
from tests.world import World

from wherry.store import Store
from wherry.store.errors import NewerSchema
from wherry.store.history import History
from wherry.store.logs.tables import HISTORY as LOGS
from wherry.store.migrate import STATE, migrate
from wherry.store.upgrade import upgrade

_LAYOUT = {
    "sqlite": """
        SELECT tbl_name, name, group_concat(part, ', ') FROM (
            SELECT tbl_name, schema.name, info.name || info.type || info."notnull" || info.pk AS part
            FROM sqlite_schema AS schema, pragma_table_info(schema.name) AS info WHERE schema.type = 'table'
            ORDER BY info.name
        ) GROUP BY tbl_name, name
        UNION ALL SELECT tbl_name, name, sql FROM sqlite_schema WHERE type = 'index'
        UNION ALL SELECT name, name, 'autoincrement' FROM sqlite_schema WHERE sql GLOB '*AUTOINCREMENT*'
    """,
    "postgresql": """
        SELECT table_name, column_name,
            concat_ws(' ', data_type, collation_name, is_nullable, column_default, character_maximum_length)
            FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace
    """,
}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/empty.db"
    else:
        url = request.getfixturevalue("empty_postgres_url").replace("postgresql:", "postgresql+psycopg:")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("history", [STATE, LOGS], ids=["state", "logs"])
def test_an_empty_database_becomes_what_the_revisions_come_to(engine: sa.Engine, history: History) -> None:
    with engine.begin() as connection:
        upgrade(connection, history)
        upgraded = layout(connection)
        drop(connection)
        assert layout(connection) == []
    migrate(engine, history)

    with engine.connect() as connection:
        assert layout(connection) == upgraded
    assert len(upgraded) > 10


def layout(connection: sa.Connection) -> list[tuple[str, ...]]:
    """Everything that a database has, except the order of the columns."""
    found = connection.exec_driver_sql(_LAYOUT[connection.dialect.name]).all()
    return sorted(
        (table, name, " ".join(what.split()) if what else "")
        for table, name, what in found
        if "sqlite_sequence" not in (table, name)
    )


def drop(connection: sa.Connection) -> None:
    found = sa.MetaData()
    found.reflect(connection)
    found.drop_all(connection)


def test_text_is_compared_by_its_bytes_in_every_key_and_column(engine):
    migrate(engine)
    if engine.dialect.name == "postgresql":
        question = """
            SELECT count(*) FROM information_schema.columns
            WHERE table_schema = 'public' AND data_type = 'text' AND column_name <> 'body'
            AND collation_name IS DISTINCT FROM 'C'
        """
    else:
        question = "SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%%COLLATE%%'"

    with engine.connect() as connection:
        assert connection.exec_driver_sql(question).scalar() == 0


def test_a_second_migration_has_nothing_to_do(engine):
    migrate(engine)
    migrate(engine)

    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar() == 1


def test_a_database_of_a_newer_version_is_refused_and_left_alone(engine):
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(NewerSchema, match=r"9999.*a newer one wrote it"):
        migrate(engine)


def test_migrating_says_nothing(engine, caplog):
    with caplog.at_level(logging.INFO):
        migrate(engine)

    assert caplog.records == []


@pytest.mark.anyio
async def test_a_database_of_the_first_release_gets_the_sums_of_what_is_in_it(engine):
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    async with Store.open(url) as store:
        world = await World(store).begin()
        await store.write(lambda tx: tx.put(an_instance(cpu=100_000, memory=100_000)))
        common = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": world.network}
        started = await world("RunTask", count=7, group="écluse", **common)
        await world("StopTask", task=started["tasks"][0]["taskArn"])
        kept = await store.read(sums_as_kept)
    assert len(kept) > 3
    with engine.begin() as connection:
        first_release.go_back(connection.exec_driver_sql)

    async with Store.open(url) as store:
        assert await store.read(sums_as_kept) == kept
        assert await store.read(sums_as_they_should_be) == kept
        await World(store).begin()
