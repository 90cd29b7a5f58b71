"""Thousands of small worlds: whatever happens to tasks and whatever users ask for, the promises hold."""

from __future__ import annotations

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.unit.control.service_world import ServiceWorld, bounds

from wherry.model.service import RolloutState, ServiceDeploymentStatus, ServiceStatus, ThresholdConfiguration
from wherry.model.task import HealthStatus, Task

small = st.integers(0, 5)
percents = st.sampled_from([(100, 200), (50, 200), (100, 150), (50, 100), (0, 100), (100, 125), (67, 150), (100, 100)])
worlds = st.builds(
    lambda desired, percent, checks: ServiceWorld(
        desired=desired, checks=checks, minimum_healthy_percent=percent[0], maximum_percent=percent[1]
    ),
    small,
    percents,
    st.booleans(),
)
KINDS = ("run", "run", "end", "well", "ill", "protect", "roll", "desire", "percent", "breaker", "stop", "wait", "tick")
happenings = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 7)), max_size=24)
PERCENTS = ((100, 200), (50, 200), (50, 100), (100, 150))


def happen(world: ServiceWorld, kind: str, number: int) -> None:
    """Let one thing happen, to the task of that number where it is about one."""
    present = [task for task in world.tasks if not task.is_stopped]
    task = present[number % len(present)] if present else None
    match kind:
        case "roll" if number < 4:
            world.roll()
        case "desire":
            world.update(desired_count=number % 6)
        case "percent":
            low, high = PERCENTS[number % len(PERCENTS)]
            world.configure(minimum_healthy_percent=low, maximum_percent=high)
        case "breaker":
            few = ThresholdConfiguration(type="COUNT", value=1 + number // 4)
            world.breaker(rollback=number % 2 == 0, reset_on_healthy_task=number < 6, threshold_configuration=few)
        case "stop" if number < 3 and world.primary.rollout_state is RolloutState.IN_PROGRESS:
            asked = (ServiceDeploymentStatus.STOP_REQUESTED, ServiceDeploymentStatus.ROLLBACK_REQUESTED)
            primary = world.primary
            world.rows.put(type(primary)(**_fields(primary) | {"service_deployment_status": asked[number % 2]}))
        case "wait":
            world.later((1, 5, 20, 40, 60, 300, 900, 7200)[number])
        case "tick":
            world.tick()
        case _ if task is not None:
            befall(world, task, kind)
    world.later(0.001)


def _fields(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def befall(world: ServiceWorld, task: Task, kind: str) -> None:
    """Let something happen to a task that is not STOPPED."""
    match kind:
        case "run" if task.started_at is None and task.desired_status == "RUNNING":
            world.run(task)
        case "end":
            world.end(task)
        case "well" if world.checks and task.started_at is not None:
            world.judge(task, HealthStatus.HEALTHY)
        case "ill" if world.checks and task.started_at is not None:
            world.judge(task, HealthStatus.UNHEALTHY)
        case "protect" if task.started_at is not None:
            world.change(task, protection_enabled=not task.protection_enabled, protection_expires_at=world.now + 120)


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds, script=happenings)
def test_keeps_every_promise_and_converges_or_says_why_not(world, script):
    world.schedule()
    for kind, number in script:
        happen(world, kind, number)
        world.schedule()
    for _ in range(80):
        if world.settled:
            break
        world.tick()
    world.schedule()
    explain(world)


def explain(world: ServiceWorld) -> None:
    """Accept a service that is as desired, or one that has said why it is not."""
    if world.settled:
        event("settled")
        assert world.said[-1] == "has reached a steady state.", world.said
    elif world.primary.rollout_state is RolloutState.FAILED:
        event("failed")
        assert world.primary.service_deployment_status in {
            ServiceDeploymentStatus.STOPPED,
            ServiceDeploymentStatus.ROLLBACK_FAILED,
        }
    else:
        event("deadlocked")
        lower, upper = bounds(world.service)
        assert any(said.startswith("was unable to stop or start tasks") for said in world.said), world.said
        assert len(world.living) >= upper, "there is room to start"
        assert len(world.healthy) <= lower, "there is a task to stop"


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds, script=happenings)
def test_a_deleted_service_ends_without_tasks_whatever_happened_before(world, script):
    world.schedule()
    for kind, number in script:
        happen(world, kind, number)
        world.schedule()
    world.delete()
    for _ in range(5):
        world.tick()
    assert world.service.status is ServiceStatus.INACTIVE
    assert world.living == []
    assert world.deployments == []


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds, rolls=st.integers(1, 3))
def test_an_undisturbed_rollout_never_leaves_the_band_between_floor_and_ceiling(world, rolls):
    lower, upper = bounds(world.service)
    if lower == upper and world.service.desired_count:
        return
    world.settle()
    for _ in range(rolls):
        world.roll()
        for _ in range(60):
            world.tick()
            assert lower <= len(world.healthy)
            assert len(world.living) <= upper
            if world.settled:
                break
        assert world.settled


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(desired=st.integers(2, 6), low=st.sampled_from([0, 34, 50]), rolls=st.integers(1, 3))
def test_a_full_cluster_rolls_out_within_the_floor(desired, low, rolls):
    world = ServiceWorld(desired=desired, minimum_healthy_percent=low, capacity=desired)
    world.settle()
    lower, _ = bounds(world.service)
    for _ in range(rolls):
        world.roll()
        for _ in range(80):
            world.tick()
            assert len(world.healthy) >= lower
            if world.settled:
                break
        assert world.settled, world.said[-4:]
