"""Volumes of a task definition on a real engine: who sees what, and what is left when."""

from __future__ import annotations

import re
from typing import Any

import aiodocker
import anyio
import pytest
from msgspec.structs import replace
from tests.contract.definitions import a_bench, container, eventually, runs, stays
from tests.contract.runtime_lab import docker_container, docker_lab, task

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.runtime.docker.engine import engine_url
from wherry.agent.spec import ManagedVolume, Mount, SharedVolume, TaskVolume, Volume
from wherry.model.filesystems import FileSystem
from wherry.model.host_rules import HostRules

pytestmark = [pytest.mark.anyio, pytest.mark.docker]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def bench(tmp_path):
    shared = tmp_path / "efs"
    (shared / "app").mkdir(parents=True)
    (shared / "app" / "greeting").write_text("from the file system\n")
    (shared / "way-out").symlink_to("/etc")
    systems = {"fs-12345678": FileSystem(path=str(shared)), "fsap-12345678": FileSystem(path=str(shared / "app"))}
    async with a_bench(tmp_path, file_systems=systems, host_paths=(str(tmp_path),)) as opened:
        opened.options["host_rules"] = HostRules(paths=(str(tmp_path),))
        async with opened.agent():
            yield opened


def mount(volume: str, path: str, **members: Any) -> dict[str, Any]:
    return {"sourceVolume": volume, "containerPath": path} | members


async def volumes_of(docker: aiodocker.Docker, **labels: str) -> list[dict[str, Any]]:
    wanted = {"label": [f"{name}={value}" for name, value in labels.items()]}
    return (await docker.volumes.list(filters=wanted))["Volumes"] or []


@pytest.mark.shows(
    "RegisterTaskDefinition.volumes", "ContainerDefinition.mountPoints", "MountPoint", "Volume.name", "Volume.host"
)
async def test_containers_share_a_volume_that_begins_as_the_image_has_it_and_goes_with_the_task(bench):
    writer = stays("echo written >/www/note", mountPoints=[mount("data", "/www")])
    reader = stays(name="reader", mountPoints=[mount("data", "/data", readOnly=True)])
    found = await bench.run(writer, reader, fargate=True, volumes=[{"name": "data"}])
    assert await bench.inside(found, "cat /data/note /data/index.html", "reader") == "written\nhello\n"
    assert "Read-only file system" in await bench.inside(found, "echo x 2>&1 >/data/other", "reader")
    assert len(await volumes_of(bench.docker, **{"com.amazonaws.ecs.task-arn": found.arn})) == 1
    await bench.stop(found)
    assert await bench.gone(found)


@pytest.mark.shows("HostVolumeProperties")
async def test_a_path_of_the_host_is_mounted_and_made_if_it_is_missing(bench, tmp_path):
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "file").write_text("of the host\n")
    found = await bench.run(
        stays("echo new >/new/file", mountPoints=[mount("old", "/old", readOnly=True), mount("new", "/new")]),
        volumes=[
            {"name": "old", "host": {"sourcePath": str(tmp_path / "host")}},
            {"name": "new", "host": {"sourcePath": str(tmp_path / "made" / "by" / "docker")}},
        ],
    )
    assert await bench.inside(found, "cat /old/file") == "of the host\n"
    await bench.stop(found)
    assert (tmp_path / "made" / "by" / "docker" / "file").read_text() == "new\n"


@pytest.mark.shows("ContainerDefinition.volumesFrom", "VolumeFrom")
async def test_volumes_from_another_container_wait_for_it_and_can_be_read_only(bench):
    source = stays(name="source", mountPoints=[mount("data", "/data")])
    user = stays(volumesFrom=[{"sourceContainer": "source", "readOnly": True}])
    found = await bench.run(user, source, volumes=[{"name": "data"}])
    await bench.inside(found, "echo shared >/data/file", "source")
    assert await bench.inside(found, "cat /data/file") == "shared\n"
    assert "Read-only file system" in await bench.inside(found, "echo x 2>&1 >/data/file")
    assert (await bench.inspected(found, "source"))["Created"] <= (await bench.inspected(found))["Created"]


