"""Two Wherrys on one engine leave each other alone; one data directory belongs to one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.lab import Cluster, Wherry, a_wherry, address, eventually, fetch, reach, runtime_ids
from tests.e2e.pictures import web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Wherry]:
    with a_wherry(tmp_path / "other") as wherry:
        yield wherry


def test_two_on_one_engine_do_not_meet(own: Wherry, other: Wherry) -> None:
    own.start("up")
    other.start("up")
    clusters = []
    for name, wherry in (("own", own), ("other", other)):
        eventually("both to be up", wherry.joined)
        cluster = Cluster(wherry)
        cluster.serve("web", cluster.register("web", web(page=name)), 2)
        clusters.append(cluster)
    mine, theirs = clusters
    for cluster in clusters:
        cluster.stable("web")
    pages = {address(task): "own" for task in mine.tasks_of("web")}
    pages |= {address(task): "other" for task in theirs.tasks_of("web")}
    assert len(pages) == 4
    for host, page in pages.items():
        reach(host, page)

    before = [runtime_ids(task) for task in theirs.tasks_of("web")]
    own.down()
    assert own.remains() == {}
    assert [runtime_ids(task) for task in theirs.tasks_of("web")] == before
    assert [fetch(address(task)) for task in theirs.tasks_of("web")] == ["other", "other"]
    # And it can still start what it needs: the host's rules for forwarding are everybody's.
    theirs.ecs.update_service(service="web", forceNewDeployment=True)
    theirs.stable("web")
    for task in theirs.tasks_of("web"):
        reach(address(task), "other")


def test_a_data_directory_has_one_wherry_at_a_time(own: Wherry, tmp_path: Path) -> None:
    own.up()
    second = Wherry(tmp_path / "second")
    second.data = own.data
    program = second.start("up")
    assert program.process.wait(timeout=30) == 1
    said = program.said()
    assert said.startswith(f"error: Another wherry server (process {own.programs[0].process.pid}) works on {own.data}.")
    assert "hint: Stop it first, or choose another directory with --data-dir." in said
    assert "Traceback" not in said
    assert own.joined()
