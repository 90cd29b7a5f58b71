"""What is told of a task, and when."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.agent.worlds import ENI, a_container, a_task

from wherry.agent import reports
from wherry.agent.memory import Assignment, AttachmentReport, ContainerMemory, TaskReport
from wherry.agent.progress import ContainerView, Phase, View

ATTACHED = AttachmentReport(attachment_arn=ENI.attachment_arn, status="ATTACHED")


def a_view(*phases: Phase, **members: object) -> View:
    """See a task whose interface is there, with a container in each of these phases."""
    containers = [a_container(f"c{number}") for number in range(len(phases))]
    assignment = replace(Assignment(spec=a_task(*containers), attached=True), **members)
    memory = ContainerMemory(runtime_id="id")
    return View(
        assignment=assignment,
        containers=tuple(
            ContainerView(spec=spec, phase=phase, memory=memory, present=True)
            for spec, phase in zip(containers, phases, strict=True)
        ),
    )


def test_an_interface_is_told_of_by_itself_while_an_image_is_awaited() -> None:
    assert reports.due(a_view(Phase.CREATED, Phase.NEW)) == ATTACHED


def test_an_interface_waits_to_be_told_of_while_containers_are_about_to_run() -> None:
    assert reports.due(a_view(Phase.CREATED, Phase.PULLED)) is None
    assert reports.due(a_view(Phase.CREATED, Phase.RUNNING)) is None


def test_an_interface_that_was_not_told_of_is_told_with_the_task_once() -> None:
    view = a_view(Phase.RUNNING)
    report = reports.due(view)
    assert isinstance(report, TaskReport)
    assert (report.status, report.attachment) == ("RUNNING", ATTACHED)
    operation, parameters = reports.operation(view.assignment, report)
    assert operation == "SubmitTaskStateChange"
    assert parameters["attachments"] == [{"attachmentArn": ENI.attachment_arn, "status": "ATTACHED"}]

    told = reports.acknowledged(view.assignment, report, now=1)
    assert told.told.attachment == ATTACHED
    assert reports.due(replace(view, assignment=told)) is None


def test_a_task_that_ends_first_is_never_told_to_be_attached() -> None:
    report = reports.due(a_view(Phase.STOPPED))
    assert isinstance(report, TaskReport)
    assert (report.status, report.attachment) == ("STOPPED", None)
