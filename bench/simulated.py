"""A `wherry server`, and an agent whose containers are simulated: all of Wherry, and nothing of an engine.

This module is also the agent's process. Every image runs until it is stopped, but one.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
from botocore.credentials import Credentials
from tests.e2e.lab import Wherry, a_wherry

from bench.peers import ECS_TIMES, until
from wherry.agent.agent import run_agent
from wherry.agent.journal import Journal
from wherry.agent.link.remote import RemoteControlPlane
from wherry.agent.options import AgentOptions
from wherry.agent.runtime.fake.engine import Engine
from wherry.agent.runtime.fake.runtime import FakeRuntime
from wherry.agent.runtime.fake.script import Script

CPU, MEMORY_MIB = 100_000_000, 100_000_000
"""Room for as many tasks as anybody may ask for."""

NEVER_PULLED = "fake/never-pulled"
"""An image whose pull does not end."""
SCRIPTS = {NEVER_PULLED: Script(pull_seconds=1_000_000), "fake/idle": Script()}


@contextlib.contextmanager
def simulated(home: Path, **environment: str) -> Iterator[tuple[Wherry, subprocess.Popen[bytes]]]:
    """Run both; yields the server, and the process of the agent."""
    with a_wherry(home, **(ECS_TIMES | environment)) as wherry:
        wherry.server()
        command = [sys.executable, "-m", "bench.simulated", wherry.url, wherry.region, home / "simulated.db"]
        with (home / "simulated.log").open("ab") as log:
            agent = subprocess.Popen(command, env=wherry.env, stdout=log, stderr=log)
        try:
            until("the simulated agent", wherry.joined)
            yield wherry, agent
        finally:
            agent.kill()
            agent.wait()


async def main(url: str, region: str, database: str) -> None:
    """Be the agent until killed."""
    remote = RemoteControlPlane(url, region=region, credentials=Credentials("any", "any"))
    async with Engine(scripts=SCRIPTS, cpu=CPU, memory_mib=MEMORY_MIB) as engine, remote as control_plane:
        with contextlib.closing(Journal.open(Path(database))) as journal:
            await run_agent(
                runtime=FakeRuntime(engine),
                control_plane=control_plane,
                journal=journal,
                options=AgentOptions(),
                clock=time.time,
                entropy=os.urandom,
            )


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:], backend_options={"use_uvloop": True})
