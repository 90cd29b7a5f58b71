"""ECS Exec on real Docker: a shell in a task, by the protocol of the stock plugin and by `wherry exec`."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from typing import Any

import anyio
import pytest
from tests.contract.exec_client import plugin
from tests.e2e.lab import BIN, Cluster, Wherry, eventually, run, runtime_ids
from tests.e2e.pictures import web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images"), pytest.mark.anyio]

LARGE = 50_000_000
MARK = "sleep 31415"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def service(cluster: Cluster) -> str:
    """Run a service in whose tasks commands may be executed."""
    cluster.serve("shell", cluster.register("shell", web()), 1, enableExecuteCommand=True)
    cluster.stable("shell")
    return "shell"


@pytest.fixture(scope="module")
def task(cluster: Cluster, service: str) -> dict[str, Any]:
    [found] = cluster.tasks_of(service)
    return found


def opened(cluster: Cluster, task: dict[str, Any], command: str, *, interactive: bool = True) -> dict[str, str]:
    answer = cluster.ecs.execute_command(task=task["taskArn"], command=command, interactive=interactive)
    session: dict[str, str] = answer["session"]
    return session


def processes(task: dict[str, Any]) -> str:
    [runtime_id] = runtime_ids(task)
    return run("docker", "top", runtime_id, "-o", "pid,args").stdout


async def test_a_shell_has_keys_size_and_an_exit_code(cluster: Cluster, task: dict[str, Any]) -> None:
    async with plugin(opened(cluster, task, "/bin/sh")) as client:
        await client.shaken()
        await client.resize(101, 42)
        await client.type(b"busybox stty size; id -u; echo $TERM\r")
        await client.until(b"42 101\r\n0\r\nxterm-256color\r\n")
        await client.resize(133, 51)
        await client.type(b"busybox stty size\r")
        await client.until(b"51 133")
        await client.type(b"exit 5\r")
        await client.end()
    assert client.exit_code == "EXIT_CODE: 5"


async def test_a_running_program_is_told_of_a_resized_window(cluster: Cluster, task: dict[str, Any]) -> None:
    script = "trap 'busybox stty size' WINCH; echo ready; while :; do sleep 0.1; done"
    async with plugin(opened(cluster, task, f'/bin/sh -c "{script}"')) as client:
        await client.shaken()
        await client.resize(80, 24)
        await client.until(b"ready")
        await client.resize(120, 30)
        await client.until(b"30 120")


async def test_fifty_megabytes_arrive_as_they_were(cluster: Cluster, task: dict[str, Any]) -> None:
    counted = f"busybox seq 1 9000000 | busybox head -c {LARGE}"
    expected = "".join(f"{number}\n" for number in range(1, 9_000_000))[:LARGE].encode()
    async with plugin(opened(cluster, task, f"/bin/sh -c '{counted}'", interactive=False)) as client:
        await client.end(within=180)
    assert len(client.stdout) == LARGE
    assert hashlib.sha256(client.stdout).digest() == hashlib.sha256(expected).digest()


async def test_who_does_not_read_makes_the_program_wait(cluster: Cluster, task: dict[str, Any]) -> None:
    counted = "i=0; while :; do echo $i >/tmp/progress; busybox head -c 100000 /dev/zero; i=$((i+1)); done"
    async with plugin(opened(cluster, task, f"/bin/sh -c '{counted}'", interactive=False)) as client:
        await client.until(bytes(100_000))
        client.reading = anyio.Event()
        written = await anyio.to_thread.run_sync(at_rest, task)
        assert written * 100_000 - len(client.stdout) < 16_000_000, "more than sockets and pipes hold has been taken"
        client.reading.set()
        await client.until(bytes(len(client.stdout) + 5_000_000))


def at_rest(task: dict[str, Any]) -> int:
    """Wait until a program that counts its steps into a file has come to rest; return its last step."""
    [runtime_id] = runtime_ids(task)
    seen: list[int] = []

    def look() -> bool:
        time.sleep(0.5)
        seen.append(int(run("docker", "exec", runtime_id, "cat", "/tmp/progress").stdout or "0"))
        return len(seen) > 4 and len(set(seen[-4:])) == 1

    eventually("the program to wait", look)
    return seen[-1]


async def test_a_client_that_vanishes_takes_its_command_along(cluster: Cluster, task: dict[str, Any]) -> None:
    for interactive in (True, False):
        async with plugin(opened(cluster, task, MARK, interactive=interactive)) as client:
            await client.shaken()
            eventually("the command", lambda: MARK in processes(task))
        eventually("the end of the command", lambda: MARK not in processes(task))


async def test_twenty_shells_at_once(cluster: Cluster, task: dict[str, Any]) -> None:
    async def one(number: int) -> None:
        async with plugin(opened(cluster, task, "cat")) as client:
            await client.shaken()
            await client.type(f"number {number}\r".encode())
            await client.until(f"number {number}\r\nnumber {number}\r\n".encode())

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)


def test_wherry_exec_is_a_command_like_any_other(shared: Wherry, service: str) -> None:
    done = subprocess.run(
        [
            BIN / "wherry",
            "exec",
            "--port",
            str(shared.port),
            service,
            "--",
            "/bin/sh",
            "-c",
            "cat; echo wrong >&2; exit 3",
        ],
        input=b"through the pipe",
        capture_output=True,
        check=False,
        timeout=60,
        env=shared.env,
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"through the pipe", b"wrong\n", 3)


def test_a_program_that_is_not_there_says_so(shared: Wherry, service: str) -> None:
    done = shared.command("exec", "--port", str(shared.port), service, "--", "/no/such/program", check=False)
    assert done.returncode in {126, 127}
    assert "no such file or directory" in done.stdout


async def test_open_sessions_do_not_hold_up_a_control_plane_that_stops(own: Wherry) -> None:
    program = own.up()
    cluster = Cluster(own)
    arn = cluster.run(cluster.register("stopping", web()), enableExecuteCommand=True)
    task = cluster.running(arn)
    async with plugin(opened(cluster, task, MARK)) as client:
        await client.shaken()
        eventually("the command", lambda: MARK in processes(task))
        assert await anyio.to_thread.run_sync(program.terminate) == 0
        await client.end()
    eventually("the end of the command", lambda: MARK not in processes(task))


async def test_an_agent_ends_what_a_killed_one_has_left_running(own: Wherry) -> None:
    program = own.up()
    cluster = Cluster(own)
    arn = cluster.run(cluster.register("killed", web()), enableExecuteCommand=True)
    task = cluster.running(arn)
    [runtime_id] = runtime_ids(task)
    run("docker", "exec", "-d", runtime_id, "sleep", "27182")
    async with plugin(opened(cluster, task, MARK)) as client:
        await client.shaken()
        eventually("the command", lambda: MARK in processes(task))
        program.kill()
        await client.end()
    assert MARK in processes(task)
    own.up()
    eventually("the end of the command", lambda: MARK not in processes(task))
    assert re.search(r"sleep 27182", processes(task)), "what others execute is none of our business"
