"""The rules of the service scheduler one by one, with the sentences that ECS says."""

from __future__ import annotations

import pytest
from msgspec import structs
from tests.builders import DIGEST, a_deployment
from tests.unit.control.service_world import TIMING, ServiceWorld, bounds

from wherry.control.plan import census
from wherry.control.plan.actions import StartTasks
from wherry.model.base import Tag
from wherry.model.cluster import CapacityProviderStrategyItem
from wherry.model.service import (
    CircuitBreaker,
    Deployment,
    DeploymentStatus,
    RolloutState,
    ServiceDeploymentStatus,
    ServiceRevision,
    ServiceStatus,
    ThresholdConfiguration,
)
from wherry.model.task import HealthStatus, StopCode, Task

ILL, WELL, UNKNOWN = HealthStatus.UNHEALTHY, HealthStatus.HEALTHY, HealthStatus.UNKNOWN
DEADLOCK = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
    "Update the minimumHealthyPercent or maximumPercent value and try again."
)


def running(**given) -> ServiceWorld:
    """A service that is as desired."""
    world = ServiceWorld(**given)
    world.settle()
    return world


def said_since(world: ServiceWorld, count: int) -> list[str]:
    return world.said[count:]


def finish_stops(world: ServiceWorld) -> None:
    for task in world.tasks:
        if task.desired_status == "STOPPED" and not task.is_stopped:
            world.end(task)
    world.schedule()


# Arithmetic


@pytest.mark.parametrize(
    ("desired", "low", "high", "lower", "upper"),
    [
        (1, 50, 100, 1, 1),
        (3, 50, 150, 2, 4),
        (3, 67, 133, 3, 3),
        (10, 0, 200, 0, 20),
        (0, 100, 200, 0, 0),
        (7, 1, 101, 1, 7),
    ],
)
def test_the_floor_rounds_up_and_the_ceiling_down(desired, low, high, lower, upper):
    service = ServiceWorld(desired=desired, minimum_healthy_percent=low, maximum_percent=high, created=False).service
    limits = census.limits(service)
    assert (limits.lower, limits.upper) == (lower, upper) == bounds(service)


# From nothing to steady


def test_a_new_service_starts_its_tasks_and_says_so_once():
    world = ServiceWorld(desired=2)
    world.schedule()
    first, second = world.living
    assert world.said == [f"has started 2 tasks: (task {first.task_id}) (task {second.task_id})."]
    assert {task.group for task in world.living} == {"service:web"}
    assert {task.started_by for task in world.living} == {world.primary.deployment_id}


def test_it_is_steady_when_every_task_has_run_for_forty_seconds():
    world = ServiceWorld(desired=1)
    world.schedule()
    world.run(world.living[0])
    world.schedule()
    assert world.primary.rollout_state is RolloutState.IN_PROGRESS
    assert world.wake_at == world.now + 40
    world.later(40)
    world.schedule()
    deployment = world.primary
    assert deployment.rollout_state is RolloutState.COMPLETED
    assert deployment.rollout_state_reason == f"ECS deployment {deployment.deployment_id} completed."
    assert deployment.service_deployment_status is ServiceDeploymentStatus.SUCCESSFUL
    assert deployment.finished_at == world.now
    assert said_since(world, 1) == [
        f"(deployment {deployment.deployment_id}) deployment completed.",
        "has reached a steady state.",
    ]


def test_with_health_checks_it_waits_for_healthy_and_unknown_is_not_unhealthy():
    world = ServiceWorld(desired=1, checks=True)
    world.schedule()
    task = world.living[0]
    world.run(task)
    world.later(3600)
    world.schedule()
    assert world.living == [world.rows.get(Task, task.task_arn)]
    assert world.primary.rollout_state is RolloutState.IN_PROGRESS
    world.judge(task, WELL)
    world.schedule()
    assert world.primary.rollout_state is RolloutState.COMPLETED


def test_a_steady_state_is_said_again_after_six_hours():
    world = running()
    said = len(world.said)
    world.later(6 * 3600)
    world.schedule()
    assert said_since(world, said) == ["has reached a steady state."]


