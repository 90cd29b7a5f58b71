"""The credentials of a task's roles, as its agent is given them: made on the way out, and kept nowhere."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator

import msgspec

from wherry.api.context import Context
from wherry.api.ecs import roles
from wherry.api.ecs.roles import Custom
from wherry.api.iam import roles as iam
from wherry.api.sts import sessions
from wherry.model.iam.identity import Role
from wherry.model.protocol.task import PayloadTask, RoleCredentials
from wherry.model.task import Task
from wherry.model.taskdef import TaskDefinition
from wherry.store import Tx

APPLICATION, EXECUTION = "TaskApplication", "TaskExecution"


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """The roles that a task acts by, and the secret under which it asks for their credentials.

    `missing` is a role that it should have and cannot be given.
    """

    credentials_id: str
    task: Role | None = None
    execution: Role | None = None
    missing: str | None = None


def assumed(tx: Tx, task: Task, definition: TaskDefinition, custom: Custom) -> Assumed:
    """Find the roles of a task, as far as they are there and trust ECS."""
    found: dict[bool, Role] = {}
    missing: str | None = None
    for ref, execution in roles.named(definition, task.overrides):
        role = roles.find(tx, ref, custom)
        if role is None or not iam.may_be_assumed_by(role):
            missing = missing or ref
        else:
            found[execution] = role
    return Assumed(
        credentials_id=task.credentials_id, task=found.get(False), execution=found.get(True), missing=missing
    )


def equipped(ctx: Context, task: PayloadTask, own: Assumed) -> PayloadTask:
    """Give a task its credentials on the way out."""
    by_type = {fresh.role_type: fresh for fresh in minted(ctx, task.arn, own)}
    return msgspec.structs.replace(
        task, role_credentials=by_type.get(APPLICATION), execution_role_credentials=by_type.get(EXECUTION)
    )


def minted(ctx: Context, task_arn: str, own: Assumed) -> Iterator[RoleCredentials]:
    """Make fresh credentials of each role of a task."""
    for role, role_type in ((own.task, APPLICATION), (own.execution, EXECUTION)):
        if role is not None:
            yield _mint(ctx, task_arn, own.credentials_id, role, role_type)


def _mint(ctx: Context, task_arn: str, credentials_id: str, role: Role, role_type: str) -> RoleCredentials:
    """Make credentials of a role for a task: the session is named after the task."""
    expires_at = float(round(ctx.clock() + ctx.settings.timing.role_session))
    session = sessions.mint(
        ctx.keyring,
        role_arn=role.arn,
        role_id=role.role_id,
        session_name=task_arn.rsplit("/", 1)[-1],
        expires_at=expires_at,
        entropy=ctx.entropy,
    )
    return RoleCredentials(
        credentials_id=_own_id(credentials_id, role_type),
        access_key_id=session.access_key_id,
        secret_access_key=session.secret_access_key,
        session_token=session.session_token,
        expiration=dt.datetime.fromtimestamp(expires_at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        role_arn=role.arn,
        role_type=role_type,
    )


def _own_id(credentials_id: str, role_type: str) -> str:
    """Name the task role's credentials by the task's secret, the execution role's by one that follows from it."""
    return credentials_id if role_type == APPLICATION else str(uuid.uuid5(uuid.UUID(credentials_id), role_type))
