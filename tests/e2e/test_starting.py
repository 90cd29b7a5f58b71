"""What cannot start says so in one sentence, with a hint, and an exit code that is not 0."""

from __future__ import annotations

import socket

import pytest
from tests.e2e.lab import BIN, REGION, Wherry, run

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]


def refusal(wherry: Wherry, role: str, *options: str) -> tuple[str, str]:
    """Start what must not start; returns the error and the hint."""
    program = wherry.start(role, *options)
    assert program.process.wait(timeout=30) == 1, program.said()
    lines = program.said().splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], program.said()
    return lines[0].removeprefix("error: "), lines[1].removeprefix("hint: ")


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
    (own.home / "server.log").unlink()
    program = own.start("server")
    assert program.process.wait(timeout=30) == 1
    assert program.said() == (
        f"error: This database belongs to region {REGION}, not us-west-2. "
        f"Start with --region {REGION}, or with another data directory.\n"
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