def test_a_service_of_no_tasks_is_complete_at_once():
    world = ServiceWorld(desired=0)
    world.schedule()
    assert world.settled


def test_a_deployment_bakes_before_it_completes():
    world = ServiceWorld(desired=1, bake_time_in_minutes=5)
    world.schedule()
    world.run(world.living[0])
    world.later(40)
    world.schedule()
    assert world.primary.lifecycle_stage == "BAKE_TIME"
    assert world.wake_at == world.now + 300
    world.later(300)
    world.schedule()
    assert world.primary.rollout_state is RolloutState.COMPLETED


# Keeping it so


def test_a_task_that_ends_is_replaced():
    world = running(desired=2)
    said = len(world.said)
    world.end(world.living[0])
    world.schedule()
    assert len(world.living) == 2
    (newest,) = [task for task in world.living if task.started_at is None]
    assert said_since(world, said) == [f"has started 1 tasks: (task {newest.task_id})."]
    world.settle()
    assert world.said[-1] == "has reached a steady state."
    assert len([said for said in world.said if "deployment completed" in said]) == 1


def test_an_unhealthy_task_is_replaced_before_it_is_stopped():
    world = running(desired=1, checks=True)
    ill = world.living[0]
    said = len(world.said)
    world.judge(ill, ILL)
    world.schedule()
    assert len(world.living) == 2
    new = next(task for task in world.living if task.task_arn != ill.task_arn)
    world.run(new)
    world.judge(new, WELL)
    world.schedule()
    stopped = world.rows.get(Task, ill.task_arn)
    assert (stopped.stop_code, stopped.stopped_reason) == (
        StopCode.SERVICE_SCHEDULER_INITIATED,
        "Task failed container health checks",
    )
    assert said_since(world, said) == [
        f"has started 1 tasks: (task {new.task_id}). Amazon ECS replaced 1 tasks due to an unhealthy status.",
        f"(task {ill.task_id}) failed container health checks.",
        f"has stopped 1 running tasks: (task {ill.task_id}).",
    ]


def test_where_the_ceiling_forbids_it_unhealthy_tasks_are_stopped_first_and_one_by_one():
    world = running(desired=3, checks=True, minimum_healthy_percent=0, maximum_percent=100)
    for task in world.living[:2]:
        world.judge(task, ILL)
    world.schedule()
    assert [t.health_status for t in world.living].count(ILL) == 1
    assert len(world.living) == 3
    world.settle()


def test_the_grace_period_ignores_failing_checks():
    world = ServiceWorld(desired=1, checks=True)
    world.update(health_check_grace_period_seconds=120)
    world.schedule()
    task = world.living[0]
    world.run(task)
    world.judge(task, ILL)
    world.schedule()
    assert len(world.living) == 1
    assert world.wake_at == world.now + 120
    world.later(120)
    world.schedule()
    assert len(world.living) == 2


# Rolling out


def test_a_rollout_starts_new_tasks_before_it_stops_old_ones():
    world = running(desired=2)
    new = world.roll()
    world.schedule()
    assert len(world.living) == 4
    for task in world.of(new):
        world.run(task)
    world.later(39)
    world.schedule()
    assert len(world.living) == 4
    world.later(1)
    world.schedule()
    assert world.living == world.of(new)
    gone = [task for task in world.tasks if task.desired_status == "STOPPED"]
    assert {task.stopped_reason for task in gone} == {f"Scaling activity initiated by (deployment {new.deployment_id})"}
    assert len(world.deployments) == 2, "stopping tasks still belong to the old deployment"
    finish_stops(world)
    assert world.deployments == [world.primary]
    assert world.primary.rollout_state is RolloutState.COMPLETED


def test_without_room_above_a_rollout_stops_old_tasks_first_down_to_the_floor():
    world = running(desired=4, minimum_healthy_percent=50, maximum_percent=100)
    new = world.roll()
    world.schedule()
    assert len(world.healthy) == 2
    assert len(world.of(new)) == 2
    world.settle()


