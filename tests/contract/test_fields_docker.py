"""Fields of a task definition that need a real engine to show that they are honoured, and no control plane."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import anyio
import msgspec
import pytest
from tests.contract.definitions import Bucket, a_bench, container, eventually, payload, runs, stays

from wherry.agent import storage
from wherry.model.host_rules import HostRules

pytestmark = [pytest.mark.anyio, pytest.mark.docker]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=["namespace", "pause"])
def sandbox(request):
    return request.param


@pytest.fixture
async def bench(sandbox, tmp_path):
    async with a_bench(tmp_path, sandbox=sandbox, host_paths=(str(tmp_path),)) as opened:
        opened.options["host_rules"] = HostRules(
            paths=(str(tmp_path),),
            privileged=True,
            namespaces=True,
            devices=("/dev/null", "/dev/loop-control"),
            capabilities=("NET_ADMIN",),
        )
        async with opened.agent():
            yield opened


@pytest.mark.shows("LinuxParameters.devices", "Device")
async def test_devices_have_their_place_and_their_permissions(bench):
    devices = [
        {"hostPath": "/dev/loop-control", "containerPath": "/dev/loops", "permissions": ["read"]},
        {"hostPath": "/dev/null"},
    ]
    found = await bench.run(stays(linuxParameters={"devices": devices}))
    assert "not permitted" not in await bench.inside(found, ": 2>&1 </dev/loops")
    assert "Operation not permitted" in await bench.inside(found, ": 2>&1 >>/dev/loops")
    assert (await bench.inspected(found))["HostConfig"]["Devices"] == [
        {"PathOnHost": "/dev/loop-control", "PathInContainer": "/dev/loops", "CgroupPermissions": "r"},
        {"PathOnHost": "/dev/null", "PathInContainer": "/dev/null", "CgroupPermissions": "rwm"},
    ]


@pytest.mark.shows("LinuxParameters.capabilities", "KernelCapabilities")
async def test_a_capability_that_the_host_allows_is_added(bench):
    added = {"capabilities": {"add": ["NET_ADMIN"], "drop": ["CHOWN"]}}
    found = await bench.run(stays(linuxParameters=added))
    (line,) = re.findall(r"CapEff:\t(\w+)", await bench.inside(found, "cat /proc/1/status"))
    assert (int(line, 16) >> 12 & 1, int(line, 16) & 1) == (1, 0)


async def test_what_the_host_does_not_allow_ends_the_task_with_a_sentence(bench):
    report = await bench.ended(stays(linuxParameters={"capabilities": {"add": ["SYS_TIME"]}}))
    assert report["reason"] == (
        "HostConfigError: The capability SYS_TIME is not allowed by the host rules: "
        "the setting WHERRY_HOST_CAPABILITIES decides."
    )
    assert "exitCode" not in container(report)


async def test_a_link_below_an_allowed_path_leads_nowhere_else(bench, tmp_path):
    (tmp_path / "way-out").symlink_to("/etc")
    mounts = [{"sourceVolume": "out", "containerPath": "/out"}]
    volumes = [{"name": "out", "host": {"sourcePath": str(tmp_path / "way-out")}}]
    report = await bench.ended(stays(mountPoints=mounts), volumes=volumes)
    assert container(report)["reason"].endswith("leads to /etc, which is not allowed.")


@pytest.mark.shows("RegisterTaskDefinition.pidMode")
async def test_containers_of_a_task_share_their_processes_with_pid_mode_task(bench):
    found = await bench.run(stays(), stays(name="other"), pidMode="task")
    inside = await bench.inside(found, "busybox ps -o pid,args", "other")
    assert inside.count("while :; do sleep 0.05") >= 2
    # Process 1 is none of theirs, and buries what they leave behind.
    await bench.inside(found, "(sleep 0.2 &) ; (sleep 0.2 &)")

    async def buried() -> bool:
        return " Z " not in await bench.inside(found, "busybox ps -o stat,args")

    assert await eventually(buried)
    assert container(await bench.stop(found))["exitCode"] == 0


async def test_without_pid_mode_a_container_sees_its_own_processes_only(bench):
    found = await bench.run(stays(), stays(name="other"))
    assert (await bench.inside(found, "cat /proc/1/cmdline")).startswith("/bin/sh")


async def test_pid_mode_host_shows_the_processes_of_the_host(bench):
    found = await bench.run(stays(), pidMode="host")
    assert (await bench.inspected(found))["HostConfig"]["PidMode"] == "host"
    own = (await bench.inspected(found))["State"]["Pid"]
    assert "while" in await bench.inside(found, f"cat /proc/{own}/cmdline")


@pytest.mark.shows("RegisterTaskDefinition.ipcMode")
async def test_containers_of_a_task_share_memory_with_ipc_mode_task(bench):
    found = await bench.run(stays("echo shared >/dev/shm/file"), stays(name="other"), ipcMode="task")

    async def shared() -> bool:
        return await bench.inside(found, "cat /dev/shm/file 2>&1", "other") == "shared\n"

    assert await eventually(shared)
    namespaces = [await bench.inside(found, "busybox readlink /proc/self/ns/ipc", name) for name in ("main", "other")]
    assert len(set(namespaces)) == 1


async def test_with_ipc_mode_none_nothing_is_shared(bench):
    found = await bench.run(stays(), stays(name="other"), ipcMode="none")
    assert "/dev/shm" not in await bench.inside(found, "cat /proc/mounts")
    namespaces = [await bench.inside(found, "busybox readlink /proc/self/ns/ipc", name) for name in ("main", "other")]
    assert len(set(namespaces)) == 2


async def test_ipc_mode_host_is_the_hosts(bench):
    found = await bench.run(stays(), ipcMode="host")
    link = (await bench.inside(found, "busybox readlink /proc/self/ns/ipc")).strip()
    assert link == str(await anyio.Path("/proc/self/ns/ipc").readlink())


@pytest.mark.shows("ContainerDefinition.disableNetworking")
async def test_a_container_without_networking_has_the_loopback_only(bench):
    found = await bench.run(stays(disableNetworking=True), stays(name="other"))
    assert "eth0" not in await bench.inside(found, "cat /proc/net/dev")
    assert "eth0" in await bench.inside(found, "cat /proc/net/dev", "other")


@pytest.mark.shows("PortMapping.containerPortRange")
async def test_a_range_of_ports_is_reached_at_the_tasks_own_address(bench):
    servers = "httpd -p 9000 -h /www; httpd -p 9004 -h /www"
    found = await bench.run(stays(servers, portMappings=[{"containerPortRange": "9000-9004"}]))
    address = found.elastic_network_interfaces[0].ipv4_addresses[0].private_address

    async def page(port: int) -> bytes:
        with anyio.fail_after(5):
            while True:
                try:
                    stream = await anyio.connect_tcp(address, port)
                except OSError:  # The container runs; its servers may not listen yet.
                    await anyio.sleep(0.05)
                else:
                    break
            async with stream:
                await stream.send(b"GET / HTTP/1.0\r\n\r\n")
                said = b""
                async for chunk in stream:
                    said += chunk
                return said

    assert b"hello" in await page(9000)
    assert b"hello" in await page(9004)


@pytest.mark.shows(
    "LinuxParameters.sharedMemorySize",
    "LinuxParameters.tmpfs",
    "LinuxParameters.maxSwap",
    "LinuxParameters.swappiness",
    "Tmpfs",
    "ContainerDefinition.dockerSecurityOptions",
)
async def test_plain_fields_of_ec2_tasks_hold(bench):
    linux = {
        "sharedMemorySize": 33,
        "tmpfs": [{"containerPath": "/scratch", "size": 5, "mountOptions": ["noexec"]}],
        "maxSwap": 32,
        "swappiness": 10,
    }
    main = stays(linuxParameters=linux, memory=64, dockerSecurityOptions=["no-new-privileges"])
    found = await bench.run(main)
    mounts = await bench.inside(found, "cat /proc/mounts")
    assert re.search(r"^\S+ /scratch tmpfs \S*noexec\S*size=5120k", mounts, re.MULTILINE)
    assert re.search(r"^\S+ /dev/shm tmpfs \S*size=33792k", mounts, re.MULTILINE)
    assert "NoNewPrivs:\t1" in await bench.inside(found, "cat /proc/1/status")
    host = (await bench.inspected(found))["HostConfig"]
    assert (host["MemorySwap"], host["MemorySwappiness"]) == (96 * 2**20, 10)


@pytest.mark.shows("ContainerDefinition.privileged")
async def test_a_privileged_container_is_created_as_one(bench):
    task = bench.begin(stays(privileged=True))

    async def seen() -> Any:
        reports = [one for one in bench.control_plane.reports if one["task"] == task.arn]
        return reports[0] if reports else None

    report = await eventually(seen)
    if report["status"] == "RUNNING":
        assert (await bench.inspected(task))["HostConfig"]["Privileged"] is True
    else:  # Where root itself lacks a capability, as in some virtual machines, the engine cannot give it.
        assert "unable to apply caps" in container(report)["reason"]


@pytest.mark.shows("HealthCheck.startPeriod", "HealthCheck.timeout")
async def test_a_health_check_begins_after_its_start_period(bench):
    check = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 1, "startPeriod": 9}
    found = await bench.run(stays(healthCheck=check))
    assert (await bench.inspected(found))["Config"]["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"],
        "Interval": 5 * 10**9,
        "Timeout": 2 * 10**9,
        "Retries": 1,
        "StartPeriod": 9 * 10**9,
    }


@pytest.mark.shows("ContainerDefinition.startTimeout")
async def test_what_is_waited_for_must_come_within_its_start_timeout(bench):
    check = {"command": ["CMD", "false"], "interval": 5, "timeout": 2, "retries": 10}
    slow = stays(name="slow", healthCheck=check, startTimeout=2)
    report = await bench.ended(slow, stays(dependsOn=[{"containerName": "slow", "condition": "HEALTHY"}]))
    assert "container ordering dependency [slow] for target [main] has timed out." in container(report)["reason"]


@pytest.mark.shows("RegisterTaskDefinition.ephemeralStorage", "EphemeralStorage")
async def test_a_task_that_uses_more_than_its_ephemeral_storage_is_stopped(bench, monkeypatch):
    monkeypatch.setattr("wherry.agent.storage.GIB", 2**16)
    fills = "busybox head -c {} /dev/zero >{}"
    mounts = [{"sourceVolume": "data", "containerPath": "/data"}]
    layer = stays(fills.format(2**20, "/file"))
    volume = stays(fills.format(2**20, "/data/file"), name="volume", mountPoints=mounts)
    within = await bench.run(stays(), ephemeralStorage={"sizeInGiB": 21})
    beyond = await bench.run(layer, volume, ephemeralStorage={"sizeInGiB": 31}, volumes=[{"name": "data"}])
    async with anyio.create_task_group() as group:
        group.start_soon(partial(storage.watch, bench.roster, bench.runtime, every=0.2))
        report = await bench.told(beyond, "STOPPED")
        group.cancel_scope.cancel()
    assert re.fullmatch(
        r"OutOfStorageError: The task uses 3\d\.\d GiB of its 31 GiB of ephemeral storage\.", report["reason"]
    )
    assert not [one for one in bench.control_plane.reports if one["task"] == within.arn and one["status"] == "STOPPED"]


@pytest.mark.shows("LogConfiguration.secretOptions")
async def test_an_option_of_a_log_driver_may_be_a_secret(bench):
    bench.control_plane.parameters["/size"] = "2m"
    logs = {"logDriver": "json-file", "secretOptions": [{"name": "max-size", "valueFrom": "/size"}]}
    found = await bench.run(stays(logConfiguration=logs), executionRoleArn="arn:aws:iam::000000000000:role/execution")
    config = (await bench.inspected(found))["HostConfig"]["LogConfig"]
    assert (config["Type"], config["Config"]["max-size"]) == ("json-file", "2m")


FILES = {
    "arn:aws:s3:::bucket/first.env": b"# comment\nA=first\nB=x=y\n",
    "arn:aws:s3:::bucket/second.env": b"A=second\nC=second\nD=second\n",
    "arn:aws:s3:::bucket/override.env": b"A=override\n",
}


def files(*names: str) -> list[dict[str, str]]:
    return [{"type": "s3", "value": f"arn:aws:s3:::bucket/{name}.env"} for name in names]


@pytest.mark.shows("ContainerDefinition.environmentFiles", "EnvironmentFile")
async def test_environment_files_are_read_and_environment_wins_over_them(sandbox, tmp_path):
    async with a_bench(tmp_path, sandbox=sandbox) as bench:
        bench.objects = Bucket(FILES)
        environment = [{"name": "C", "value": "definition"}]
        main = stays(environmentFiles=files("first", "second"), environment=environment)
        async with bench.agent():
            found = await bench.run(main)
            assert await bench.inside(found, "echo $A $B $C $D") == "first x=y definition second\n"
            override = {"containerOverrides": [{"name": "main", "environmentFiles": files("override")}]}
            other = await bench.run(main, override=override)
            assert await bench.inside(other, "echo $A $B $C $D") == "override definition\n"
            report = await bench.ended(stays(environmentFiles=files("absent")))
    assert report["reason"] == (
        "ResourceInitializationError: failed to download env files: arn:aws:s3:::bucket/absent.env: it is not there"
    )


def restarting(*containers: dict[str, Any], period: float = 0, **members: Any) -> Any:
    """Describe a task whose restart period is shorter than ECS lets it be, for the sake of the test's."""
    task = payload(*containers, **members)
    return msgspec.structs.replace(
        task,
        containers=tuple(
            msgspec.structs.replace(
                one, restart_policy=msgspec.structs.replace(one.restart_policy, restart_attempt_period=period)
            )
            if one.restart_policy
            else one
            for one in task.containers
        ),
    )


