"""Reports of agents: whatever comes twice, late or out of order, a task only climbs and ends the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import DIGEST, NOW, a_container, a_task

from wherry.model.reports import (
    AgentStatus,
    ContainerReport,
    TaskReport,
    apply_attachment,
    apply_health,
    apply_task_report,
)
from wherry.model.task import (
    AttachmentStatus,
    ContainerStatus,
    DesiredStatus,
    HealthStatus,
    StopCode,
    Task,
    TaskStatus,
    want_stopped,
)

Report = Callable[[Task, float], Task]

NAMES = ("app", "proxy", "logs")
ATTACHMENT_RANK = list(AttachmentStatus).index


def placed(**changes: object) -> Task:
    task = a_task(container_instance_arn="instance", last_status=TaskStatus.PENDING, **changes)
    assert task.attachment is not None
    return replace(task, attachment=replace(task.attachment, status=AttachmentStatus.ATTACHING))


def task_report(report: TaskReport) -> Report:
    return lambda task, now: apply_task_report(task, report, now=now)


def attachment(status: AttachmentStatus) -> Report:
    return lambda task, now: apply_attachment(task, status, now=now)


def stopped(*containers: ContainerReport, reason: str | None = None) -> TaskReport:
    return TaskReport(status=AgentStatus.STOPPED, containers=containers, reason=reason)


def ended(name: str, code: int | None = 0, reason: str | None = None) -> ContainerReport:
    return ContainerReport(
        name=name, status=AgentStatus.STOPPED, exit_code=code, reason=reason, runtime_id=f"id-{name}"
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[Task, list[Report]]:
    """A task and what its agent reports of its life, in order; each report tells all that is known by then."""
    names = NAMES[: draw(st.integers(1, 3))]
    essential = {name: draw(st.booleans()) or name == "app" for name in names}
    starts = draw(st.booleans())
    pulled = tuple(ContainerReport(name=n, status=AgentStatus.PENDING, image_digest=DIGEST) for n in names)
    life = [
        attachment(AttachmentStatus.ATTACHED),
        task_report(TaskReport(AgentStatus.MANIFEST_PULLED, containers=pulled)),
    ]
    if starts:
        up = tuple(replace(c, status=AgentStatus.RUNNING, runtime_id=f"id-{c.name}") for c in pulled)
        life.append(task_report(TaskReport(AgentStatus.RUNNING, containers=up)))
        over = tuple(replace(c, status=AgentStatus.STOPPED, exit_code=draw(st.integers(0, 255))) for c in up)
    else:
        failed = draw(st.sampled_from([n for n in names if essential[n]]))
        over = tuple(
            replace(c, status=AgentStatus.STOPPED, reason="CannotStartContainerError: no" if c.name == failed else None)
            for c in pulled
        )
    life += [task_report(stopped(*over)), attachment(AttachmentStatus.DELETED)]
    return placed(containers=tuple(a_container(name=n, essential=essential[n]) for n in names)), life


def told(task: Task) -> tuple[object, ...]:
    """All that the agent determines; when it was heard is not."""
    return (
        task.last_status,
        task.desired_status,
        task.stop_code,
        task.stopped_reason,
        tuple(c for c in task.containers),
        task.attachment,
    )


def follow(task: Task, reports: Sequence[Report]) -> list[Task]:
    states = [task]
    for second, report in enumerate(reports):
        states.append(report(states[-1], NOW + second))
    return states


@given(histories(), st.data())
def test_no_order_and_no_repetition_moves_anything_back(
    history: tuple[Task, list[Report]], data: st.DataObject
) -> None:
    task, life = history
    states = follow(task, data.draw(st.lists(st.sampled_from(life), max_size=12)))
    for before, after in itertools.pairwise(states):
        assert after.last_status.rank >= before.last_status.rank
        assert not (before.desired_status is DesiredStatus.STOPPED and after.desired_status is DesiredStatus.RUNNING)
        assert ATTACHMENT_RANK(after.attachment.status) >= ATTACHMENT_RANK(before.attachment.status)
        for old, new in zip(before.containers, after.containers, strict=True):
            assert new.last_status.rank >= old.last_status.rank
            for fact in ("exit_code", "reason", "image_digest", "runtime_id"):
                assert getattr(old, fact) in (None, getattr(new, fact))
        if before.stop_code is not None:
            assert (after.stop_code, after.stopped_reason) == (before.stop_code, before.stopped_reason)


@given(histories(), st.data())
def test_every_order_of_the_same_reports_ends_the_same(history: tuple[Task, list[Report]], data: st.DataObject) -> None:
    task, life = history
    expected = told(follow(task, life)[-1])
    again = data.draw(st.permutations(life + data.draw(st.lists(st.sampled_from(life), max_size=4))))
    assert told(follow(task, again)[-1]) == expected
    assert expected[0] is TaskStatus.STOPPED


@given(histories())
def test_a_report_that_says_nothing_new_changes_nothing(history: tuple[Task, list[Report]]) -> None:
    task, life = history
    for second, report in enumerate(life):
        task = report(task, NOW + second)
        assert report(task, NOW + second + 100) is task


def test_a_running_task_whose_essential_container_ends_was_ended_by_it() -> None:
    running = apply_task_report(placed(), TaskReport(status=AgentStatus.RUNNING), now=NOW)
    over = apply_task_report(running, stopped(ended("app", 0)), now=NOW + 1)
    assert over.started_at == NOW
    assert (over.stop_code, over.stopped_reason) == (
        StopCode.ESSENTIAL_CONTAINER_EXITED,
        "Essential container in task exited",
    )
    assert over.desired_status is DesiredStatus.STOPPED
    assert over.last_status is TaskStatus.DEPROVISIONING


def test_a_container_that_ran_and_ended_before_the_task_was_up_ended_it_all_the_same() -> None:
    over = apply_task_report(placed(), stopped(ended("app", 1)), now=NOW)
    assert over.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (stopped(ended("app", None, "CannotPullContainerError: no")), "CannotPullContainerError: no"),
        (stopped(ended("app", None)), "Task failed to start"),
        (stopped(ended("app", None), reason="ResourceInitializationError: x"), "ResourceInitializationError: x"),
    ],
)
def test_a_task_that_never_ran_failed_to_start(report: TaskReport, reason: str) -> None:
    over = apply_task_report(placed(), report, now=NOW)
    assert (over.stop_code, over.stopped_reason) == (StopCode.TASK_FAILED_TO_START, reason)
    assert over.started_at is None


def test_a_task_that_was_asked_to_stop_keeps_the_reason_of_whoever_asked() -> None:
    asked = want_stopped(placed(), code=StopCode.USER_INITIATED, reason="enough", now=NOW)
    over = apply_task_report(asked, stopped(ended("app", 137)), now=NOW + 1)
    assert (over.stop_code, over.stopped_reason) == (StopCode.USER_INITIATED, "enough")


def test_the_interface_goes_before_the_task_is_stopped_and_takes_the_tags_along() -> None:
    tagged = replace(placed(), tags=(object(),))
    over = apply_task_report(tagged, stopped(ended("app")), now=NOW)
    assert over.attachment.status is AttachmentStatus.DETACHING
    gone = apply_attachment(over, AttachmentStatus.DELETED, now=NOW + 2)
    assert (gone.last_status, gone.stopped_at, gone.tags) == (TaskStatus.STOPPED, NOW + 2, ())


def test_an_agent_that_never_detaches_ends_its_task_at_once() -> None:
    over = apply_task_report(placed(), stopped(ended("app")), now=NOW, detaches=False)
    assert over.last_status is TaskStatus.STOPPED
    assert over.attachment.status is AttachmentStatus.DELETED


def test_running_after_stopping_is_too_late() -> None:
    stopping = replace(placed(), last_status=TaskStatus.STOPPING)
    late = apply_task_report(stopping, TaskReport(status=AgentStatus.RUNNING), now=NOW)
    assert (late.last_status, late.started_at) == (TaskStatus.STOPPING, None)


def test_a_container_of_another_name_changes_nothing() -> None:
    task = placed()
    assert apply_task_report(task, TaskReport(containers=(ended("stranger"),)), now=NOW) is task


def test_a_task_is_healthy_since_its_last_container_became_so() -> None:
    containers = (a_container(name="app", has_health_check=True), a_container(name="proxy", has_health_check=True))
    task = placed(containers=containers)
    half = apply_health(task, [("app", HealthStatus.HEALTHY, NOW)], now=NOW)
    assert (half.health_status, half.healthy_since) == (HealthStatus.UNKNOWN, None)
    both = [("app", HealthStatus.HEALTHY, NOW), ("proxy", HealthStatus.HEALTHY, NOW + 5)]
    whole = apply_health(half, both, now=NOW + 6)
    assert (whole.health_status, whole.healthy_since) == (HealthStatus.HEALTHY, NOW + 5)
    assert apply_health(whole, both, now=NOW + 60) is whole
    ill = apply_health(whole, [("app", HealthStatus.UNHEALTHY, NOW + 70)], now=NOW + 70)
    assert (ill.health_status, ill.healthy_since) == (HealthStatus.UNHEALTHY, None)


def test_health_of_a_container_without_a_check_is_not_believed() -> None:
    task = placed()
    assert apply_health(task, [("app", HealthStatus.HEALTHY, NOW)], now=NOW) is task


def test_all_containers_of_a_stopped_task_are_stopped() -> None:
    task = placed(containers=(a_container(name="app"), a_container(name="proxy")))
    over = apply_task_report(task, stopped(ended("app")), now=NOW)
    assert {c.last_status for c in over.containers} == {ContainerStatus.STOPPED}
