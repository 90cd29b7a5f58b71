"""What the agent must not forget of a task: what was asked, what the engine cannot tell twice, what has been told.

These structs are the journal's rows. They hold facts only; what follows from the facts is `wherry.agent.progress`.
"""

from __future__ import annotations

from wherry.agent.spec import Struct, TaskSpec
from wherry.model.task import DesiredStatus


class Fault(Struct, frozen=True):
    """Why something could not be brought up: an ECS error name such as CannotPullContainerError, and a message."""

    name: str
    message: str

    @property
    def reason(self) -> str:
        """The text as ECS shows it."""
        return f"{self.name}: {self.message}"


class End(Struct, frozen=True):
    """How a container ended. `code` is None if nobody can tell any more; `at` in epoch seconds."""

    code: int | None
    at: float | None = None
    reason: str | None = None


class ContainerMemory(Struct, frozen=True):
    """Facts of one container; times in epoch seconds. A fact is written once and stays.

    But a container with a restartPolicy is started more than once: `restarts` counts, `last_started_at` is the latest,
    and `restart_fault` says why it could not be started once more.
    """

    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    pulled: bool = False
    image_digest: str | None = None
    runtime_id: str | None = None
    started_at: float | None = None
    last_started_at: float | None = None
    restarts: int = 0
    restart_fault: Fault | None = None
    end: End | None = None
    fault: Fault | None = None


class ContainerReport(Struct, frozen=True):
    """A container inside a `TaskReport`."""

    name: str
    status: str
    runtime_id: str | None = None
    image_digest: str | None = None
    exit_code: int | None = None
    reason: str | None = None


class AttachmentReport(Struct, frozen=True):
    """A SubmitAttachmentStateChanges of one attachment; `status` ATTACHED or DETACHED."""

    attachment_arn: str
    status: str


class TaskReport(Struct, frozen=True):
    """A SubmitTaskStateChange; `status` RUNNING or STOPPED, times in epoch seconds.

    `attachment` is one whose change has not been told by itself.
    """

    status: str
    containers: tuple[ContainerReport, ...]
    reason: str | None = None
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None
    attachment: AttachmentReport | None = None


class Told(Struct, frozen=True):
    """What the control plane has acknowledged; `stopped_at` is when it acknowledged STOPPED (epoch seconds)."""

    attachment: AttachmentReport | None = None
    task: TaskReport | None = None
    stopped_at: float | None = None


_NOTHING = ContainerMemory()


class Assignment(Struct, frozen=True):
    """A task of this host, from the payload that brought it until nothing of it is left.

    `fault` is one of the whole task. `adopted` tells that it has been RUNNING before this journal knew of it: what is
    not there has been there. `attached` and `detached` tell that the sandbox was made, and taken down again,
    `emptied` that the task's own volumes are gone.
    `finished_at` is when nothing was left to do; the row stays for a while, so that a late copy of the payload does not
    run the task a second time.
    """

    spec: TaskSpec
    desired: DesiredStatus = DesiredStatus.RUNNING
    containers: dict[str, ContainerMemory] = {}
    fault: Fault | None = None
    adopted: bool = False
    attached: bool = False
    detached: bool = False
    emptied: bool = False
    told: Told = Told()
    finished_at: float | None = None

    @property
    def arn(self) -> str:
        """The task's ARN."""
        return self.spec.arn

    def memory(self, name: str) -> ContainerMemory:
        """Return what is known of a container."""
        return self.containers.get(name, _NOTHING)

    @property
    def stopping(self) -> bool:
        """Whether the task is on its way out: asked to stop, or an essential container ended, or one never came up."""
        if self.desired is DesiredStatus.STOPPED or self.fault is not None:
            return True
        for container in self.spec.containers:
            known = self.memory(container.name)
            if known.fault is not None or (container.essential and known.end is not None):
                return True
        return False