def test_an_ill_new_task_costs_no_healthy_old_one():
    world = running(desired=2, checks=True, minimum_healthy_percent=50)
    old = world.primary
    new = world.roll()
    world.schedule()
    ill = world.of(new)[0]
    world.run(ill)
    world.judge(ill, ILL)
    world.schedule()
    assert len(world.of(old)) == 2


def test_while_starts_are_throttled_no_old_task_makes_room_for_them():
    world = running(desired=4, minimum_healthy_percent=50, maximum_percent=100)
    old = world.primary
    new = world.roll()
    world.schedule()
    arrives, fails = world.of(new)
    world.run(arrives)
    world.later(39)
    world.end(fails)
    world.later(1)
    world.schedule()
    assert len(world.healthy) == 3
    assert len(world.of(old)) == 2


def test_a_full_cluster_lets_a_rollout_use_the_floor():
    world = running(desired=2, minimum_healthy_percent=50, maximum_percent=200)
    new = world.roll()
    world.schedule()
    for task in world.of(new):
        world.change(task, placement_reason="no room")
    world.schedule()
    assert len(world.healthy) == 1


@pytest.mark.parametrize(("desired", "low", "high"), [(1, 50, 100), (2, 100, 100), (3, 100, 133)])
def test_a_rollout_that_can_neither_stop_nor_start_says_so_once(desired, low, high):
    world = running(desired=desired, minimum_healthy_percent=low, maximum_percent=high)
    old = world.living
    said = len(world.said)
    world.roll()
    for _ in range(3):
        world.schedule()
        world.later(60)
    assert said_since(world, said) == [DEADLOCK]
    assert world.living == old
    world.configure(maximum_percent=200)
    world.settle()


def test_the_deadlock_is_news_again_when_it_comes_back():
    world = running(desired=1, maximum_percent=100)
    world.roll()
    world.schedule()
    world.configure(maximum_percent=200)
    world.settle()
    world.configure(maximum_percent=100)
    world.roll()
    world.schedule()
    assert world.said.count(DEADLOCK) == 2


def test_an_old_task_that_fails_in_a_rollout_is_replaced_by_its_own_revision_while_the_floor_needs_it():
    world = running(desired=2)
    old = world.primary
    world.roll()
    world.schedule()
    world.end(world.of(old)[0])
    world.schedule()
    assert len(world.of(old)) == 2
    world.settle()


def test_a_task_that_starts_to_hold_the_floor_is_not_given_up_for_a_new_one():
    world = running(desired=4, minimum_healthy_percent=50, maximum_percent=100)
    old = world.primary
    new = world.roll()
    world.schedule()
    world.end(world.of(old)[0])
    world.schedule()
    assert (len(world.of(old)), len(world.of(new))) == (2, 2)
    world.settle()


def test_an_old_task_that_fails_is_not_replaced_where_the_floor_does_without():
    world = running(desired=2, minimum_healthy_percent=50)
    old = world.primary
    world.roll()
    world.schedule()
    world.end(world.of(old)[0])
    world.schedule()
    assert len(world.of(old)) == 1


def test_an_old_deployment_never_gets_back_what_it_has_given_up():
    world = running(desired=2)
    old = world.primary
    new = world.roll()
    world.schedule()
    arrived = world.of(new)[0]
    world.run(arrived)
    world.later(40)
    world.schedule()
    assert len(world.of(old)) == 1
    world.end(arrived)
    world.schedule()
    assert len(world.of(old)) == 1
    assert len(world.of(new)) == 2


def test_more_desired_tasks_go_to_the_newest_deployment():
    world = running(desired=2)
    old = world.primary
    new = world.roll()
    world.schedule()
    world.update(desired_count=5)
    world.schedule()
    assert len(world.of(old)) == 2
    assert len(world.of(new)) == 5


