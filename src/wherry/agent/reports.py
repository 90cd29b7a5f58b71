"""What the control plane is to be told of a task next. Pure.

There is no queue of reports: what is due is the difference between the view and what has been acknowledged, so that
only the latest matters, a crash loses none, and an older one is never sent after a newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

from msgspec.structs import replace

from wherry.agent.memory import Assignment, AttachmentReport, ContainerReport, TaskReport
from wherry.agent.progress import ContainerView, Phase, View

Report = TaskReport | AttachmentReport


def due(view: View) -> Report | None:
    """Find the next report; None if the control plane knows all there is to know.

    Order: ATTACHED, RUNNING, STOPPED, DETACHED. A task that is stopped before it was told ATTACHED or RUNNING skips
    them. ATTACHED comes by itself only if images keep RUNNING waiting. Nothing is said while some container of a
    stopping task still runs.
    """
    assignment = view.assignment
    told = assignment.told
    if told.stopped_at is None:
        attached = None
        if told.attachment is None and assignment.attached and not view.stopping:
            attached = _attachment(assignment, "ATTACHED")
        report = task_report(view)
        if report is not None and report != told.task:
            return replace(report, attachment=attached)
        return attached if any(container.phase is Phase.NEW for container in view.containers) else None
    detached = _attachment(assignment, "DETACHED")
    return detached if assignment.detached and detached != told.attachment else None


def task_report(view: View) -> TaskReport | None:
    """Describe the task if it is RUNNING or STOPPED: agents report no other status."""
    stopped = view.stopped
    if not stopped and not view.running:
        return None
    known = [container.memory for container in view.containers]
    ends = [c.memory.end for c in view.containers if c.spec.essential and c.memory.end is not None]
    return TaskReport(
        status="STOPPED" if stopped else "RUNNING",
        reason=_reason(view) if stopped else None,
        containers=tuple(_container(container) for container in view.containers),
        pull_started_at=_extreme(min, (memory.pull_started_at for memory in known)),
        pull_stopped_at=_extreme(max, (memory.pull_stopped_at for memory in known)),
        execution_stopped_at=_extreme(min, (end.at for end in ends)) if stopped else None,
    )


def acknowledged(assignment: Assignment, report: Report, *, now: float) -> Assignment:
    """Note that the control plane has taken `report`."""
    told = assignment.told
    match report:
        case TaskReport():
            stopped_at = now if report.status == "STOPPED" else told.stopped_at
            attachment, alone = report.attachment or told.attachment, replace(report, attachment=None)
            return replace(assignment, told=replace(told, attachment=attachment, task=alone, stopped_at=stopped_at))
        case AttachmentReport():
            return replace(assignment, told=replace(told, attachment=report))
        case _:
            assert_never(report)


def operation(assignment: Assignment, report: Report) -> tuple[str, dict[str, Any]]:
    """Translate a report into an ECS operation and its parameters."""
    match report:
        case TaskReport():
            containers = [_parameters(containerName=c.name, **_container_facts(c)) for c in report.containers]
            return "SubmitTaskStateChange", _parameters(
                cluster=assignment.spec.cluster,
                task=assignment.arn,
                status=report.status,
                reason=report.reason,
                containers=containers,
                pullStartedAt=report.pull_started_at,
                pullStoppedAt=report.pull_stopped_at,
                executionStoppedAt=report.execution_stopped_at,
                attachments=None if report.attachment is None else [_change(report.attachment)],
            )
        case AttachmentReport():
            changes = [_change(report)]
            return "SubmitAttachmentStateChanges", {"cluster": assignment.spec.cluster, "attachments": changes}
        case _:
            assert_never(report)


def _change(report: AttachmentReport) -> dict[str, str]:
    return {"attachmentArn": report.attachment_arn, "status": report.status}


def _attachment(assignment: Assignment, status: str) -> AttachmentReport | None:
    eni = assignment.spec.eni
    return AttachmentReport(attachment_arn=eni.attachment_arn, status=status) if eni is not None else None


def _reason(view: View) -> str | None:
    """The task's own reason: why it could not be set up, or which optional container kept it from coming up.

    The failure of an essential container is told as that container's reason, as ECS agents do.
    """
    if view.assignment.fault is not None:
        return view.assignment.fault.reason
    if any(c.spec.essential and (c.memory.fault or c.memory.end) for c in view.containers):
        return None
    faults = (container.memory.fault for container in view.containers)
    return next((fault.reason for fault in faults if fault is not None), None)


def _container(container: ContainerView) -> ContainerReport:
    memory = container.memory
    over = container.phase is Phase.STOPPED
    failed = memory.fault.reason if memory.fault is not None else None
    ended = memory.end.reason if memory.end is not None else None
    return ContainerReport(
        name=container.name,
        status="STOPPED" if over else "RUNNING",
        runtime_id=memory.runtime_id,
        image_digest=memory.image_digest,
        exit_code=memory.end.code if over and memory.end is not None else None,
        reason=(failed or ended) if over else None,
    )


def _container_facts(container: ContainerReport) -> dict[str, Any]:
    return {
        "status": container.status,
        "runtimeId": container.runtime_id,
        "imageDigest": container.image_digest,
        "exitCode": container.exit_code,
        "reason": container.reason,
    }


def _parameters(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _extreme(choose: Any, times: Iterable[float | None]) -> float | None:
    known = [at for at in times if at is not None]
    return float(choose(known)) if known else None