POLICY = {"enabled": True, "ignoredExitCodes": [7], "restartAttemptPeriod": 60}
COUNTS = "echo x >>/count; [ $(busybox wc -l </count) -ge 3 ] && exit 7; sleep 0.2; exit {}"


@pytest.mark.shows("ContainerDefinition.restartPolicy", "ContainerRestartPolicy")
@pytest.mark.parametrize("code", [0, 3])
async def test_a_container_with_a_restart_policy_is_started_again_in_place(bench, code):
    task = restarting(runs(COUNTS.format(code), restartPolicy=POLICY))
    bench.roster.assign([task])
    report = await bench.told(task, "STOPPED")
    # The third time it ended with a code that is to be ignored; the file shows that it was the same container.
    assert container(report)["exitCode"] == 7
    (running,) = [one for one in bench.control_plane.reports if one["task"] == task.arn and one["status"] == "RUNNING"]
    assert container(running)["runtimeId"] == container(report)["runtimeId"]


async def test_a_container_that_ends_sooner_than_its_period_stays_as_it_is(bench):
    report = await bench.ended(runs("sleep 0.3; exit 3", restartPolicy=POLICY))
    assert container(report)["exitCode"] == 3


async def test_a_container_that_is_not_essential_is_restarted_beside_the_others(bench):
    task = restarting(stays(), runs("sleep 0.2; exit 1", name="side", essential=False, restartPolicy=POLICY))
    bench.roster.assign([task])
    await bench.told(task, "RUNNING")

    async def restarts() -> bool:
        (view,) = bench.roster.views()
        return view.container("side").memory.restarts >= 3

    assert await eventually(restarts)
    report = await bench.stop(task)
    assert container(report, "side")["exitCode"] is not None


async def test_a_stopped_task_restarts_nothing(bench):
    task = restarting(stays(restartPolicy=POLICY))
    bench.roster.assign([task])
    await bench.told(task, "RUNNING")
    await bench.listens(task)
    assert container(await bench.stop(task))["exitCode"] == 0
    await bench.gone(task)


async def test_a_container_that_ended_while_no_agent_ran_is_restarted_by_the_next(sandbox, tmp_path):
    async with a_bench(tmp_path, sandbox=sandbox) as bench:
        async with bench.agent():
            task = restarting(runs(COUNTS.format(1), restartPolicy=POLICY))
            bench.roster.assign([task])
            await bench.told(task, "RUNNING")
        await anyio.sleep(1)
        async with bench.agent():
            assert container(await bench.told(task, "STOPPED"))["exitCode"] == 7
