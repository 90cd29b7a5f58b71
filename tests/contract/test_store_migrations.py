"""The migrations make exactly the schema that the tables declare, once, and refuse what they do not know."""

from __future__ import annotations

import logging

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from tests import first_release
from tests.builders import an_instance
from tests.sums import sums_as_kept, sums_as_they_should_be
from tests.world import World

from wherry.store import Store
from wherry.store.errors import NewerSchema
from wherry.store.migrate import migrate
from wherry.store.tables import SCHEMA


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/empty.db"
    else:
        url = request.getfixturevalue("empty_postgres_url").replace("postgresql:", "postgresql+psycopg:")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def test_a_migrated_database_is_what_the_tables_declare(engine):
    migrate(engine)

    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SCHEMA.metadata) == []


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