@pytest.mark.shows(
    "Volume.dockerVolumeConfiguration",
    "DockerVolumeConfiguration.driver",
    "DockerVolumeConfiguration.driverOpts",
    "DockerVolumeConfiguration.labels",
)
async def test_a_docker_volume_has_its_driver_options_and_labels(bench):
    configuration = {"scope": "task", "driver": "local", "labels": {"team": "blue"}}
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=3m"}
    found = await bench.run(
        stays(mountPoints=[mount("scratch", "/scratch")]),
        volumes=[{"name": "scratch", "dockerVolumeConfiguration": configuration | {"driverOpts": options}}],
    )
    assert "tmpfs /scratch tmpfs rw,relatime,size=3072k" in await bench.inside(found, "cat /proc/mounts")
    (volume,) = await volumes_of(bench.docker, team="blue")
    assert volume["Options"] == options
    await bench.stop(found)
    assert await bench.gone(found)


@pytest.mark.shows("DockerVolumeConfiguration.scope", "DockerVolumeConfiguration.autoprovision")
async def test_a_shared_volume_stays_and_keeps_its_name(bench):
    shared = {"scope": "shared", "autoprovision": True}
    volumes = [{"name": "wherry-test-shared", "dockerVolumeConfiguration": shared}]
    try:
        for number in (1, 2):
            found = await bench.run(
                stays(f"echo {number} >>/data/file", mountPoints=[mount("wherry-test-shared", "/data")]),
                volumes=volumes,
            )
            await bench.stop(found)
            await bench.gone(found)
        last = await bench.run(stays(mountPoints=[mount("wherry-test-shared", "/data")]), volumes=volumes)
        assert await bench.inside(last, "cat /data/file") == "1\n2\n"
        await bench.stop(last)
        await bench.gone(last)
    finally:
        await bench.runtime.remove_everything()
        await aiodocker.docker.DockerVolume(bench.docker, "wherry-test-shared").delete()


async def test_a_shared_volume_that_is_to_be_there_and_is_not_fails_the_task(bench):
    report = await bench.ended(
        stays(mountPoints=[mount("wherry-test-absent", "/data")]),
        volumes=[{"name": "wherry-test-absent", "dockerVolumeConfiguration": {"scope": "shared"}}],
    )
    assert container(report)["reason"] == (
        "CannotCreateVolumeError: volume wherry-test-absent does not exist on this host, and autoprovision is false"
    )
    assert "exitCode" not in container(report)


@pytest.mark.shows("Volume.efsVolumeConfiguration", "EFSVolumeConfiguration", "EFSAuthorizationConfig")
async def test_a_file_system_is_a_directory_that_the_host_maps(bench):
    plain, point = {"fileSystemId": "fs-12345678", "rootDirectory": "/app"}, {"accessPointId": "fsap-12345678"}
    secure = {"fileSystemId": "fs-12345678", "transitEncryption": "ENABLED", "authorizationConfig": point}
    found = await bench.run(
        stays(mountPoints=[mount("plain", "/plain"), mount("point", "/point", readOnly=True)]),
        fargate=True,
        volumes=[
            {"name": "plain", "efsVolumeConfiguration": plain},
            {"name": "point", "efsVolumeConfiguration": secure},
        ],
    )
    assert await bench.inside(found, "cat /plain/greeting /point/greeting") == "from the file system\n" * 2


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        ({"fileSystemId": "fs-87654321"}, "fs-87654321 is not mapped on this host: name it in the setting WHERRY_EFS"),
        ({"fileSystemId": "fs-12345678", "rootDirectory": "/none"}, "does not exist: make it first"),
        ({"fileSystemId": "fs-12345678", "rootDirectory": "/way-out"}, "leads out of the file system"),
    ],
)
async def test_a_file_system_that_cannot_be_had_fails_the_task_with_its_reason(bench, configuration, reason):
    report = await bench.ended(
        stays(mountPoints=[mount("data", "/data")]), volumes=[{"name": "data", "efsVolumeConfiguration": configuration}]
    )
    said = report["reason"]
    assert "exitCode" not in container(report)
    assert said.startswith("ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: ")
    assert reason in said


