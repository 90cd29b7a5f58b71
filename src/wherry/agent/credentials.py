"""The credentials of tasks' roles: in memory, and in files of /run that a restart of the agent finds again.

`/run` is memory on every ordinary host, and is empty after a boot, as are the tasks. Nothing of this is ever in the
journal or a log.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path

import msgspec
import structlog

from wherry.agent.link.base import AccessKey, UnreachableError
from wherry.agent.spec import Struct
from wherry.model.protocol.task import PayloadTask, RoleCredentials

log = structlog.get_logger()

DIRECTORY = Path("/run/wherry/credentials")


class RoleType(StrEnum):
    """What a role is for."""

    APPLICATION = "TaskApplication"
    """The task role: what runs in the containers acts as it."""
    EXECUTION = "TaskExecution"
    """The execution role: what is done for the task, such as writing its logs, is done as it."""


class Held(Struct, frozen=True):
    """Credentials that the agent holds for a task."""

    task_arn: str
    role_type: RoleType
    credentials: RoleCredentials


class _File(Struct, frozen=True):
    """What is kept of one task."""

    task_arn: str
    held: tuple[Held, ...]


class RoleCredentialsStore:
    """What the agent holds. `directory` is this agent's own; None: memory alone."""

    def __init__(self, directory: Path | None = None) -> None:
        """Begin with nothing; `restore` finds what was there before."""
        self._directory = directory
        self._tasks: dict[str, dict[RoleType, Held]] = {}
        self._ids: dict[str, tuple[str, RoleType]] = {}
        self._awaited: set[str] = set()

    def __repr__(self) -> str:
        """Show for how many tasks something is held."""
        return f"RoleCredentialsStore({len(self._tasks)} tasks)"

    def restore(self, task_arns: Collection[str]) -> None:
        """Read what a former life of the agent left of these tasks; remove what it left of others."""
        if self._directory is None or not self._directory.exists():
            return
        for path in self._directory.iterdir():
            kept = _read(path)
            if kept is None or kept.task_arn not in task_arns:
                path.unlink(missing_ok=True)
                continue
            for held in kept.held:
                self._hold(held)

    def take(self, task_arn: str, role_type: RoleType, credentials: RoleCredentials) -> None:
        """Hold credentials in place of those that the task has for a role of this type."""
        self._hold(Held(task_arn=task_arn, role_type=role_type, credentials=credentials))
        self._keep(task_arn)

    def take_all(self, task: PayloadTask) -> list[RoleCredentials]:
        """Hold what came with a task; return it."""
        came = [
            (role_type, credentials)
            for role_type, credentials in (
                (RoleType.APPLICATION, task.role_credentials),
                (RoleType.EXECUTION, task.execution_role_credentials),
            )
            if credentials is not None
        ]
        for role_type, credentials in came:
            self._hold(Held(task_arn=task.arn, role_type=role_type, credentials=credentials))
        if came:
            self._keep(task.arn)
        return [credentials for _, credentials in came]

    def find(self, credentials_id: str) -> Held | None:
        """Find the latest credentials that an id stands for."""
        task_arn, role_type = self._ids.get(credentials_id, ("", RoleType.APPLICATION))
        return self.of(task_arn, role_type)

    def of(self, task_arn: str, role_type: RoleType) -> Held | None:
        """Find what a task has for a role of this type."""
        return self._tasks.get(task_arn, {}).get(role_type)

    def await_execution_role(self, task_arn: str) -> None:
        """Know that a task has an execution role: while nothing is held of it, nobody acts in another name."""
        self._awaited.add(task_arn)

    def await_nothing(self, task_arn: str) -> None:
        """Know that nothing more comes for a task."""
        self._awaited.discard(task_arn)

    def signer(self, task_arn: str, role_type: RoleType) -> AccessKey | None:
        """Find the key to sign with in the name of a task's role; None if it has none.

        Raises `UnreachableError` for an execution role whose credentials are still to come.
        """
        held = self.of(task_arn, role_type)
        if held is None:
            if role_type is RoleType.EXECUTION and task_arn in self._awaited:
                raise UnreachableError("the credentials of the task's execution role have not come yet")
            return None
        own = held.credentials
        return AccessKey(
            access_key_id=own.access_key_id, secret_access_key=own.secret_access_key, session_token=own.session_token
        )

    def forget(self, task_arn: str) -> None:
        """Hold nothing of a task any more."""
        self._tasks.pop(task_arn, None)
        self.await_nothing(task_arn)
        self._ids = {one: slot for one, slot in self._ids.items() if slot[0] != task_arn}
        if self._directory is not None:
            with contextlib.suppress(OSError):
                _path(self._directory, task_arn).unlink(missing_ok=True)

    def _hold(self, held: Held) -> None:
        self._tasks.setdefault(held.task_arn, {})[held.role_type] = held
        # An id that a container was told goes on standing for its role, should a refresh come with another one.
        self._ids[held.credentials.credentials_id] = held.task_arn, held.role_type

    def _keep(self, task_arn: str) -> None:
        """Write a task's file in one step; nothing waits for a disk, for a power cut takes the task along."""
        if self._directory is None:
            return
        path = _path(self._directory, task_arn)
        fresh = path.with_suffix(".new")
        kept = _File(task_arn=task_arn, held=tuple(self._tasks[task_arn].values()))
        try:
            self._directory.parent.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._directory.parent.mkdir(mode=0o700, exist_ok=True)
            self._directory.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(kept))
            fresh.replace(path)
        except OSError as error:
            # In memory they are good; only a restart while the control plane is away would miss them.
            log.warning("credentials_not_kept", task=task_arn, error=error.strerror)


def _path(directory: Path, task_arn: str) -> Path:
    return directory / f"{task_arn.rsplit('/', 1)[-1]}.json"


def _read(path: Path) -> _File | None:
    """Read a file; None for one that was cut short."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError):
        return None