def test_a_deployment_that_is_overtaken_stops_and_its_unstarted_tasks_go_at_once():
    world = running(desired=2)
    second = world.roll()
    world.schedule()
    third = world.roll()
    world.schedule()
    overtaken = world.rows.get(Deployment, second.deployment_id)
    assert overtaken.service_deployment_status is ServiceDeploymentStatus.STOPPED
    assert overtaken.finished_at == world.now
    assert world.of(second) == []
    assert len(world.of(third)) == 2
    world.settle()


# Scaling in


def test_scaling_in_takes_what_does_not_run_yet_first():
    world = running(desired=2)
    world.update(desired_count=4)
    world.schedule()
    world.update(desired_count=2)
    world.schedule()
    assert len(world.healthy) == len(world.living) == 2


def test_scaling_in_keeps_the_zones_level():
    world = ServiceWorld(desired=5)
    world.schedule()
    for task, zone in zip(world.living, "aaabc", strict=True):
        world.place(task, zone=zone, host=f"host-{zone}")
        world.run(world.rows.get(Task, task.task_arn))
    world.settle()
    world.update(desired_count=3)
    world.schedule()
    assert sorted(task.availability_zone for task in world.living) == ["a", "b", "c"]


def test_protected_tasks_stay_and_the_service_says_so():
    world = running(desired=2)
    for task in world.living:
        world.change(task, protection_enabled=True, protection_expires_at=world.now + 600)
    world.update(desired_count=1)
    world.schedule()
    assert len(world.living) == 2
    assert world.said[-1] == (
        f"was unable to reach steady state because task set ({world.primary.deployment_id}) was unable to scale in. "
        "Reason: The number of protected tasks are more than the desired count of tasks."
    )
    assert world.wake_at == world.now + 600
    world.later(600)
    world.schedule()
    assert len(world.living) == 1


def test_an_unprotected_task_goes_in_place_of_a_protected_one():
    world = running(desired=2)
    kept, gone = sorted(world.living, key=lambda task: task.task_arn, reverse=True)
    world.change(kept, protection_enabled=True)
    world.update(desired_count=1)
    world.schedule()
    assert [task.task_arn for task in world.living] == [kept.task_arn]
    assert gone.task_id in world.said[-1]


# Throttling


def fail_start(world: ServiceWorld) -> None:
    for task in world.living:
        world.place(task)
        world.end(world.rows.get(Task, task.task_arn))
    world.schedule()


def test_starts_that_fail_are_retried_after_pauses_that_double_up_to_fifteen_minutes():
    world = ServiceWorld(desired=2)
    world.schedule()
    pauses = []
    for _ in range(9):
        fail_start(world)
        assert world.living == []
        pauses.append(world.wake_at - world.now)
        world.later(pauses[-1])
        world.schedule()
        assert len(world.living) == 2
    assert pauses == [10, 20, 40, 80, 160, 320, 640, 900, 900]
    sentence = (
        "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of "
        "the Amazon ECS Developer Guide."
    )
    assert world.said.count(sentence) == 1


def test_a_new_deployment_starts_at_once():
    world = ServiceWorld(desired=1)
    world.schedule()
    fail_start(world)
    fail_start(world)
    new = world.roll()
    world.schedule()
    assert len(world.of(new)) == 1


def test_a_task_that_runs_ends_the_throttling():
    world = ServiceWorld(desired=1)
    world.schedule()
    fail_start(world)
    world.later(10)
    world.schedule()
    world.run(world.living[0])
    world.schedule()
    assert world.primary.start_failures == 0


def test_a_command_that_exits_at_once_is_paced_and_never_slowed_down_further():
    world = ServiceWorld(desired=1)
    world.schedule()
    for _ in range(4):
        world.run(world.living[0])
        world.end(world.living[0])
        world.schedule()
        assert world.wake_at == world.now + TIMING.start_backoff_initial
        world.later(TIMING.start_backoff_initial)
        world.schedule()
    assert world.primary.start_failures == 0
    assert world.primary.failed_tasks == 4


def test_a_healthy_task_that_is_lost_is_replaced_without_a_pause():
    world = running(desired=1)
    world.end(world.living[0])
    world.schedule()
    assert len(world.living) == 1


