"""What all tests share: their order, and the two databases."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from xdist.scheduler import LoadScopeScheduling

from wherry.store import Store
from wherry.store.postgres import open_postgres

CHAOS = "tests/e2e/test_chaos"
"""Where tests bring their own engine, wait long, and bear with neighbours."""
HOST = (
    "tests/e2e/",
    "tests/contract/test_agent_link",
    "tests/contract/test_endings_docker",
    "tests/contract/test_faults_kernel",
    "tests/contract/test_fields_docker",
    "tests/contract/test_rtnetlink",
    "tests/contract/test_runtime",
    "tests/contract/test_volumes_docker",
)
"""Where tests share this host's engine, addresses and firewall."""
TOLD = "told"


class HostInOneProcess(LoadScopeScheduling):
    """Keeps what shares the host in one process; any other file goes wherever there is time."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(CHAOS):
            return "chaos"
        return "host" if nodeid.startswith(HOST) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> HostInOneProcess:
    return HostInOneProcess(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: chaos in one process, what needs the host in the other."""
    items.sort(key=lambda item: (not item.nodeid.startswith(CHAOS), not item.nodeid.startswith(HOST)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what tests have to tell of themselves: how much was done is part of the result."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for told in (text for name, text in report.user_properties if name == TOLD):
                terminalreporter.write_line(f"{report.nodeid}\n{told}")


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Have something printed at the end of the run."""
    return partial(record_property, TOLD)


def server_programs() -> Path:
    """Find the newest installed PostgreSQL server; a test that needs it fails without, it never skips."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.fail("PostgreSQL's server programs are missing. Install the package postgresql (Debian, Ubuntu).")
    return Path(on_path).resolve().parent


def unprivileged() -> str | None:
    """Name the user to run the server as: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run a private PostgreSQL on a socket in a directory of its own; yields the URL without a database."""
    programs, user = server_programs(), unprivileged()
    home = Path(tempfile.mkdtemp(prefix="wherry-pg-"))
    if user is not None:
        shutil.chown(home, user)

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(programs / program), *arguments], user=user, cwd=home, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    run("initdb", "--pgdata", f"{home}/data", "--username=wherry", "--auth=trust", "--encoding=UTF8", "--no-sync")
    # Processes are killed in tests, machines are not: no need to wait for the disk.
    options = f"-c fsync=off -c listen_addresses='' -c unix_socket_directories={home} -c max_connections=200"
    run("pg_ctl", "start", "--wait", "--pgdata", f"{home}/data", "--log", f"{home}/log", "--options", options)
    try:
        yield f"postgresql://wherry@/{{database}}?host={home}"
    finally:
        run("pg_ctl", "stop", "--mode=immediate", "--pgdata", f"{home}/data")
        shutil.rmtree(home)


_databases = count()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """Name a database that has the schema already: copying it is faster than migrating every time."""
    with psycopg.connect(postgres_server.format(database="postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE migrated")
    open_postgres(sa.make_url(postgres_server.format(database="migrated"))).close()
    return "migrated"


@contextmanager
def new_database(server: str, template: str) -> Iterator[str]:
    name = f"t{next(_databases)}"
    with psycopg.connect(server.format(database="postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield server.format(database=name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """Yield the URL of a PostgreSQL database with the schema and no rows, dropped afterwards."""
    with new_database(postgres_server, postgres_template) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """Yield the URL of a PostgreSQL database with nothing in it, dropped afterwards."""
    with new_database(postgres_server, "template1") as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/wherry.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """Open a store on either database, as in production: with the writer's thread."""
    async with Store.open(store_url) as opened:
        yield opened


@pytest.fixture
async def memory_store() -> AsyncIterator[Store]:
    """Open a store in memory that works on the calling task: for virtual time."""
    async with Store.open("sqlite://") as opened:
        yield opened
