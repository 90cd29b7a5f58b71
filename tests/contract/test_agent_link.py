"""The agent's links over real HTTP and websockets, to a real control plane that verifies signatures."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import anyio.to_thread
import boto3
import pytest
from botocore.credentials import Credentials

from wherry.agent.agent import run_agent
from wherry.agent.journal import Journal
from wherry.agent.link.base import RefusedError, UnreachableError
from wherry.agent.link.remote import RemoteControlPlane
from wherry.agent.options import AgentOptions
from wherry.agent.runtime.fake.engine import Engine
from wherry.agent.runtime.fake.runtime import FakeRuntime
from wherry.app.control_plane import run_control_plane
from wherry.settings import Settings, Timing

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "a secret that only a test knows"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def a_remote(settings: Settings, *, secret: str = SECRET) -> RemoteControlPlane:
    return RemoteControlPlane(settings.base_url, region=settings.region, credentials=Credentials(KEY, secret))


@asynccontextmanager
async def control_plane(tmp_path: Path) -> AsyncIterator[Settings]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(
        port=port,
        data_dir=tmp_path,
        auth="strict",
        access_key_id=KEY,
        secret_access_key=SECRET,
        timing=Timing(heartbeat=0.2, sweep=1),
    )
    async with anyio.create_task_group() as group:
        await group.start(partial(run_control_plane, settings))
        yield settings
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_task_runs_and_stops_through_real_sockets(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as settings, a_remote(settings) as remote, Engine() as engine:
        journal = Journal.open(tmp_path / "journal.db")
        start = partial(
            run_agent,
            runtime=FakeRuntime(engine),
            control_plane=remote,
            journal=journal,
            options=AgentOptions(),
            clock=time.time,
            entropy=os.urandom,
        )
        with closing(journal), anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                await group.start(start)
                await _connected(settings)
                await _run_and_stop(remote, await _subnets(settings))
                group.cancel_scope.cancel()
        assert not engine.containers
        assert not engine.sandboxes


async def _run_and_stop(remote: RemoteControlPlane, subnets: list[str]) -> None:
    await remote.call(
        "RegisterTaskDefinition",
        {
            "family": "web",
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [
                {"name": "app", "image": "fake/web", "healthCheck": {"command": ["CMD", "true"]}, "essential": True}
            ],
        },
    )
    await remote.call("CreateCluster", {})
    network = {"awsvpcConfiguration": {"subnets": subnets}}
    ran = await remote.call(
        "RunTask", {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network}
    )
    (task,) = ran["tasks"]
    arn = task["taskArn"]
    # Two channels, no order between them: health may be known before RUNNING is.
    await _until(remote, arn, lambda seen: (seen["lastStatus"], seen["healthStatus"]) == ("RUNNING", "HEALTHY"))
    await remote.call("StopTask", {"task": arn, "reason": "enough"})
    stopped = await _until(remote, arn, lambda seen: seen["lastStatus"] == "STOPPED")
    assert stopped["containers"][0]["exitCode"] == 0
    assert stopped["stoppedReason"] == "enough"


async def _subnets(settings: Settings) -> list[str]:
    def ask() -> list[str]:
        ec2 = boto3.client(
            "ec2",
            endpoint_url=settings.base_url,
            region_name=settings.region,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )
        with closing(ec2):
            return [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]

    return await anyio.to_thread.run_sync(ask)


async def _connected(settings: Settings) -> None:
    """Wait until ACS is open: placement passes over hosts whose agent is not there."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{settings.base_url}/health") as response:
                if (await response.json())["agents"] == 1:
                    return
            await anyio.sleep(0.02)


async def _until(remote: RemoteControlPlane, arn: str, condition):
    while True:
        described = await remote.call("DescribeTasks", {"tasks": [arn]})
        (seen,) = described["tasks"]
        if condition(seen):
            return seen
        await anyio.sleep(0.05)


@pytest.mark.anyio
async def test_a_wrong_secret_opens_neither_the_operations_nor_the_channels(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as settings, a_remote(settings, secret="a wrong one") as stranger:
        with pytest.raises(RefusedError) as refused:
            await stranger.call("DiscoverPollEndpoint", {})
        assert not refused.value.final
        with pytest.raises(RefusedError) as refused:
            await stranger.connect(f"{settings.base_url}/acs/", {"containerInstanceArn": "x y/z+1"})
        assert refused.value.code == "AccessDeniedException"


@pytest.mark.anyio
async def test_an_unknown_instance_is_told_so_whatever_is_in_the_query(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as settings, a_remote(settings) as remote:
        with pytest.raises(RefusedError) as refused:
            await remote.connect(f"{settings.base_url}/acs/", {"containerInstanceArn": "a b/c+d&e=f~g"})
        assert refused.value.inactive


@pytest.mark.anyio
async def test_nobody_there_is_unreachable() -> None:
    nowhere = RemoteControlPlane("http://127.0.0.1:1", region="us-east-1", credentials=Credentials(KEY, SECRET))
    async with nowhere as remote:
        with pytest.raises(UnreachableError):
            await remote.call("DiscoverPollEndpoint", {})
        with pytest.raises(UnreachableError):
            await remote.connect("http://127.0.0.1:1/acs/", {})
