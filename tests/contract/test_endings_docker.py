"""How tasks end on a real engine, as far as no control plane is needed to see it."""

from __future__ import annotations

import pytest
from tests.contract.definitions import a_bench, container, runs, stays

from wherry.model.filesystems import FileSystem

pytestmark = [pytest.mark.anyio, pytest.mark.docker]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def bench(tmp_path):
    async with a_bench(tmp_path, host_paths=(str(tmp_path),)) as opened, opened.agent():
        yield opened


def ends(name: str, **members):
    """Describe a container that writes its name into the shared volume when it is asked to stop."""
    script = f"trap 'sleep 0.3; echo {name} >>/log/order; exit 0' TERM; while :; do sleep 0.05; done"
    return runs(script, name=name, mountPoints=[{"sourceVolume": "log", "containerPath": "/log"}], **members)


async def test_containers_stop_in_the_reverse_order_of_what_they_wait_for(tmp_path):
    (tmp_path / "log").mkdir()
    on = [{"containerName": "database", "condition": "START"}]
    efs = {"fileSystemId": "fs-12345678"}
    systems = {"fs-12345678": FileSystem(path=str(tmp_path / "log"))}
    async with a_bench(tmp_path, file_systems=systems) as bench, bench.agent():
        found = await bench.run(
            ends("database"),
            ends("app", dependsOn=on),
            ends("proxy", dependsOn=[{"containerName": "app", "condition": "START"}]),
            volumes=[{"name": "log", "efsVolumeConfiguration": efs}],
        )
        report = await bench.stop(found)
    assert (tmp_path / "log" / "order").read_text().split() == ["proxy", "app", "database"]
    assert [one["exitCode"] for one in report["containers"]] == [0, 0, 0]


async def test_a_command_that_the_shell_does_not_find_exits_with_127(bench):
    report = await bench.ended(runs("no-such-program"))
    assert container(report)["exitCode"] == 127
    assert "reason" not in container(report)


async def test_a_program_that_is_not_in_the_image_never_starts_and_has_no_exit_code(bench):
    report = await bench.ended(runs("", entryPoint=["/no/such/program"]), stays(name="other"))
    failed = container(report)
    assert failed["reason"].startswith("CannotStartContainerError: ")
    assert "no such file" in failed["reason"]
    assert "exitCode" not in failed


async def test_what_waits_for_a_container_that_cannot_start_has_no_exit_code_and_says_why(bench):
    waits = [{"containerName": "main", "condition": "START"}]
    report = await bench.ended(runs("", entryPoint=["/no/such/program"]), stays(name="later", dependsOn=waits))
    assert "exitCode" not in container(report, "later")
    assert "runtimeId" not in container(report, "later")


@pytest.mark.shows("ContainerDefinition.stopTimeout")
async def test_who_does_not_heed_the_stop_signal_is_killed_after_its_stop_timeout(bench):
    deaf = runs("trap '' TERM; while :; do sleep 0.1; done", stopTimeout=1)
    found = await bench.run(deaf)
    assert container(await bench.stop(found))["exitCode"] == 137


async def test_an_unknown_log_driver_of_the_engine_keeps_a_container_from_starting(bench):
    logs = {"logDriver": "syslog", "options": {"syslog-address": "tcp://127.0.0.1:1"}}
    report = await bench.ended(stays(logConfiguration=logs))
    assert container(report)["reason"].startswith("CannotStartContainerError: ")
    assert "failed to initialize logging driver" in container(report)["reason"]
    assert "exitCode" not in container(report)
