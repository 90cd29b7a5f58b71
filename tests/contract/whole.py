"""A whole Wherry in a thread, for clients that block: control plane, real agent, fake containers, real sockets."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path

import anyio
import httpx
from anyio.from_thread import start_blocking_portal
from botocore.credentials import Credentials

from wherry.agent.agent import run_agent
from wherry.agent.journal import Journal
from wherry.agent.link.remote import RemoteControlPlane
from wherry.agent.options import AgentOptions
from wherry.agent.runtime.fake.engine import Engine
from wherry.agent.runtime.fake.runtime import FakeRuntime
from wherry.agent.runtime.fake.script import Script
from wherry.app.control_plane import run_control_plane
from wherry.settings import Settings, Timing

REGION = "eu-west-1"
ACCOUNT = "123456789012"

SCRIPTS = {
    "fake/web:1": Script(),
    "fake/web:2": Script(),
    "fake/job": Script(run_for=0.05, exit_code=3),
    "fake/absent": Script(pull_error="manifest unknown"),
    "fake/sick": Script(unhealthy_after=0.05),
}
"""What the images of these tests do."""

QUICK = Timing(healthy_after=0, start_backoff_initial=0.05, start_backoff_maximum=0.2, sweep=1, stop_timeout=1)


@contextmanager
def whole_wherry(directory: Path) -> Iterator[str]:
    """Run it in a thread with its own event loop; yields the endpoint."""
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(_running(directory)) as url:
        yield url


@asynccontextmanager
async def _running(directory: Path) -> AsyncIterator[str]:
    settings = Settings(port=0, data_dir=directory, region=REGION, account_id=ACCOUNT, timing=QUICK)
    async with Engine(scripts=SCRIPTS, cpu=16000, memory_mib=65536) as engine, anyio.create_task_group() as group:
        port = await group.start(partial(run_control_plane, settings))
        url = f"http://127.0.0.1:{port}"
        with closing(Journal.open(directory / "journal.db")) as journal:
            remote = RemoteControlPlane(url, region=REGION, credentials=Credentials("any", "any"))
            async with remote, anyio.create_task_group() as agent:
                start = partial(
                    run_agent,
                    runtime=FakeRuntime(engine),
                    control_plane=remote,
                    journal=journal,
                    options=AgentOptions(stop_timeout=QUICK.stop_timeout, sweep=QUICK.sweep),
                    clock=time.time,
                    entropy=os.urandom,
                )
                await agent.start(start)
                await _connected(url)
                yield url
                agent.cancel_scope.cancel()
        group.cancel_scope.cancel()


async def _connected(url: str) -> None:
    """Wait until the control plane says that it has an agent."""
    async with httpx.AsyncClient() as client:
        with anyio.fail_after(30):
            while True:
                if (await client.get(f"{url}/health")).json()["agents"]:
                    return
                await anyio.sleep(0.02)
