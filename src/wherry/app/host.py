"""An agent and its runtime, put together; and what is left of them, taken away."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskStatus
from botocore.credentials import Credentials

from wherry.agent import agent
from wherry.agent.agent import Equipment
from wherry.agent.credentials import DIRECTORY as CREDENTIALS
from wherry.agent.credentials import RoleCredentialsStore
from wherry.agent.endpoints import peers
from wherry.agent.endpoints.server import DIRECTORY as ENDPOINTS
from wherry.agent.endpoints.server import Endpoints
from wherry.agent.endpoints.tokens import Tokens
from wherry.agent.firelens import routers
from wherry.agent.firelens.routers import Routers
from wherry.agent.journal import Journal
from wherry.agent.link.base import AccessKey
from wherry.agent.link.objects import S3
from wherry.agent.link.remote import RemoteControlPlane
from wherry.agent.logs.spool import Spool, SpoolError
from wherry.agent.options import AgentOptions
from wherry.agent.runtime.base import PullBehavior, RuntimeUnavailableError
from wherry.agent.runtime.docker.runtime import DockerRuntime
from wherry.agent.runtime.docker.sandboxes import SandboxChoice
from wherry.app.start import StartError, claimed, prepare_directory
from wherry.model import filesystems
from wherry.settings import TASKS_ADDRESS, Settings

PLACEHOLDER = "wherry"
"""What agents sign with where a loopback listener believes them anyway."""

_INSTANCE_FILE = "instance-id"


async def run_agent(settings: Settings, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
    """Run the agent of this host until cancelled; its tasks go on running. `task_status` is told when it has begun.

    Raises `StartError` and `JournalError` before it has begun.
    """
    if os.geteuid() != 0:
        raise StartError("The agent needs root: it makes network namespaces, routes and cgroups.", "Run it by sudo.")
    prepare_directory(settings.data_dir)
    state = settings.data_dir / "agent"
    with (
        claimed(settings.data_dir, "agent"),
        closing(Journal.open(state / "journal.db")) as journal,
        closing(_spool(state)) as spool,
    ):
        credentials = Credentials(
            settings.access_key_id or PLACEHOLDER, settings.secret_access_key or PLACEHOLDER, settings.session_token
        )
        instance = instance_id(state)
        endpoints = Endpoints(instance=instance, tokens=_tokens(state))
        url = settings.server_url or settings.base_url
        remote = RemoteControlPlane(url, region=settings.region, credentials=credentials)
        async with _runtime(settings) as runtime, remote as control_plane, _objects(settings) as objects:
            await _check_engine(runtime)
            task_status.started(settings.port)
            await agent.run_agent(
                runtime=runtime,
                control_plane=control_plane,
                journal=journal,
                options=AgentOptions(
                    cpu=settings.cpu,
                    memory=settings.memory,
                    reserved_memory=settings.reserved_memory,
                    availability_zones=tuple(filter(None, settings.availability_zones.replace(" ", "").split(","))),
                    pull_behavior=PullBehavior(settings.image_pull_behavior),
                    stop_timeout=settings.timing.stop_timeout,
                    telemetry=settings.timing.telemetry,
                    sweep=settings.timing.sweep,
                    cleanup_wait=settings.timing.cleanup_wait,
                    host_rules=settings.host_rules,
                    log_room=settings.log_spool * 1024 * 1024,
                ),
                clock=time.time,
                entropy=os.urandom,
                equipment=Equipment(
                    credentials=RoleCredentialsStore(credentials_of(instance)),
                    endpoints=endpoints,
                    spool=spool,
                    objects=objects,
                    routers=Routers(routers.DIRECTORY / instance),
                ),
            )


@asynccontextmanager
async def _objects(settings: Settings) -> AsyncIterator[S3 | None]:
    """Open the store that environment files are read from, if there is one."""
    if settings.s3_endpoint_url is None:
        yield None
        return
    key = None
    if settings.s3_access_key_id and settings.s3_secret_access_key:
        key = AccessKey(access_key_id=settings.s3_access_key_id, secret_access_key=settings.s3_secret_access_key)
    async with S3(settings.s3_endpoint_url, region=settings.region, own_key=key) as store:
        yield store


async def _check_engine(runtime: DockerRuntime) -> None:
    """Ask once, so that a wrong DOCKER_HOST is found out now; an engine that goes away later is waited for."""
    try:
        await runtime.capacity()
    except RuntimeUnavailableError as error:
        raise StartError(
            f"No Docker Engine answers: {error}", "Start it, or set DOCKER_HOST; 'wherry doctor' tells more."
        ) from error


def _tokens(state: Path) -> Tokens:
    try:
        return Tokens.open(state / "endpoints.key")
    except OSError as error:
        raise StartError(f"The key {error.filename} cannot be read or made: {error.strerror}.") from error


def _spool(state: Path) -> Spool:
    try:
        return Spool.open(state / "logs.db")
    except SpoolError as error:
        raise StartError(f"{error}.") from error


def credentials_of(instance: str) -> Path:
    """Name the directory where an agent keeps the credentials of its tasks' roles."""
    return CREDENTIALS / instance


async def remove_tasks(settings: Settings) -> int:
    """Remove every container and sandbox of this data directory's agent; returns the number of containers."""
    if not (settings.data_dir / "agent" / _INSTANCE_FILE).exists():
        return 0
    instance = instance_id(settings.data_dir / "agent")
    shutil.rmtree(credentials_of(instance), ignore_errors=True)
    shutil.rmtree(routers.DIRECTORY / instance, ignore_errors=True)
    peers.remove(ENDPOINTS, instance)
    async with _runtime(settings) as runtime:
        return await runtime.remove_everything(is_alone=partial(peers.is_alone, ENDPOINTS, instance))


def _runtime(settings: Settings) -> DockerRuntime:
    state = settings.data_dir / "agent"
    choice: SandboxChoice = msgspec.convert(settings.sandbox, SandboxChoice)
    try:
        known = filesystems.parse(settings.efs)
    except ValueError as error:
        raise StartError(f"WHERRY_EFS: {error}.", "Write it as fs-12345678=/srv/efs, several by commas.") from error
    return DockerRuntime(
        instance=instance_id(state),
        state_dir=state,
        sandbox=choice,
        file_systems=known,
        host_paths=settings.host_rules.paths,
        ports_for_tasks=ports_for_tasks(settings.endpoint_for_tasks),
    )


def ports_for_tasks(url: str | None) -> tuple[int, ...]:
    """Tell at which ports of the endpoints' address tasks call the control plane, if they call it there at all."""
    called = urlsplit(url or "")
    if called.hostname != TASKS_ADDRESS:
        return ()
    return (called.port or (443 if called.scheme == "https" else 80),)


def instance_id(state: Path) -> str:
    """Read the id by which an agent knows its containers, or choose it once and for all."""
    path = state / _INSTANCE_FILE
    if not path.exists():
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with fresh.open("w") as file:
            file.write(secrets.token_hex(6))
            file.flush()
            os.fsync(file.fileno())  # An empty file after a power cut would make strangers of all that runs here.
        fresh.replace(path)
    return path.read_text().strip()