async def test_a_task_that_mounts_a_file_of_its_own_over_etc_hosts_has_it(bench, tmp_path):
    (tmp_path / "hosts").write_text("192.0.2.1 mine\n")
    found = await bench.run(
        stays(mountPoints=[mount("hosts", "/etc/hosts")]),
        volumes=[{"name": "hosts", "host": {"sourcePath": str(tmp_path / "hosts")}}],
    )
    assert await bench.inside(found, "cat /etc/hosts") == "192.0.2.1 mine\n"


async def test_an_agent_that_died_removes_the_volumes_of_a_task_that_ended_meanwhile(tmp_path):
    async with a_bench(tmp_path) as bench:
        async with bench.agent():
            found = await bench.run(runs("sleep 1", mountPoints=[mount("data", "/data")]), volumes=[{"name": "data"}])
        async with bench.agent():
            await bench.told(found, "STOPPED")
            assert await bench.gone(found)


async def test_volumes_of_which_nobody_knows_any_more_are_leftovers(tmp_path):
    async with a_bench(tmp_path) as bench:
        async with bench.agent():
            found = await bench.run(stays(mountPoints=[mount("data", "/data")]), volumes=[{"name": "data"}])
        (tmp_path / "journal.db").unlink()
        async with bench.agent():
            bench.roster.clear_leftovers([])
            assert await bench.gone(found)


async def test_two_agents_do_not_touch_each_others_volumes(tmp_path):
    own = task(
        docker_container(mounts=(Mount(volume="data", path="/data"),)),
        volumes=(Volume(name="data", source=TaskVolume(labels={"wherry.instance": "forged"})),),
    )
    async with docker_lab("namespace", tmp_path) as lab:
        await lab.started(own)
        assert await lab.other.volumes() == frozenset()
        await lab.other.remove_volumes(own.arn)
        await lab.other.remove_everything()
        assert await lab.runtime.volumes() == {own.arn}
        with pytest.raises(RuntimeFault, match=r"CannotRemoveVolumeError: .*in use"):
            await lab.runtime.remove_volumes(own.arn)


async def test_a_shared_volume_of_another_wherry_is_not_used(tmp_path):
    volume = Volume(name="wherry-test-contested", source=SharedVolume(autoprovision=True))
    first, second = (
        task(docker_container(mounts=(Mount(volume=volume.name, path="/data"),)), volumes=(volume,)) for _ in range(2)
    )
    async with docker_lab("namespace", tmp_path) as lab, aiodocker.Docker() as docker:
        try:
            await lab.started(first)
            await lab.other.ensure_sandbox(second)
            with pytest.raises(RuntimeFault, match="was made by another Wherry of this host"):
                await lab.other.create(second, second.containers[0])
        finally:
            await lab.runtime.remove_everything()
            await aiodocker.docker.DockerVolume(docker, volume.name).delete()


def disk(**members: Any) -> dict[str, Any]:
    """Describe a volume that is configured at launch, in the words of RunTask."""
    managed = {"roleArn": "ebs", "sizeInGiB": 1} | members
    return {
        "volumes": [{"name": "data", "configuredAtLaunch": True}],
        "configured": [{"name": "data", "managedEBSVolume": managed}],
        "fargate": True,
    }


@pytest.mark.shows("Volume.configuredAtLaunch")
@pytest.mark.parametrize("file_system", ["xfs", "ext4", "ext3"])
async def test_a_disk_has_its_size_and_is_shared_by_the_containers_of_its_task(bench, tmp_path, file_system):
    # The image has files at /www: a disk hides them.
    main = stays(mountPoints=[mount("data", "/www")])
    reader = stays(name="reader", mountPoints=[mount("data", "/data", readOnly=True)])
    found = await bench.run(main, reader, **disk(filesystemType=file_system))
    assert f" /www {file_system} rw" in await bench.inside(found, "cat /proc/mounts")
    assert "index.html" not in await bench.inside(found, "busybox ls /www")
    assert "No space left on device" in await bench.inside(found, "cat /dev/zero 2>&1 >/www/full")
    written = int(await bench.inside(found, "busybox stat -c %s /data/full", "reader"))
    assert 0.85 * 2**30 < written < 2**30
    assert "Read-only file system" in await bench.inside(found, "echo x 2>&1 >/data/other", "reader")
    [file] = (tmp_path / "own" / "volumes").glob("*/disk.*")
    assert file.stat().st_blocks * 512 >= 2**30, "what was reserved is still there"
    await bench.stop(found)
    assert await bench.gone(found)
    assert not list((tmp_path / "own" / "volumes").iterdir())


