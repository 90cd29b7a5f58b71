"""Volumes as the user of a whole Wherry has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.e2e.lab import Cluster, Wherry, a_wherry, container, eventually, inside
from tests.e2e.pictures import script, web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("efs")
    (folder / "greeting").write_text("hello\n")
    return folder


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[Wherry]:
    with a_wherry(tmp_path_factory.mktemp("mapped"), WHERRY_EFS=f"fs-12345678={files}") as wherry:
        wherry.up()
        yield wherry


def test_a_service_shares_a_volume_among_its_containers_and_a_file_system_among_its_tasks(
    mapped: Wherry, files: Path
) -> None:
    cluster = Cluster(mapped)
    efs = {"name": "files", "efsVolumeConfiguration": {"fileSystemId": "fs-12345678"}}
    shared = [{"sourceVolume": "files", "containerPath": "/files"}, {"sourceVolume": "own", "containerPath": "/own"}]
    definition = cluster.ecs.register_task_definition(
        family="volumes",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        volumes=[efs, {"name": "own"}],
        containerDefinitions=[
            web("main", mountPoints=shared),
            script("side", "echo side >/own/note; trap 'exit 0' TERM; while :; do sleep 0.1; done", mountPoints=shared),
        ],
    )["taskDefinition"]["taskDefinitionArn"]
    first, second = (cluster.running(cluster.run(definition)) for _ in range(2))
    main = container(first, "main")["runtimeId"]
    assert eventually("the note", lambda: inside(main, "cat", "/own/note")) == "side"
    inside(main, "sh", "-c", "echo everybody >/files/note")
    assert inside(container(second, "main")["runtimeId"], "cat", "/files/note") == "everybody"
    assert len(mapped.remains()["volumes"]) == 2
    for task in (first, second):
        cluster.stop(task["taskArn"])
    eventually("the volumes to be gone", lambda: "volumes" not in mapped.remains())
    assert sorted(path.name for path in files.iterdir()) == ["greeting", "note"]


def test_down_removes_the_volumes_of_tasks(tmp_path: Path) -> None:
    with a_wherry(tmp_path) as wherry:
        wherry.up()
        cluster = Cluster(wherry)
        arn = cluster.ecs.register_task_definition(
            family="volumes",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            volumes=[{"name": "own"}],
            containerDefinitions=[web("main", mountPoints=[{"sourceVolume": "own", "containerPath": "/own"}])],
        )["taskDefinition"]["taskDefinitionArn"]
        cluster.running(cluster.run(arn))
        assert wherry.remains()["volumes"]
        wherry.programs[0].kill()
        wherry.down()
        assert wherry.remains() == {}


def test_a_path_of_the_host_is_refused_unless_a_setting_allows_it(mapped: Wherry) -> None:
    with pytest.raises(ClientError, match="WHERRY_HOST_PATHS"):
        mapped.ecs.register_task_definition(
            family="host",
            volumes=[{"name": "etc", "host": {"sourcePath": "/etc"}}],
            containerDefinitions=[{"name": "main", "image": "app", "memory": 64}],
        )