# The circuit breaker


@pytest.mark.parametrize(
    ("kind", "value", "desired", "threshold"),
    [
        ("BOUNDED_PERCENT", 50, 1, 3),
        ("BOUNDED_PERCENT", 50, 11, 6),
        ("BOUNDED_PERCENT", 50, 4000, 200),
        ("UNBOUNDED_PERCENT", 50, 1, 1),
        ("UNBOUNDED_PERCENT", 10, 4000, 400),
        ("COUNT", 7, 1, 7),
    ],
)
def test_the_threshold_follows_the_desired_count(kind, value, desired, threshold):
    breaker = CircuitBreaker(enable=True, threshold_configuration=ThresholdConfiguration(type=kind, value=value))
    assert breaker.threshold(desired) == threshold


def test_the_circuit_breaker_opens_at_three_failures_and_rolls_back_to_what_completed_last():
    world = running(desired=1)
    good = world.primary
    world.breaker(rollback=True)
    said = len(world.said)
    bad = world.roll()
    world.schedule()
    for count in (1, 2, 3):
        (task,) = world.of(bad)
        world.place(task)
        world.end(world.rows.get(Task, task.task_arn))
        world.schedule()
        assert world.rows.get(Deployment, bad.deployment_id).failed_tasks == count
        world.later(1000)
        world.schedule()
    failed = world.rows.get(Deployment, bad.deployment_id)
    assert failed.rollout_state is RolloutState.FAILED
    assert failed.rollout_state_reason == "ECS deployment circuit breaker: tasks failed to start."
    assert failed.service_deployment_status is ServiceDeploymentStatus.ROLLBACK_SUCCESSFUL
    assert failed.rollback_revision_arn == good.service_revision_arn
    back = world.primary
    assert back.rollback_of == bad.deployment_id
    assert back.service_deployment_arn == bad.service_deployment_arn
    assert back.service_revision_arn == good.service_revision_arn
    assert world.service.task_definition == good.task_definition
    assert len(world.tasks) == 4, "the good revision's task went on"
    endings = [sentence for sentence in said_since(world, said) if "started" not in sentence]
    assert endings == [
        endings[0],
        f"(deployment {bad.deployment_id}) deployment failed: tasks failed to start.",
        f"rolling back to deployment {good.deployment_id}.",
        f"(deployment {back.deployment_id}) deployment completed.",
        "has reached a steady state.",
    ]
    assert endings[0].startswith("is unable to consistently start tasks successfully.")


def test_a_program_that_runs_for_a_moment_and_ends_opens_the_circuit_breaker_too():
    world = running(desired=1)
    good = world.primary
    world.breaker(rollback=True)
    bad = world.roll()
    world.schedule()
    for _ in range(3):
        (task,) = world.of(bad)
        world.run(task)
        world.end(world.rows.get(Task, task.task_arn))
        world.schedule()
        world.later(TIMING.start_backoff_initial)
        world.schedule()
    assert world.rows.get(Deployment, bad.deployment_id).rollout_state is RolloutState.FAILED
    assert world.primary.service_revision_arn == good.service_revision_arn


def test_while_it_rolls_back_the_reason_names_the_deployment_it_goes_back_to():
    world = running(desired=1)
    good = world.primary
    world.breaker(rollback=True, threshold_configuration=ThresholdConfiguration(type="COUNT", value=1))
    bad = world.roll()
    world.schedule()
    world.end(world.of(bad)[0])
    world.look()
    assert world.primary.rollout_state_reason == (
        f"ECS deployment circuit breaker: rolling back to deploymentId {good.deployment_id}."
    )
    assert world.primary.rollout_state is RolloutState.IN_PROGRESS
    undone = world.rows.get(Deployment, bad.deployment_id)
    assert undone.service_deployment_status is ServiceDeploymentStatus.ROLLBACK_IN_PROGRESS
    assert undone.rollback_started_at == world.now