async def test_a_kept_disk_has_what_was_written_to_it(bench, tmp_path):
    script = "echo precious >/data/note"
    kept = disk(filesystemType="ext4", terminationPolicy={"deleteOnTermination": False})
    await bench.ended(runs(script, mountPoints=[mount("data", "/data")]), **kept)

    async def look() -> list[Any]:
        return [path for path in (tmp_path / "own" / "volumes").iterdir() if path.is_file()]

    [file] = await eventually(look)
    assert re.fullmatch(r"vol-[0-9a-f]{17}\.ext4", file.name)
    said = await anyio.run_process(["debugfs", "-R", "cat /note", str(file)])
    assert said.stdout == b"precious\n"


async def test_a_task_keeps_its_disk_while_its_agent_is_dead(tmp_path):
    async with a_bench(tmp_path) as bench:
        async with bench.agent():
            found = await bench.run(stays("echo 1 >/data/note", mountPoints=[mount("data", "/data")]), **disk())
            [file] = (tmp_path / "own" / "volumes").glob("*/disk.xfs")
            inode = file.stat().st_ino
        assert await bench.inside(found, "echo 2 >>/data/note; cat /data/note") == "1\n2\n"
        async with bench.agent():
            # Even if the control plane knew nothing of it: what is in the journal runs on.
            bench.roster.clear_leftovers([])
            assert await bench.inside(found, "cat /data/note") == "1\n2\n"
            assert file.stat().st_ino == inode
            await bench.stop(found)
            assert await bench.gone(found)
        assert not list((tmp_path / "own" / "volumes").iterdir())


async def test_what_a_dead_agent_left_of_a_disk_is_cleared_away(tmp_path):
    async with a_bench(tmp_path) as bench:
        async with bench.agent():
            await bench.run(stays(mountPoints=[mount("data", "/data")]), **disk())
        (tmp_path / "journal.db").unlink()
        async with bench.agent():
            bench.roster.clear_leftovers([])

            async def look() -> bool:
                return not list((tmp_path / "own" / "volumes").iterdir())

            assert await eventually(look)


async def test_a_container_that_is_restarted_after_its_host_finds_what_it_wrote(tmp_path):
    async with docker_lab("namespace", tmp_path) as lab:
        source = ManagedVolume(id=f"vol-{7:017x}", size_gib=1)
        script = ("/bin/sh", "-c", "echo again >>/data/note; cat /data/note; sleep 600")
        main = replace(docker_container(mounts=(Mount(volume="data", path="/data"),)), command=script)
        spec = task(main, volumes=(Volume(name="data", source=source),))
        [runtime_id] = await lab.started(spec)
        await lab.runtime.stop(runtime_id, timeout=0)
        [link] = (tmp_path / "own" / "volumes").glob("*/device")
        # What the host's restart does: no device has the file any more, and its number may be another file's.
        await anyio.run_process(["losetup", "--detach", str(link.resolve())])
        link.unlink()
        await lab.runtime.ensure_sandbox(spec)
        await lab.runtime.restart(runtime_id)
        async with aiodocker.Docker(engine_url()) as docker:

            async def look() -> bool:
                said = await docker.containers.container(runtime_id).log(stdout=True)
                return "".join(said) == "again\nagain\nagain\n"

            assert await eventually(look)


async def test_a_host_without_room_fails_the_task_with_the_reason(bench, tmp_path):
    report = await bench.ended(stays(mountPoints=[mount("data", "/data")]), **disk(sizeInGiB=16384))
    assert report["reason"].startswith("ResourceInitializationError: volume vol-")
    assert "has no room for 16384 GiB" in report["reason"]

    async def look() -> bool:
        return not list((tmp_path / "own" / "volumes").iterdir())

    assert await eventually(look)
