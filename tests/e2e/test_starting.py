"""What cannot start says so in one sentence, with a hint, and an exit code that is not 0."""

from __future__ import annotations

import contextlib
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.disk import Disk, a_disk
from tests.e2e.lab import BIN, REGION, Wherry, run

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]


def refusal(wherry: Wherry, role: str, *options: str) -> tuple[str, str]:
    """Start what must not start; returns the error and the hint."""
    lines = refused(wherry, role, *options)
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], lines
    return lines[0].removeprefix("error: "), lines[1].removeprefix("hint: ")


def refused(wherry: Wherry, role: str, *options: str) -> list[str]:
    """Start what must not start; returns all that it says."""
    (wherry.home / f"{role}.log").unlink(missing_ok=True)
    program = wherry.start(role, *options)
    assert program.process.wait(timeout=30) == 1, program.said()
    return program.said().splitlines()


@pytest.fixture
def disk(own: Wherry, tmp_path: Path) -> Iterator[Disk]:
    """Have the data on a disk of its own."""
    with a_disk(tmp_path / "disk", mib=16) as disk:
        own.data = disk.place / "data"
        yield disk
        own.close()


@pytest.fixture
def kept(own: Wherry) -> Callable[[], list[str]]:
    """Have a cluster in the database of a control plane that has ended; returns what lists the clusters."""

    def clusters() -> list[str]:
        server = own.server()
        arns: list[str] = own.ecs.list_clusters()["clusterArns"]
        assert server.terminate() == 0
        return [arn.rpartition("/")[2] for arn in arns]

    server = own.server()
    own.ecs.create_cluster(clusterName="precious")
    assert server.terminate() == 0
    return clusters


def test_a_busy_port(own: Wherry) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", own.port))
        busy.listen()
        error, hint = refusal(own, "up")
    assert error == f"Cannot listen on 127.0.0.1 port {own.port}: Address already in use."
    assert "--port" in hint


@pytest.mark.parametrize("options", [("--listen", "0.0.0.0"), ("--auth", "strict")])
def test_strangers_and_no_credentials_to_know_them_by(own: Wherry, options: tuple[str, str]) -> None:
    error, hint = refusal(own, "up", *options)
    assert "has no credentials to verify them with" in error
    assert "WHERRY_ACCESS_KEY_ID" in hint


def test_another_region_than_at_the_first_start(own: Wherry) -> None:
    assert own.server().terminate() == 0
    own.region = "us-west-2"
    (error,) = refused(own, "server")
    assert error == (
        f"error: This database belongs to region {REGION}, not us-west-2. "
        f"Start with --region {REGION}, or with another data directory."
    )


def test_a_setting_that_makes_no_sense(own: Wherry) -> None:
    own.env["WHERRY_HEARTBEAT"] = "often"
    error, _ = refusal(own, "server")
    assert error.startswith("WHERRY_HEARTBEAT: ")


def test_a_data_directory_that_cannot_be(own: Wherry) -> None:
    own.data.write_text("not a directory")
    error, hint = refusal(own, "server")
    assert error.startswith(f"Cannot make the data directory {own.data}: ")
    assert "--data-dir" in hint
    own.data.unlink()


@pytest.mark.parametrize("role", ["server", "up"])
def test_a_data_directory_on_a_read_only_disk(
    own: Wherry, disk: Disk, kept: Callable[[], list[str]], role: str
) -> None:
    disk.become("ro")
    error, hint = refusal(own, role)
    disk.become("rw")
    assert error == f"The data directory {own.data} cannot be written: Read-only file system."
    assert "--data-dir" in hint
    assert "precious" in kept()


@pytest.mark.parametrize("role", ["server", "up"])
def test_a_full_disk(own: Wherry, disk: Disk, kept: Callable[[], list[str]], role: str) -> None:
    disk.fill()
    (error, *_) = refused(own, role)
    disk.free()
    # What runs out first is the pid file's luck, or the database's.
    assert re.fullmatch(
        r"error: The (data directory .* No space left on device|disk of the database .* is full: .*)\.", error
    )
    assert "precious" in kept()


def test_a_damaged_database(own: Wherry, kept: Callable[[], list[str]]) -> None:
    database = own.data / "wherry.db"
    sound = database.read_bytes()
    damaged = sound[:100] + b"\xff" * 4000 + sound[4100:]
    database.write_bytes(damaged)
    (error,) = refused(own, "server")
    assert error.startswith(f"error: The database {database} is damaged (")
    assert error.endswith("Restore it from a backup.")
    assert database.read_bytes() == damaged
    database.write_bytes(sound)
    assert "precious" in kept()


def test_a_database_of_a_newer_version(own: Wherry, kept: Callable[[], list[str]]) -> None:
    with contextlib.closing(sqlite3.connect(own.data / "wherry.db", isolation_level=None)) as database:
        (version,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        (error,) = refused(own, "server")
        assert error.startswith("error: The database has schema 9999, which this version of Wherry does not know: ")
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))
    assert "precious" in kept()


def test_a_damaged_journal(own: Wherry) -> None:
    assert own.up().terminate() == 0
    journal = own.data / "agent" / "journal.db"
    journal.write_bytes(b"\xff" * 8192)
    (error,) = refused(own, "up")
    assert error.startswith(f"error: {journal} is damaged (")
    assert "move it away and start again" in error
    journal.unlink()
    own.up()


def test_no_engine(own: Wherry) -> None:
    own.env["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    error, hint = refusal(own, "up")
    assert error.startswith("No Docker Engine answers: ")
    assert "/nowhere/docker.sock" in error
    assert "wherry doctor" in hint
    del own.env["DOCKER_HOST"]


def test_down_without_an_engine_says_what_may_be_left(own: Wherry) -> None:
    own.up().terminate()
    own.env["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    done = own.command("down", "--data-dir", str(own.data), check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: The Docker Engine does not answer, so tasks may be left")
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    del own.env["DOCKER_HOST"]


def test_ps_without_a_control_plane(own: Wherry) -> None:
    done = run(BIN / "wherry", "ps", "--once", "--port", str(own.port), check=False, env=own.env)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: No control plane answers at {own.url}.")
    assert "hint: " in done.stderr