def test_without_anything_to_go_back_to_a_failed_deployment_stalls():
    world = ServiceWorld(desired=1)
    world.breaker(rollback=True, threshold_configuration=ThresholdConfiguration(type="COUNT", value=1))
    world.schedule()
    fail_start(world)
    world.later(3600)
    world.schedule()
    assert world.primary.rollout_state is RolloutState.FAILED
    assert world.primary.service_deployment_status is ServiceDeploymentStatus.ROLLBACK_FAILED
    assert world.living == []


def test_without_rollback_a_failed_deployment_is_stopped_and_the_old_tasks_go_on():
    world = running(desired=2)
    old = world.primary
    world.breaker(threshold_configuration=ThresholdConfiguration(type="COUNT", value=1))
    bad = world.roll()
    world.schedule()
    for task in world.of(bad):
        world.end(task)
    world.schedule()
    assert world.primary.service_deployment_status is ServiceDeploymentStatus.STOPPED
    assert world.primary.stopped_at == world.now
    assert len(world.of(old)) == 2
    world.end(world.of(old)[0])
    world.schedule()
    assert len(world.of(old)) == 2, "the old revision is still kept up"
    world.update(desired_count=0)
    world.schedule()
    assert world.living == []


def test_a_rollback_that_fails_too_is_the_end():
    world = running(desired=1)
    world.breaker(rollback=True, threshold_configuration=ThresholdConfiguration(type="COUNT", value=1))
    bad = world.roll()
    world.schedule()
    for task in world.living:
        world.end(task)
    world.schedule()
    assert world.primary.rollback_of == bad.deployment_id
    world.end(world.living[0])
    world.schedule()
    assert world.primary.rollout_state is RolloutState.FAILED
    undone = world.rows.get(Deployment, bad.deployment_id)
    assert undone.service_deployment_status is ServiceDeploymentStatus.ROLLBACK_FAILED
    assert world.living == []


def test_once_a_task_has_run_only_health_failures_count():
    world = ServiceWorld(desired=1, checks=True)
    world.breaker()
    world.schedule()
    first = world.living[0]
    world.run(first)
    world.judge(first, ILL)
    world.schedule()
    replacement = next(task for task in world.living if task.task_arn != first.task_arn)
    world.end(replacement)
    world.schedule()
    assert world.primary.failed_tasks == 0
    world.later(10)
    world.schedule()
    second = next(task for task in world.living if task.task_arn != first.task_arn)
    world.run(second)
    world.judge(second, WELL)
    world.schedule()
    world.later(1)
    finish_stops(world)
    assert world.primary.failed_tasks == 1


@pytest.mark.parametrize(("reset", "left"), [(True, 0), (False, 2)])
def test_a_healthy_task_sets_the_count_back_unless_configured_otherwise(reset, left):
    world = ServiceWorld(desired=1, checks=True)
    world.breaker(reset_on_healthy_task=reset)
    world.schedule()
    fail_start(world)
    world.later(100)
    world.schedule()
    fail_start(world)
    world.later(100)
    world.schedule()
    assert world.primary.failed_tasks == 2
    world.run(world.living[0])
    world.judge(world.living[0], WELL)
    world.schedule()
    assert world.primary.failed_tasks == left


def test_healthy_tasks_of_before_do_not_hide_a_task_that_keeps_failing():
    world = ServiceWorld(desired=2, checks=True)
    world.breaker()
    world.schedule()
    good, bad = world.living
    for task, health in ((good, WELL), (bad, ILL)):
        world.run(task)
        world.judge(task, health)
    for _ in range(12):
        world.later(60)
        world.tick(checks=ILL)
    assert [task.task_arn for task in world.healthy] == [good.task_arn]
    assert world.primary.failed_tasks == 3
    assert world.primary.rollout_state is RolloutState.FAILED


def test_stopped_tasks_are_counted_once():
    world = ServiceWorld(desired=1)
    world.schedule()
    fail_start(world)
    for _ in range(5):
        world.look()
    assert world.primary.failed_tasks == 1


