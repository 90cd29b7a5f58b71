"""When a task's CPU quota is in force."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from tests.unit.agent.worlds import a_container, a_task

from wherry.agent.sandbox import names, quota
from wherry.agent.sandbox.cgroups import Hierarchy

INSTANCE = "suite"
TASK = a_task(a_container("app"), cpu=0.25)
FORCE = {1: "25000", 2: "25000 100000"}
LIFTED = {1: "-1", 2: "max"}


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def file(tmp_path: Path, version: int) -> Path:
    levels = names.cgroup(INSTANCE, TASK.task_id)
    place = tmp_path.joinpath("cpu", *levels) if version == 1 else tmp_path.joinpath(*levels)
    place.mkdir(parents=True)
    made = place / ("cpu.cfs_quota_us" if version == 1 else "cpu.max")
    made.write_text(FORCE[version])
    return made


@pytest.fixture
def hierarchy(tmp_path: Path, version: int) -> Hierarchy:
    return Hierarchy(version=version, driver="cgroupfs", root=tmp_path)


def test_it_is_lifted_while_the_first_container_is_set_up_however_that_ends(
    hierarchy: Hierarchy, version: int, file: Path
) -> None:
    with suppress(KeyboardInterrupt), quota.lifted(hierarchy, INSTANCE, TASK.task_id):
        assert file.read_text() == LIFTED[version]
        file.write_text("")  # A kernel's file is written anew each time.
        raise KeyboardInterrupt
    assert file.read_text() == FORCE[version]


def test_containers_that_start_together_leave_it_in_force(hierarchy: Hierarchy, version: int, file: Path) -> None:
    first, second = (quota.lifted(hierarchy, INSTANCE, TASK.task_id) for _ in range(2))
    first.__enter__()
    second.__enter__()
    assert file.read_text() == LIFTED[version]
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert file.read_text() == FORCE[version]


def test_it_stays_in_force_where_something_runs_already(hierarchy: Hierarchy, version: int, file: Path) -> None:
    (file.parent / "container").mkdir()
    with quota.lifted(hierarchy, INSTANCE, TASK.task_id):
        assert file.read_text() == FORCE[version]


def test_it_is_in_force_again_after_an_agent_was_killed(hierarchy: Hierarchy, version: int, file: Path) -> None:
    file.write_text("")
    quota.hold(hierarchy, INSTANCE, TASK)
    assert file.read_text() == FORCE[version]


def test_nothing_is_made_for_a_task_that_is_gone(hierarchy: Hierarchy, tmp_path: Path, file: Path) -> None:
    file.unlink()
    with quota.lifted(hierarchy, INSTANCE, TASK.task_id):
        file.parent.rmdir()
    quota.hold(hierarchy, INSTANCE, TASK)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_limits_that_make_no_sense_are_for_the_making_of_the_cgroup_to_refuse(tmp_path: Path) -> None:
    greedy = a_task(a_container("app", memory=2**40), memory_mib=64)
    quota.hold(Hierarchy(version=2, driver="cgroupfs", root=tmp_path), INSTANCE, greedy)


def test_systemd_has_it_to_itself(tmp_path: Path) -> None:
    hierarchy = Hierarchy(version=2, driver="systemd", root=tmp_path)
    with quota.lifted(hierarchy, INSTANCE, TASK.task_id):
        quota.hold(hierarchy, INSTANCE, TASK)
