"""Whom Wherry is compared with, each started here and taken down again: the Docker Engine's own ways, and MiniStack."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import boto3
import httpx
from botocore.config import Config
from tests.e2e import pictures
from tests.e2e.lab import Wherry, a_wherry, clean_environment, free_port

from wherry.agent.runtime.docker.engine import engine_url

T = TypeVar("T")

IMAGE = pictures.WEB
LABEL = "wherry.bench"
PATIENCE = 300.0
ECS_TIMES = dict.fromkeys(("WHERRY_HEALTHY_AFTER", "WHERRY_STOP_TIMEOUT", "WHERRY_START_BACKOFF_INITIAL"), "")
"""Takes the tests' shorter waiting times away: measured is what ECS's own times give."""
ROOM = {"WHERRY_CPU": "65536", "WHERRY_MEMORY": "262144"}
"""Forty tasks of a quarter of a CPU have to have a place, whatever machine this is."""


def until(what: str, condition: Callable[[], T], *, pause: float = 0.01) -> T:
    """Return the first true value of `condition`, at which it looks every `pause` seconds; raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {PATIENCE:g} s")
        time.sleep(pause)
    return found


@contextlib.contextmanager
def wherry(home: Path, **environment: str) -> Iterator[Wherry]:
    """Run `wherry up` with ECS's own waiting times; nothing of it is left at the end."""
    with a_wherry(home, **(ECS_TIMES | ROOM | environment)) as one:
        one.up()
        yield one


class Docker:
    """The engine: its CLI for what users do with it, its API for looking."""

    def __init__(self) -> None:
        transport = httpx.HTTPTransport(uds=engine_url().removeprefix("unix://"))
        self._http = httpx.Client(transport=transport, base_url="http://engine", timeout=60)

    def get(self, path: str, **filters: list[str]) -> Any:
        """Ask the engine's API."""
        return self._http.get(path, params={"all": "1", "filters": json.dumps(filters)} if filters else {}).json()

    @contextlib.contextmanager
    def next_start(self) -> Iterator[Callable[[], object]]:
        """Give a function that waits, without a look at anything, until a container has started since now."""
        wanted = {"filters": json.dumps({"type": ["container"], "event": ["start"]})}
        with self._http.stream("GET", "/events", params=wanted) as events:
            lines = events.iter_lines()
            yield lambda: next(lines)

    def call(self, *arguments: str) -> str:
        """Run `docker`."""
        return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout

    def run(self, number: int, at_once: int) -> None:
        """`docker run -d` that many containers."""
        commands = [["docker", "run", "-d", "--label", LABEL, IMAGE]] * number
        running: list[subprocess.Popen[bytes]] = []
        for command in commands:
            if len(running) == at_once:
                _ended(running)
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        while running:
            _ended(running)

    def ours(self) -> list[str]:
        """List the containers that `run` made."""
        return [one["Id"] for one in self.get("/containers/json", label=[LABEL])]

    def clear(self) -> None:
        """Remove what `run` made."""
        if found := self.ours():
            self.call("rm", "-f", *found)


def _ended(running: list[subprocess.Popen[bytes]]) -> None:
    while True:
        for process in running:
            if process.poll() is not None:
                if process.returncode:
                    raise RuntimeError(f"docker run ended with {process.returncode}")
                running.remove(process)
                return
        time.sleep(0.001)


@contextlib.contextmanager
def swarm(docker: Docker) -> Iterator[None]:
    """Have the engine in a swarm, and take it out again; one that it was in already is left as it was."""
    was = docker.get("/info")["Swarm"]["LocalNodeState"] == "active"
    networks = {network["Id"] for network in docker.get("/networks")}
    if not was:
        docker.call("swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        yield
    finally:
        if not was:
            docker.call("swarm", "leave", "--force")
            for left in {network["Id"] for network in docker.get("/networks")} - networks:
                docker.call("network", "rm", left)


class MiniStack:
    """A MiniStack of its own virtual environment, on a port of its own."""

    def __init__(self, program: Path, log: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = {"GATEWAY_PORT": str(self.port), "LOG_LEVEL": "ERROR", "AWS_ACCESS_KEY_ID": "test"}
        own |= environment
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [program], env=clean_environment(**own), stdout=output, stderr=output, start_new_session=True
            )

    def answers(self) -> bool:
        """Say whether it serves already."""
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/_ministack/health", timeout=5).status_code == 200
        return False

    def client(self) -> Any:
        """Make a boto3 client of its ECS."""
        return boto3.client(
            "ecs",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 2}, read_timeout=300),
        )

    def close(self) -> None:
        """End it, and remove the containers that it leaves."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def ministack(program: Path, home: Path, **environment: str) -> Iterator[MiniStack]:
    """Run MiniStack; its containers are removed at the end."""
    docker = Docker()
    before = {one["Id"] for one in docker.get("/containers/json", ancestor=[IMAGE])}
    one = MiniStack(program, home / "ministack.log", **environment)
    try:
        until("MiniStack's first answer", one.answers)
        yield one
    finally:
        one.close()
        after = {found["Id"] for found in docker.get("/containers/json", ancestor=[IMAGE], label=["ministack"])}
        for left in after - before:
            docker.call("rm", "-f", left)