def test_tasks_that_were_asked_to_stop_are_no_failures():
    world = ServiceWorld(desired=1)
    world.schedule()
    world.change(world.living[0], stop_code=StopCode.USER_INITIATED)
    world.end(world.living[0])
    world.schedule()
    assert (world.primary.failed_tasks, world.primary.start_failures) == (0, 0)


# StopServiceDeployment


@pytest.mark.parametrize("asked", [ServiceDeploymentStatus.STOP_REQUESTED, ServiceDeploymentStatus.ROLLBACK_REQUESTED])
def test_a_deployment_that_is_told_to_stop_is_failed(asked):
    world = running(desired=2)
    good = world.primary
    stopped = world.roll()
    world.schedule()
    world.rows.put(structs.replace(world.rows.get(Deployment, stopped.deployment_id), service_deployment_status=asked))
    for _ in range(5):
        world.tick()
    record = world.rows.get(Deployment, stopped.deployment_id)
    assert record.rollout_state is RolloutState.FAILED
    if asked is ServiceDeploymentStatus.ROLLBACK_REQUESTED:
        assert record.service_deployment_status is ServiceDeploymentStatus.ROLLBACK_SUCCESSFUL
        assert world.settled
        assert world.service.task_definition == good.task_definition
    else:
        assert record.service_deployment_status is ServiceDeploymentStatus.STOPPED
        assert world.primary.deployment_id == stopped.deployment_id


# Deleting


def test_a_deleted_service_is_inactive_once_every_task_is_stopping():
    world = running(desired=2)
    world.delete()
    world.schedule()
    assert world.service.status is ServiceStatus.DRAINING
    assert world.living == []
    finish_stops(world)
    assert world.service.status is ServiceStatus.INACTIVE
    assert world.service.deleted_at == world.now
    assert world.rows.get(Deployment, world.rows.find(Deployment)[0].deployment_id).status is DeploymentStatus.INACTIVE


def test_deleting_by_force_ends_protected_tasks_too():
    world = running(desired=1)
    world.change(world.living[0], protection_enabled=True)
    world.delete()
    world.schedule()
    assert world.living == []


# What tasks are born with


def test_later_tasks_run_the_image_that_the_first_one_resolved():
    world = running(desired=1)
    revision = world.rows.get(ServiceRevision, world.primary.service_revision_arn)
    assert revision.container_images == {"app": DIGEST}
    world.update(desired_count=2)
    world.schedule()
    newest = max(world.living, key=lambda task: task.created_at)
    assert newest.containers[0].image == f"example/app@{DIGEST}"


def test_tags_are_propagated_and_managed_ones_added():
    world = ServiceWorld(desired=1)
    world.update(tags=(Tag(key="team", value="a"),), propagate_tags="SERVICE", enable_ecs_managed_tags=True)
    world.schedule()
    assert [(tag.key, tag.value) for tag in world.living[0].tags] == [
        ("team", "a"),
        ("aws:ecs:clusterName", "default"),
        ("aws:ecs:serviceName", "web"),
    ]


def test_a_strategy_fills_the_base_and_then_shares_by_weight():
    strategy = (
        CapacityProviderStrategyItem(capacity_provider="FARGATE", base=2, weight=1),
        CapacityProviderStrategyItem(capacity_provider="FARGATE_SPOT", weight=3),
    )
    world = ServiceWorld(desired=10, created=False)
    world.update(capacity_provider_strategy=strategy, launch_type=None)
    world.roll()
    world.schedule()
    names = [task.capacity_provider_name for task in world.living]
    assert (names.count("FARGATE"), names.count("FARGATE_SPOT")) == (4, 6)
    assert names[:2] == ["FARGATE", "FARGATE"]
    assert {task.launch_type for task in world.living} == {"FARGATE"}


def test_a_large_service_is_started_in_portions():
    world = ServiceWorld(desired=250)
    counts = []
    while actions := world.look().actions:
        counts += [action.count for action in actions if isinstance(action, StartTasks)]
    assert counts == [100, 100, 50]


def test_a_deployment_id_reads_as_in_ecs():
    assert a_deployment(number=7).deployment_id == "ecs-svc/0000000000000000007"
