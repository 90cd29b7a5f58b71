"""A task's log router gets the lines of the containers around it, over the forward protocol and as its file says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.e2e import python_picture
from tests.e2e.lab import Cluster, Wherry, eventually, run
from tests.e2e.pictures import script

pytestmark = pytest.mark.docker

# Takes what the engine's fluentd driver sends (msgpack, a record or several in a message), and prints it line by line.
ROUTER = """
import json, os, socket, threading
import msgspec

print("configuration " + json.dumps(open("/fluent-bit/etc/fluent-bit.conf").read()), flush=True)
print("token " + os.environ.get("token_1", ""), flush=True)

def messages(connection):
    received = b""
    while data := connection.recv(65536):
        received += data
        try:
            yield msgspec.msgpack.decode(received, ext_hook=lambda code, data: None)
        except msgspec.DecodeError:
            continue
        received = b""

def serve(server):
    while True:
        connection, _ = server.accept()
        threading.Thread(target=take, args=(connection,), daemon=True).start()

def take(connection):
    for message in messages(connection):
        # [tag, time, record, option?] or, several at once, [tag, [[time, record], ...], option?].
        records = [one[1] for one in message[1]] if isinstance(message[1], list) else [message[2]]
        for record in records:
            print("record " + json.dumps([message[0], record.get("log"), record.get("source")]), flush=True)

by_path = socket.socket(socket.AF_UNIX)
by_path.bind("/var/run/fluent.sock")
by_path.listen()
by_port = socket.create_server(("127.0.0.1", 24224))
threading.Thread(target=serve, args=(by_port,), daemon=True).start()
serve(by_path)
"""

# Logs to its driver, and by itself to where FLUENT_HOST and FLUENT_PORT say.
APP = """
import os, socket, time
import msgspec
print("hello from the app", flush=True)
while True:
    try:
        own = socket.create_connection((os.environ["FLUENT_HOST"], int(os.environ["FLUENT_PORT"])))
        break
    except ConnectionRefusedError:
        time.sleep(0.2)
own.sendall(msgspec.msgpack.encode(["own", int(time.time()), {"log": "hello by myself"}]))
time.sleep(3600)
"""


def lines(task: dict[str, Any], kind: str) -> list[str]:
    """Read what the router has printed, from the engine."""
    [router] = [one["runtimeId"] for one in task["containers"] if one["name"] == "router"]
    said = run("docker", "logs", router).stdout.splitlines()
    return [line.removeprefix(f"{kind} ") for line in said if line.startswith(f"{kind} ")]


@pytest.mark.shows("ContainerDefinition.firelensConfiguration", "FirelensConfiguration")
def test_lines_reach_the_router_by_the_driver_and_by_the_application_itself(cluster: Cluster, shared: Wherry) -> None:
    image = python_picture.build()
    shared.client("ssm").put_parameter(Name="/router/token", Value="very secret", Type="SecureString")
    options = {"Name": "http", "Host": "logs.example"}
    registered = cluster.ecs.register_task_definition(
        family="firelens",
        executionRoleArn="ecsTaskExecutionRole",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="512",
        memory="1024",
        containerDefinitions=[
            {
                "name": "router",
                "image": image,
                "command": ["python", "-c", ROUTER],
                "firelensConfiguration": {"type": "fluentbit", "options": {"enable-ecs-log-metadata": "true"}},
            },
            {
                "name": "app",
                "image": image,
                "command": ["python", "-c", APP],
                "logConfiguration": {
                    "logDriver": "awsfirelens",
                    "options": options,
                    "secretOptions": [{"name": "token", "valueFrom": "/router/token"}],
                },
            },
        ],
    )["taskDefinition"]
    assert {"name": "ecs.capability.firelens.fluentbit"} in registered["requiresAttributes"]
    arn = cluster.run(registered["taskDefinitionArn"])
    task = cluster.running(arn)
    task_id = arn.rsplit("/", 1)[-1]
    eventually("both lines to arrive", lambda: len(lines(task, "record")) == 2)
    records = [json.loads(one) for one in lines(task, "record")]
    assert [f"app-firelens-{task_id}", "hello from the app", "stdout"] in records
    assert ["own", "hello by myself", None] in records
    [configuration] = [json.loads(one) for one in lines(task, "configuration")]
    assert "    Host logs.example\n" in configuration
    assert "    token ${token_1}\n" in configuration
    assert f"    Record ecs_task_arn {arn}\n" in configuration
    assert lines(task, "token") == ["very secret"]
    stopped = cluster.stop(arn)
    assert {one["name"]: one["lastStatus"] for one in stopped["containers"]} == {"router": "STOPPED", "app": "STOPPED"}
    eventually("the router's files to be gone", lambda: not shared.remains().get("log routers"))


def test_a_container_that_logs_to_a_router_waits_for_it(cluster: Cluster) -> None:
    """The router fails, so what logs to it never starts: the task ends as one that failed to start."""
    arn = cluster.run(
        cluster.register(
            "firelens-fails",
            script("router", "exit 1", firelensConfiguration={"type": "fluentd"}, essential=False),
            script(
                "app", "sleep 3600", image="wherry-e2e/never-built:1", logConfiguration={"logDriver": "awsfirelens"}
            ),
        )
    )
    task = cluster.stopped(arn)
    by_name = {one["name"]: one for one in task["containers"]}
    assert by_name["router"]["exitCode"] == 1
    assert "exitCode" not in by_name["app"]
