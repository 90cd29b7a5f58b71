"""Volumes as the user of a whole Wherry has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.e2e.lab import Cluster, Wherry, a_wherry, container, eventually, inside, run
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


def at_launch(cluster: Cluster, family: str = "disks") -> str:
    """Register a definition whose volume is configured at launch."""
    mounts = [{"sourceVolume": "data", "containerPath": "/data"}]
    answer = cluster.ecs.register_task_definition(
        family=family,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        volumes=[{"name": "data", "configuredAtLaunch": True}],
        containerDefinitions=[web("main", mountPoints=mounts)],
    )
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def a_disk(**members: Any) -> list[dict[str, Any]]:
    return [{"name": "data", "managedEBSVolume": {"roleArn": "ecsInfrastructureRole", "sizeInGiB": 1} | members}]


def volume_of(task: dict[str, Any]) -> tuple[str, str]:
    """Tell the status and the id of a described task's volume."""
    [found] = [one for one in task["attachments"] if one["type"] == "AmazonElasticBlockStorage"]
    return found["status"], next(d["value"] for d in found["details"] if d["name"] == "volumeId")


def disks_of(wherry: Wherry) -> list[str]:
    return sorted(path.name for path in (wherry.data / "agent" / "volumes").glob("*"))


def loops_of(wherry: Wherry) -> list[str]:
    """List the files of this data directory that loop devices have."""
    found = [path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return [path for path in found if path.startswith(str(wherry.data))]


def test_every_task_of_a_service_has_a_disk_of_its_own_and_a_new_one_when_it_is_replaced(mapped: Wherry) -> None:
    cluster = Cluster(mapped)
    cluster.serve("disks", at_launch(cluster), 2, volumeConfigurations=a_disk(filesystemType="ext4"))
    first, second = cluster.stable("disks") and cluster.tasks_of("disks")
    for task, said in ((first, "first"), (second, "second")):
        main = container(task, "main")["runtimeId"]
        inside(main, "sh", "-c", f"echo {said} >/data/note")
        kib = int(inside(main, "sh", "-c", "busybox df -k /data | busybox tail -n 1 | busybox awk '{print $(NF-4)}'"))
        assert 0.9 * 2**20 < kib <= 2**20
        assert volume_of(task)[0] == "ATTACHED"
    assert volume_of(first)[1] != volume_of(second)[1]
    cluster.stop(first["taskArn"])
    assert volume_of(cluster.task(first["taskArn"]))[0] == "DELETED"

    def replaced() -> dict[str, Any] | None:
        others = [
            one for one in cluster.tasks_of("disks") if one["taskArn"] not in (first["taskArn"], second["taskArn"])
        ]
        return others[0] if others else None

    third = eventually("another task", replaced)
    assert third is not None
    assert inside(container(third, "main")["runtimeId"], "sh", "-c", "busybox ls /data") == "lost+found"
    assert inside(container(second, "main")["runtimeId"], "cat", "/data/note") == "second"
    assert len(disks_of(mapped)) == 2
    cluster.remove("disks")
    eventually("the disks to be gone", lambda: not disks_of(mapped) and not loops_of(mapped))


def test_a_disk_outlives_its_agent_and_its_task_if_it_is_told_to(tmp_path: Path) -> None:
    with a_wherry(tmp_path) as wherry:
        program = wherry.up()
        cluster = Cluster(wherry)
        kept = a_disk(filesystemType="ext4", terminationPolicy={"deleteOnTermination": False})
        task = cluster.running(cluster.run(at_launch(cluster), volumeConfigurations=kept))
        main = container(task, "main")["runtimeId"]
        inside(main, "sh", "-c", "echo precious >/data/note")
        program.kill()
        inside(main, "sh", "-c", "echo more >>/data/note")
        wherry.up()
        assert inside(main, "cat", "/data/note") == "precious\nmore"
        volume = volume_of(task)[1]
        cluster.stop(task["taskArn"])
        assert (disks_of(wherry), loops_of(wherry)) == ([f"{volume}.ext4"], [])
        kept_file = wherry.data / "agent" / "volumes" / f"{volume}.ext4"
        assert str(kept_file) in wherry.programs[-1].said()
        assert run("debugfs", "-R", "cat /note", str(kept_file)).stdout == "precious\nmore\n"
        eventually("the rest to be gone", lambda: not wherry.remains().get("volumes"))


def test_down_takes_disks_away_and_leaves_what_is_to_be_kept(tmp_path: Path) -> None:
    with a_wherry(tmp_path) as wherry:
        program = wherry.up()
        cluster = Cluster(wherry)
        definition = at_launch(cluster)
        policy = {"terminationPolicy": {"deleteOnTermination": False}}
        kept = cluster.running(cluster.run(definition, volumeConfigurations=a_disk(**policy)))
        cluster.running(cluster.run(definition, volumeConfigurations=a_disk()))
        program.kill()
        wherry.down()
        assert (disks_of(wherry), loops_of(wherry)) == ([f"{volume_of(kept)[1]}.xfs"], [])
        assert wherry.remains() == {}


def test_a_task_whose_disk_finds_no_room_says_so(mapped: Wherry) -> None:
    cluster = Cluster(mapped)
    task = cluster.stopped(cluster.run(at_launch(cluster), volumeConfigurations=a_disk(sizeInGiB=16384)))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "ResourceInitializationError: volume vol-" in task["stoppedReason"]
    assert "has no room for 16384 GiB" in task["stoppedReason"]
    assert disks_of(mapped) == []
