"""ExecuteCommand: a session in which a command is executed in a container of a running task."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import urlsplit

from wherry.api.context import Context
from wherry.api.ecs import tasks
from wherry.api.ecs.clusters import resolve_cluster
from wherry.api.exec import transcript
from wherry.api.exec.sessions import MOST, Target, TooManySessionsError, UnreachableError
from wherry.model import datachannel
from wherry.model.arn import Scope
from wherry.model.base import Value
from wherry.model.call import Call
from wherry.model.errors import ClientException, InvalidParameterException, TargetNotConnectedException
from wherry.model.instance import EXECUTE_COMMAND, ContainerInstance
from wherry.model.task import Container, ContainerStatus, DesiredStatus, Task
from wherry.settings import Settings
from wherry.store import Tx

NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command "
    "agent isn\u2019t running. Wait and try again or run a new task with execute command enabled and try again."
)
TOO_MANY = f"Unable to start new execute sessions because the maximum session limit of {MOST} has been reached."

_LONGEST_COMMAND = 64 * 1024


class Found(Value, frozen=True):
    """The container in which a command can be executed."""

    task: Task
    container: Container
    target: Target


async def execute_command(ctx: Context, call: Call) -> dict[str, Any]:
    """ExecuteCommand: open a session; its command begins when the client connects to `streamUrl` with the token."""
    params = call.params
    command = _command(params["command"])
    found = await ctx.store.read(
        _find, scope=ctx.scope, cluster=params.get("cluster"), ref=params["task"], name=params.get("container")
    )
    interactive: bool = params["interactive"]
    try:
        session = ctx.exec_sessions.open(
            found.target, command, interactive=interactive, now=ctx.clock(), entropy=ctx.entropy
        )
    except UnreachableError:
        raise TargetNotConnectedException from None
    except TooManySessionsError:
        raise ClientException(TOO_MANY) from None
    return {
        "clusterArn": found.task.cluster_arn,
        "containerArn": found.container.container_arn,
        "containerName": found.container.name,
        "interactive": interactive,
        "taskArn": found.task.task_arn,
        "session": {
            "sessionId": session.id,
            "streamUrl": stream_url(session.id, settings=ctx.settings, endpoint=call.endpoint),
            "tokenValue": session.client_token,
        },
    }


def stream_url(session_id: str, *, settings: Settings, endpoint: str) -> str:
    """Write the address of a session's data channel: where the caller has reached us, else where we are told we are.

    TLS is taken to be ended in front of us where `advertise_url` says so for the same host.
    """
    base = endpoint or settings.base_url
    advertised = settings.advertise_url or ""
    if urlsplit(base).netloc == urlsplit(advertised).netloc:
        base = settings.base_url
    return f"ws{base.removeprefix('http')}{datachannel.PATH}{session_id}?{datachannel.QUERY}"


def _command(text: str) -> tuple[str, ...]:
    """Split the command as a shell would split words, which is all that the agents of ECS do of a shell."""
    if len(text) > _LONGEST_COMMAND:
        raise InvalidParameterException(f"command can have up to {_LONGEST_COMMAND} characters.")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise InvalidParameterException(f"command cannot be split into words: {error}.") from None
    if not words:
        raise InvalidParameterException("command can not be blank.")
    return words


def _find(tx: Tx, *, scope: Scope, cluster: str | None, ref: str, name: str | None) -> Found:
    home = resolve_cluster(tx, scope, cluster)
    if not ref:
        raise InvalidParameterException("Task can not be blank.")
    task = tasks.find(tx, scope, home, ref)
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    container = _container(task, name)
    if not task.enable_execute_command or task.desired_status is DesiredStatus.STOPPED:
        raise InvalidParameterException(NOT_ENABLED)
    if container.last_status is not ContainerStatus.RUNNING:
        raise InvalidParameterException(NOT_ENABLED)
    instance = tx.get(ContainerInstance, task.container_instance_arn or "")
    if instance is None or not any(attribute.name == EXECUTE_COMMAND for attribute in instance.attributes):
        raise TargetNotConnectedException
    target = Target(
        task_arn=task.task_arn,
        container_name=container.name,
        instance_arn=instance.container_instance_arn,
        log_group=transcript.log_group(tx, home, task, container.name),
    )
    return Found(task=task, container=container, target=target)


def _container(task: Task, name: str | None) -> Container:
    if not name:
        if len(task.containers) > 1:
            raise InvalidParameterException(
                "The task has more than one container. Name the one to execute the command in with container."
            )
        return task.containers[0]
    for container in task.containers:
        if container.name == name:
            return container
    raise InvalidParameterException(f"The task has no container that is named {name}.")
