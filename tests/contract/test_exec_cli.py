"""`wherry exec` as a program of its own, with pipes and with a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.contract.conftest import register, wait

PATIENCE = 30.0


@pytest.fixture(scope="module")
def service(ecs: Any, network: dict[str, Any]) -> Iterator[str]:
    """Run a service in whose tasks commands may be executed; names it."""
    ecs.create_cluster()
    definition = register(ecs, "shell")
    ecs.create_service(
        serviceName="shell",
        taskDefinition=definition,
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network,
        enableExecuteCommand=True,
    )
    wait(ecs, "services_stable", cluster="default", services=["shell"])
    yield "shell"
    ecs.delete_service(service="shell", force=True)


@pytest.fixture(scope="module")
def program(endpoint: str) -> list[str]:
    """Begin the command line."""
    port = str(urlsplit(endpoint).port)
    return [sys.executable, "-c", "from wherry.cli.main import main; main()", "exec", "--port", port]


def test_pipes_carry_output_errors_and_the_exit_code(service: str, program: list[str]) -> None:
    command = [*program, service, "--", "sh", "-c", "echo out; echo wrong >&2; exit 3"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"wrong\n", 3)


def test_input_is_piped_through_to_its_end(service: str, program: list[str]) -> None:
    sent = os.urandom(2_000_000)
    done = subprocess.run([*program, service, "--", "cat"], input=sent, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == sent


def test_a_file_may_be_the_input(service: str, program: list[str], tmp_path: Any) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"from a file")
    with file.open() as opened:
        command = [*program, service, "-c", "app", "--", "cat"]
        done = subprocess.run(command, stdin=opened, capture_output=True, check=False, timeout=PATIENCE)
    assert (done.stdout, done.returncode) == (b"from a file", 0)


def test_what_is_not_there_is_said_in_one_line(service: str, program: list[str]) -> None:
    for arguments, said in (
        (["nothing", "--", "true"], "has no service and no task nothing"),
        ([service, "-c", "other", "--", "true"], "has no container that is named other"),
    ):
        done = subprocess.run(
            [*program, *arguments], capture_output=True, check=False, timeout=PATIENCE, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 1
        assert said in done.stderr.decode()


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command: list[str], *, columns: int, rows: int) -> None:
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, close_fds=True
        )
        os.close(slave)
        self.seen = b""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def until(self, wanted: bytes, *, typing: bytes = b"") -> None:
        """Wait for output, `typing` something again and again."""
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if typing:
                self.type(typing)
            if select.select([self.master], [], [], 0.2)[0]:
                self.seen += os.read(self.master, 65536)
        self.seen = self.seen.partition(wanted)[2]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_a_terminal_has_its_keys_its_size_and_its_exit_code(service: str, program: list[str]) -> None:
    terminal = Terminal([*program, service, "--", "sh"], columns=101, rows=42)
    try:
        terminal.type(b"stty size\r")
        terminal.until(b"42 101\r\n")
        terminal.resize(133, 51)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.until(b"51 133\r\n", typing=b"stty size\r")
        terminal.type(b"exit 9\r")
        assert terminal.process.wait(timeout=PATIENCE) == 9
    finally:
        terminal.close()


def test_ctrl_c_goes_to_the_command_and_not_to_us(service: str, program: list[str]) -> None:
    terminal = Terminal([*program, service, "--", "sh", "-c", "echo begun; sleep inf"], columns=80, rows=24)
    try:
        terminal.until(b"begun")
        terminal.type(b"\x03")
        assert terminal.process.wait(timeout=PATIENCE) == 130
        modes = termios.tcgetattr(terminal.master)
        assert modes[3] & termios.ECHO
    finally:
        terminal.close()
