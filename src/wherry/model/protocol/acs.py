"""The messages of ACS: what the control plane wants of an instance, and what the agent answers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from wherry.model.base import Value
from wherry.model.protocol.members import Key, Long
from wherry.model.protocol.task import PayloadTask, RoleCredentials


class PayloadMessage(Value, frozen=True):
    """Tasks to run and to stop."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    tasks: tuple[PayloadTask, ...]
    generated_at: int = 0
    seq_num: int = 1


class AckRequest(Value, frozen=True):
    """The agent has written down what the message asked."""

    message_id: str
    cluster: str = ""
    container_instance: str = ""


class NackRequest(Value, frozen=True):
    """The agent cannot carry out the message."""

    message_id: str
    reason: str
    cluster: str = ""
    container_instance: str = ""


class IAMRoleCredentialsMessage(Value, frozen=True):
    """Fresh credentials for a task that the agent has, before the old ones expire."""

    message_id: str
    task_arn: str
    role_type: str
    role_credentials: RoleCredentials


class IAMRoleCredentialsAckRequest(Value, frozen=True):
    """The agent has taken these credentials, whether they came with a task or by themselves."""

    message_id: str
    credentials_id: str
    expiration: str


class HeartbeatMessage(Value, frozen=True):
    """The control plane lives."""

    message_id: str
    healthy: bool


class HeartbeatAckRequest(Value, frozen=True):
    """So does the agent."""

    message_id: str


class ManifestTask(Value, frozen=True):
    """A task that belongs on the instance."""

    task_arn: str
    desired_status: str
    task_cluster_arn: str = ""


class TaskManifestMessage(Value, frozen=True):
    """All tasks of the instance; void unless `timeline` is higher than any seen before."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    tasks: tuple[ManifestTask, ...]
    timeline: Long
    generated_at: int = 0


class StopCandidate(Value, frozen=True):
    """A task that the agent has and the manifest lacks."""

    task_arn: Key
    task_cluster_arn: str = ""


class TaskStopVerificationMessage(Value, frozen=True):
    """The agent asks before it stops what the manifest lacks."""

    message_id: str
    stop_candidates: tuple[StopCandidate, ...]


class TaskStopVerificationAck(Value, frozen=True):
    """Of the candidates, these may be stopped."""

    message_id: str
    stop_tasks: tuple[StopCandidate, ...]
    generated_at: int = 0


class ExecuteCommandMessage(Value, frozen=True):
    """A command to execute in a container. Wherry's own: stock agents pass over it.

    The agent opens the data channel of the session with the token. `interactive` asks for a terminal.
    """

    message_id: str
    session_id: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,96}\Z")]
    token_value: str
    task_arn: str
    container_name: str
    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    interactive: bool = True

    def __repr__(self) -> str:
        """Without the token and the command, in which people put secrets."""
        return f"ExecuteCommandMessage({self.session_id}, {self.task_arn}, {self.container_name})"


class CloseMessage(Value, frozen=True):
    """The control plane is about to close the connection."""

    message: str = ""
