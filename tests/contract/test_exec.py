"""ECS Exec over real sockets, against a client written from the protocol of the stock session-manager-plugin."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.contract.conftest import refusal, register, wait
from tests.contract.exec_client import FLAG, plugin
from tests.contract.whole import REGION
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

LARGE = 50_000_000

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def task(ecs: Any, network: dict[str, Any]) -> Iterator[str]:
    """Run a task of two containers in which commands may be executed; names it."""
    containers = [{"name": "app", "image": "fake/web:1"}, {"name": "side", "image": "fake/web:1", "essential": False}]
    arn = run(ecs, network, containerDefinitions=containers)
    yield arn
    ecs.stop_task(task=arn)


def run(ecs: Any, network: dict[str, Any], *, enabled: bool = True, **changes: Any) -> str:
    ecs.create_cluster()
    definition = register(ecs, "exec", **changes)
    started = ecs.run_task(
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration=network,
        enableExecuteCommand=enabled,
    )
    arn: str = started["tasks"][0]["taskArn"]
    wait(ecs, "tasks_running", tasks=[arn])
    return arn


def session(ecs: Any, task: str, command: str, *, interactive: bool = True, container: str = "app") -> dict[str, str]:
    answer = ecs.execute_command(task=task, container=container, command=command, interactive=interactive)
    opened: dict[str, str] = answer["session"]
    return opened


async def test_a_session_answers_as_ecs_does(ecs: Any, task: str, endpoint: str) -> None:
    answer = ecs.execute_command(task=task, container="app", command="true", interactive=True)
    opened = answer["session"]
    assert (answer["taskArn"], answer["containerName"], answer["interactive"]) == (task, "app", True)
    assert ":container/default/" in answer["containerArn"]
    assert re.fullmatch(r"ecs-execute-command-[a-z2-7]{26}", opened["sessionId"])
    where = endpoint.replace("http", "ws")
    assert opened["streamUrl"] == f"{where}/v1/data-channel/{opened['sessionId']}?role=publish_subscribe"
    assert len(opened["tokenValue"]) >= 43


async def test_the_handshake_is_the_one_of_an_interactive_command(ecs: Any, task: str) -> None:
    async with plugin(session(ecs, task, "true")) as client:
        await client.end()
    session_type = client.request["RequestedClientActions"][0]
    assert session_type["ActionType"] == "SessionType"
    assert session_type["ActionParameters"]["SessionType"] == "InteractiveCommands"
    assert client.request["AgentVersion"]
    assert client.complete["HandshakeTimeToComplete"] > 0
    assert client.closed is not None
    assert client.closed["Output"] == ""
    assert client.closed["MessageType"] == "channel_closed"


async def test_keys_reach_the_command_and_its_output_comes_back(ecs: Any, task: str) -> None:
    async with plugin(session(ecs, task, "cat")) as client:
        await client.shaken()
        await client.resize(80, 24)
        await client.type(b"hello\r")
        await client.until(b"hello\r\nhello\r\n")
        await client.type(b"\x03")
        await client.end()
    assert client.exit_code == "EXIT_CODE: 130"


async def test_a_resized_window_reaches_the_program(ecs: Any, task: str) -> None:
    async with plugin(session(ecs, task, "sh")) as client:
        await client.shaken()
        await client.resize(100, 40)
        await client.type(b"stty size\r")
        await client.until(b"40 100")
        await client.resize(132, 50)
        await client.type(b"stty size\r")
        await client.until(b"50 132")


async def test_the_exit_code_goes_to_clients_that_know_what_it_is(ecs: Any, task: str) -> None:
    command = "sh -c 'echo bye; exit 7'"
    async with plugin(session(ecs, task, command)) as client:
        await client.end()
    assert (client.exit_code, bytes(client.stdout)) == ("EXIT_CODE: 7", b"bye\r\n")
    async with plugin(session(ecs, task, command), knows_exit_code=False) as stock:
        await stock.end()
    assert (stock.exit_code, bytes(stock.stdout)) == (None, b"bye\r\n")


async def test_a_command_without_a_terminal_has_its_output_apart(ecs: Any, task: str) -> None:
    opened = session(ecs, task, "sh -c 'echo out; echo wrong >&2; exit 3'", interactive=False)
    async with plugin(opened) as client:
        await client.end()
    assert client.request["RequestedClientActions"][0]["ActionParameters"]["SessionType"] == "NonInteractiveCommands"
    assert (bytes(client.stdout), bytes(client.stderr), client.exit_code) == (b"out\n", b"wrong\n", "EXIT_CODE: 3")


async def test_the_last_message_of_input_ends_it(ecs: Any, task: str) -> None:
    async with plugin(session(ecs, task, "cat", interactive=False)) as client:
        await client.shaken()
        await client.type(b"all of it", flags=2)
        await client.end()
    assert (bytes(client.stdout), client.exit_code) == (b"all of it", "EXIT_CODE: 0")


async def test_output_that_a_client_is_not_ready_for_comes_again(ecs: Any, task: str) -> None:
    async with plugin(session(ecs, task, "echo patience")) as client:
        client.ready = False
        await client.has_heard(4)
        assert not client.stdout
        client.ready = True
        await client.end()
    assert bytes(client.stdout) == b"patience\r\n"


async def test_fifty_megabytes_arrive_as_they_were(ecs: Any, task: str) -> None:
    async with plugin(session(ecs, task, f"head -c {LARGE} /dev/zero", interactive=False)) as client:
        with anyio.fail_after(120):
            await client.end()
    assert len(client.stdout) == LARGE
    assert not any(client.stdout)
    assert client.exit_code == "EXIT_CODE: 0"


async def test_much_goes_both_ways_at_once(ecs: Any, task: str) -> None:
    sent = os.urandom(3_000_000)
    async with plugin(session(ecs, task, "cat", interactive=False)) as client:
        await client.shaken()
        for start in range(0, len(sent), 1024):
            await client.acknowledged(but=500)
            await client.type(sent[start : start + 1024], flags=2 if start + 1024 >= len(sent) else 0)
        await client.end()
    assert bytes(client.stdout) == sent


async def test_many_sessions_at_once_do_not_mix(ecs: Any, task: str) -> None:
    async def one(number: int) -> None:
        container = ("app", "side")[number % 2]
        async with plugin(session(ecs, task, "cat", container=container)) as client:
            await client.shaken()
            await client.type(f"number {number}\r".encode())
            await client.until(f"number {number}\r\nnumber {number}\r\n".encode())
            assert client.stdout.count(b"number") == 2

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(one, number)


async def test_a_container_has_twenty_sessions_and_no_more(ecs: Any, network: dict[str, Any]) -> None:
    arn = run(ecs, network)
    opened = [session(ecs, arn, "true") for _ in range(20)]
    code, message = refusal(ecs.execute_command, task=arn, command="true", interactive=True)
    assert code == "ClientException"
    assert message == "Unable to start new execute sessions because the maximum session limit of 20 has been reached."
    async with plugin(opened[0]) as client:
        await client.end()
    with anyio.fail_after(10):
        while True:
            try:
                session(ecs, arn, "true")
            except ecs.exceptions.ClientException:
                await anyio.sleep(0.05)
            else:
                break
    ecs.stop_task(task=arn)


async def test_wrong_and_used_tokens_open_nothing(ecs: Any, task: str) -> None:
    opened, other = session(ecs, task, "cat"), session(ecs, task, "cat")
    for token in ("", "wrong", other["tokenValue"], opened["tokenValue"][:-1], "\x00" * 64):
        assert await refused(opened, token)
    async with plugin(opened) as client:
        await client.shaken()
        assert await refused(opened, opened["tokenValue"])
        await client.type(b"still here\r")
        await client.until(b"still here")
    assert await refused(opened, opened["tokenValue"])


async def test_nonsense_instead_of_a_token_opens_nothing(ecs: Any, task: str) -> None:
    opened = session(ecs, task, "true")
    for nonsense in (b"\x00" * 200, "null", "[]", '{"TokenValue": 1}', "{" * 2000):
        async with connect(opened["streamUrl"], proxy=None) as socket:
            await socket.send(nonsense)
            with pytest.raises(ConnectionClosed):
                await socket.recv()


async def test_browsers_are_not_let_in(ecs: Any, task: str) -> None:
    opened = session(ecs, task, "true")
    with pytest.raises(InvalidStatus) as refused_by:
        async with connect(opened["streamUrl"], proxy=None, origin="http://evil.example"):  # type: ignore[arg-type]
            pass
    assert refused_by.value.response.status_code == 403


async def test_a_client_that_leaves_ends_the_command_and_makes_room(ecs: Any, network: dict[str, Any]) -> None:
    arn = run(ecs, network)
    for _ in range(25):
        async with plugin(session(ecs, arn, "sleep inf")) as client:
            await client.shaken()
    ecs.stop_task(task=arn)


async def test_the_session_ends_when_its_task_stops(ecs: Any, network: dict[str, Any]) -> None:
    arn = run(ecs, network)
    async with plugin(session(ecs, arn, "sh -c 'echo begun; sleep inf'")) as client:
        await client.until(b"begun")
        ecs.stop_task(task=arn)
        await client.end()
    assert client.exit_code == "EXIT_CODE: 137", client.closed


async def test_a_client_may_ask_for_the_end(ecs: Any, task: str) -> None:
    async with plugin(session(ecs, task, "sleep inf")) as client:
        await client.shaken()
        await client.type((2).to_bytes(4, "big"), FLAG)
        await client.end()
    assert client.closed is not None
    assert client.closed["Output"] == ""


async def test_pings_are_answered(ecs: Any, task: str) -> None:
    async with plugin(session(ecs, task, "cat")) as client:
        pong = await client.socket.ping(b"keepalive")
        with anyio.fail_after(10):
            await pong


async def test_a_message_that_is_damaged_ends_the_session(ecs: Any, task: str) -> None:
    async with plugin(session(ecs, task, "cat")) as client:
        await client.shaken()
        await client.socket.send(b"\x00\x00\x00\x74input_stream_data".ljust(119, b" "))
        await client.end()


async def test_what_cannot_be_executed_is_refused_in_the_words_of_ecs(
    ecs: Any, task: str, network: dict[str, Any]
) -> None:
    not_enabled = run(ecs, network, enabled=False)

    def refused_with(**params: Any) -> tuple[str, str]:
        return refusal(ecs.execute_command, **{"command": "true", "interactive": True, **params})

    code, message = refused_with(task=not_enabled)
    assert code == "InvalidParameterException"
    assert message.startswith("The execute command failed because execute command was not enabled when the task was ru")
    assert refused_with(task=task)[0] == "InvalidParameterException"
    assert refused_with(task=task, container="nobody")[0] == "InvalidParameterException"
    assert refused_with(task="0" * 32) == ("InvalidParameterException", "The referenced task was not found.")
    assert refused_with(task=task, cluster="nowhere")[0] == "ClusterNotFoundException"
    assert refused_with(task=task, container="app", command="  ")[0] == "InvalidParameterException"
    assert refused_with(task=task, container="app", command="echo 'open")[0] == "InvalidParameterException"
    ecs.stop_task(task=not_enabled)


async def test_managed_agents_run_as_long_as_their_containers(ecs: Any, network: dict[str, Any]) -> None:
    arn = run(ecs, network)

    def agents() -> list[dict[str, Any]]:
        (container,) = ecs.describe_tasks(tasks=[arn])["tasks"][0]["containers"]
        found: list[dict[str, Any]] = container["managedAgents"]
        return found

    (agent,) = agents()
    assert (agent["name"], agent["lastStatus"]) == ("ExecuteCommandAgent", "RUNNING")
    assert agent["lastStartedAt"]
    ecs.stop_task(task=arn)
    wait(ecs, "tasks_stopped", tasks=[arn])
    assert agents()[0]["lastStatus"] == "STOPPED"


async def test_the_aws_cli_gives_the_plugin_what_it_needs(task: str, endpoint: str, tmp_path: Path) -> None:
    """A program in the plugin's place writes down how it is called."""
    called = tmp_path / "called"
    stand_in = tmp_path / "session-manager-plugin"
    stand_in.write_text(f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open({str(called)!r}, 'w'))\n")
    stand_in.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "HOME": str(tmp_path),
    }
    command = ["aws", "ecs", "execute-command", "--task", task, "--container", "app", "--command", "true"]
    done = await anyio.run_process([*command, "--interactive"], env=environment, check=False, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    given, region, action, _, target, where = json.loads(called.read_text())
    assert (region, action) == (REGION, "StartSession")
    assert where.startswith("http")
    assert re.fullmatch(r"ecs:default_[0-9a-f]{32}_[0-9a-f]+", json.loads(target)["Target"])
    opened = {name[0].lower() + name[1:]: value for name, value in json.loads(given).items()}
    async with plugin(opened) as client:
        await client.end()
    assert client.exit_code == "EXIT_CODE: 0"


async def refused(opened: dict[str, str], token: str) -> bool:
    async with plugin(opened, token=token) as client:
        await client.end()
    return client.closed == {"Output": "the line was lost"}
