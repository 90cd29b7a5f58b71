"""What an agent does next with a task."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.agent.worlds import World, a_container, a_task, after, tasks

from wherry.agent import dependencies, progress, steps
from wherry.agent.memory import Assignment, Fault, TaskReport, Told
from wherry.agent.progress import Phase
from wherry.agent.runtime.base import ContainerState, Health
from wherry.agent.spec import Condition, HealthCheck, TaskSpec, TaskVolume, Volume
from wherry.model.task import DesiredStatus

ROUNDS = 200
CHECK = HealthCheck(command=("CMD", "true"))


def a_world(*containers, eni=None) -> World:
    return World(a_task(*containers, eni=eni), Random(0))


def bring_up(world: World, turns: int = 12) -> World:
    for _ in range(turns):
        world.turn(fair=True, faults=False)
    return world


def step_names(world: World) -> set[tuple[str, str]]:
    plan = steps.next_steps(world.look(), now=world.now, sandboxed=world.sandboxed)
    return {
        (type(step).__name__, getattr(step, "name", "") or getattr(getattr(step, "container", None), "name", ""))
        for step in plan.steps
        if not isinstance(step, steps.Tell)
    }


@settings(max_examples=400, deadline=None)
@given(spec=tasks(), seed=st.integers(0, 2**32))
def test_whatever_happens_the_order_holds_and_a_task_that_is_to_stop_ends(spec: TaskSpec, seed: int) -> None:
    random = Random(seed)  # Drawn values would be anything but evenly spread, and little would happen.
    world, stop_at = World(spec, random), random.randrange(60)
    for round_ in range(ROUNDS):
        if round_ == stop_at:
            world.want_stopped()
        if random.random() < 0.1:
            world.crash()
        world.turn()
        world.happen()
        if world.finished:
            break
    assert world.finished, world.phases()
    statuses = [status for kind, status in world.told if kind == "task"]
    assert statuses == sorted(statuses), "a report went back"
    assert statuses[-1] == "STOPPED"
    assert statuses.count("STOPPED") == 1
    if spec.eni is not None:
        assert world.told[-1] == ("attachment", "DETACHED")


@settings(max_examples=150, deadline=None)
@given(spec=tasks(), seed=st.integers(0, 2**32))
def test_a_task_never_hangs_without_something_to_wait_for(spec: TaskSpec, seed: int) -> None:
    world = World(spec, Random(seed))
    for _ in range(ROUNDS):
        before = world.assignment
        view = world.turn(fair=True, faults=False)
        plan = steps.next_steps(view, now=world.now, sandboxed=world.sandboxed)
        if not plan.steps and world.assignment == before:
            waited_for = any(phase is Phase.RUNNING for phase in world.phases().values())
            assert world.finished or waited_for, "nothing to do, nothing runs, and it is not over"
        world.happen()
        if world.finished:
            break


def test_independent_containers_rise_side_by_side() -> None:
    world = a_world(a_container("a"), a_container("b"))

    assert step_names(world) == {("EnsureSandbox", ""), ("PullImage", "a"), ("PullImage", "b")}


def test_the_wait_gates_the_image_pull() -> None:
    world = a_world(a_container("a"), a_container("b", depends_on=(after("a"),)))

    assert ("PullImage", "b") not in step_names(world)
    world.turn(fair=True, faults=False)
    assert ("PullImage", "b") not in step_names(world)
    bring_up(world)
    assert world.started == ["a", "b"]


def test_success_of_a_failed_container_stops_the_task_and_says_why() -> None:
    world = a_world(
        a_container("init", essential=False), a_container("app", depends_on=(after("init", Condition.SUCCESS),))
    )
    bring_up(world, 4)
    world.end("init", 3)
    bring_up(world)

    assert world.started == ["init"]
    assert world.finished
    fault = world.assignment.memory("app").fault
    assert fault is not None
    assert fault.reason == (
        "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency [init] "
        "for target [app] as dependency did not exit successfully."
    )


def test_complete_is_content_with_any_exit_code() -> None:
    world = a_world(
        a_container("init", essential=False), a_container("app", depends_on=(after("init", Condition.COMPLETE),))
    )
    bring_up(world, 4)
    world.end("init", 3)
    bring_up(world)

    assert world.started == ["init", "app"]
    assert not world.finished


def test_healthy_waits_for_the_check_and_only_at_start_up() -> None:
    world = a_world(
        a_container("db", health_check=CHECK), a_container("app", depends_on=(after("db", Condition.HEALTHY),))
    )
    bring_up(world)
    assert world.started == ["db"]

    world.engine["db"] = replace(world.engine["db"], health=Health.HEALTHY)
    bring_up(world)
    world.engine["db"] = replace(world.engine["db"], health=Health.UNHEALTHY)
    bring_up(world)

    assert world.started == ["db", "app"]
    assert world.phases() == {"db": Phase.RUNNING, "app": Phase.RUNNING}


def test_a_start_timeout_counts_from_the_dependencys_own_start_and_wakes_the_task() -> None:
    world = a_world(
        a_container("db", health_check=CHECK, start_timeout=60),
        a_container("app", depends_on=(after("db", Condition.HEALTHY),)),
    )
    bring_up(world)
    started_at = world.engine["db"].started_at
    plan = steps.next_steps(world.look(), now=world.now, sandboxed=True)
    assert plan.wake_at == started_at + 60

    world.now = started_at + 59.9
    bring_up(world)
    assert not world.finished
    world.now = started_at + 60
    bring_up(world)

    assert world.finished
    fault = world.assignment.memory("app").fault
    assert fault is not None
    assert fault.message.endswith("[db] for target [app] has timed out.")


def test_a_dependency_that_comes_too_late_changes_nothing() -> None:
    world = a_world(
        a_container("db", health_check=CHECK, start_timeout=5),
        a_container("app", depends_on=(after("db", Condition.HEALTHY),)),
    )
    bring_up(world)
    world.now += 10
    world.look()
    world.engine["db"] = replace(world.engine["db"], health=Health.HEALTHY)
    bring_up(world)

    assert world.started == ["db"]


def test_start_has_no_timeout() -> None:
    world = a_world(a_container("a", start_timeout=1), a_container("b", depends_on=(after("a"),)))
    bring_up(world, 4)
    world.now += 100
    bring_up(world)

    assert world.started == ["a", "b"]


def test_a_container_goes_down_after_all_that_depend_on_it() -> None:
    world = bring_up(a_world(a_container("db"), a_container("app", depends_on=(after("db"),)), a_container("x")))
    world.want_stopped()

    assert step_names(world) == {("StopContainer", "app"), ("StopContainer", "x")}
    world.turn(fair=True, faults=False)
    assert step_names(world) == {("StopContainer", "db")}


def test_an_essential_container_that_ends_takes_the_others_with_it() -> None:
    world = bring_up(a_world(a_container("a"), a_container("b")))
    world.end("a", 0)

    assert step_names(world) == {("StopContainer", "b")}


def test_a_container_that_is_not_essential_ends_alone() -> None:
    world = bring_up(a_world(a_container("a"), a_container("b", essential=False)))
    world.end("b", 1)

    assert step_names(world) == set()
    assert world.look().running


def test_cycles_and_missing_names_are_found() -> None:
    ring = a_task(a_container("a", depends_on=(after("b"),)), a_container("b", depends_on=(after("a"),)))
    nobody = a_task(a_container("a", depends_on=(after("z"),)))
    unchecked = a_task(a_container("a"), a_container("b", depends_on=(after("a", Condition.HEALTHY),)))

    for spec in (ring, nobody, unchecked):
        fault = dependencies.unresolvable(spec)
        assert fault is not None
        assert fault.reason == (f"TaskDependencyError: Task dependencies cannot be resolved, taskArn: {spec.arn}")


def test_a_container_that_fails_to_start_is_not_started_again() -> None:
    world = a_world(a_container("a"))
    bring_up(world, 2)
    world.engine["a"] = replace(world.engine["a"], error="exec format error")
    world.look()

    assert world.assignment.memory("a").fault.reason == "CannotStartContainerError: exec format error"
    bring_up(world)
    assert world.started == []
    assert world.finished


def test_a_container_that_somebody_removed_has_ended() -> None:
    world = bring_up(a_world(a_container("a")))
    del world.engine["a"]
    world.look()

    end = world.assignment.memory("a").end
    assert (end.code, end.reason) == (None, "ContainerVanishedError: No container matching saved ID found")


def test_a_container_that_runs_in_spite_of_a_failed_start_is_stopped() -> None:
    world = bring_up(a_world(a_container("a")))
    world.note("a", **world.fault())

    assert step_names(world) == {("StopContainer", "a")}


def test_an_observation_proves_nothing_about_a_container_that_is_being_worked_on() -> None:
    assignment = Assignment(spec=a_task(a_container("a")))
    assignment = replace(assignment, containers={"a": replace(assignment.memory("a"), runtime_id="id-a")})

    assert progress.learn(assignment, [], busy={"a"}) is assignment
    assert progress.learn(assignment, []).memory("a").fault == progress.VANISHED


def test_a_container_that_was_removed_before_its_start_is_created_again() -> None:
    known = Assignment(spec=a_task(a_container("a")))
    memory = replace(known.memory("a"), pulled=True, runtime_id="id-a")
    known = replace(known, containers={"a": memory})

    again = progress.learn(known, [], unstarted={"a"})
    plan = steps.next_steps(progress.look(again, []), now=0, sandboxed=True)

    assert again.memory("a") == replace(memory, runtime_id=None)
    assert plan.steps == (steps.CreateContainer(container=known.spec.containers[0]),)
    stopping = replace(known, desired=DesiredStatus.STOPPED)
    assert progress.learn(stopping, [], unstarted={"a"}) == stopping


def test_containers_are_kept_for_the_cleanup_wait_and_the_address_is_not() -> None:
    world = bring_up(a_world(a_container("a")))
    world.want_stopped()
    world.turn(fair=True, faults=False)
    world.turn(fair=True, faults=False)
    told_at = world.assignment.told.stopped_at

    plan = steps.next_steps(world.look(), now=told_at + 99, sandboxed=True, cleanup_wait=100)
    assert plan == steps.Plan(steps=(steps.RemoveSandbox(),), wake_at=told_at + 100)
    later = steps.next_steps(world.look(), now=told_at + 100, sandboxed=True, cleanup_wait=100)
    assert steps.RemoveContainer(name="a", runtime_id="id-a") in later.steps
    assert world.engine["a"].state is ContainerState.EXITED


def test_volumes_go_after_the_address_for_both_are_the_tasks_to_do() -> None:
    own = (Volume(name="data", source=TaskVolume()),)
    failed = Assignment(
        spec=a_task(a_container("a"), volumes=own),
        fault=Fault(name="ResourceInitializationError", message="no room"),
        told=Told(task=TaskReport(status="STOPPED", containers=()), stopped_at=1),
    )
    cleared = []
    for done in ({"detached": True}, {"emptied": True}):
        plan = steps.next_steps(progress.look(failed, []), now=2, sandboxed=False)
        cleared.append([step for step in plan.steps if not isinstance(step, steps.Tell)])
        failed = replace(failed, **done)
    assert cleared == [[steps.RemoveSandbox()], [steps.RemoveVolumes()]]
