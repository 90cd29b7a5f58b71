"""The tour of scripts/demo: what a user does with the AWS CLI and boto3, against real containers.

Every step checks what it shows; a step that fails ends the tour with a non-zero exit code.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from demo_images import build_images
from rich.console import Console
from rich.rule import Rule

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
EXAMPLE = ROOT / "examples" / "my-task-def.json"
REGION = "ap-northeast-1"
CLUSTER, SERVICE, FAMILY = "demo", "web", "my-task-def"
DESIRED = 2
PORTS = {"backend": 8080, "frontend": 8000}
HEALTHY_AFTER = 5  # ECS waits 40 seconds; the demo has no time for that.
PATIENCE = 180

console = Console(highlight=False, soft_wrap=True)
seen_events: set[str] = set()


class DemoFailed(Exception):
    """A step did not show what it should."""


def main() -> int:
    """Run the tour; 0 if every step held."""
    parser = argparse.ArgumentParser(description="From a task definition to a running service.")
    parser.add_argument("--once", action="store_true", help="clean up at the end instead of waiting for Ctrl-C")
    once = parser.parse_args().once
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    state = Path(tempfile.mkdtemp(prefix="wherry-demo-"))
    try:
        with wherry(state) as port:
            tour(state, port)
            if not once:
                invite(port)
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
    except DemoFailed as failure:
        console.print(f"[bold red]The demo failed:[/] {failure}")
        console.print(f"[dim]{tail(state / 'wherry.log')}[/]", markup=True)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(state, ignore_errors=True)
    console.print("[bold green]Everything that was shown was also checked.[/]")
    return 0


def tour(state: Path, port: int) -> None:
    """Show the main job, a step after the other."""
    step("Two small images, built here; no registry is asked")
    for image in build_images():
        console.print(f"  {image}")

    step("The task definition, as its author wrote it")
    definition = corrected(state)

    step("Registered with the AWS CLI")
    env = aws_environment(port)
    arn = aws(env, "register-task-definition", "--cli-input-json", f"file://{definition}",
              "--query", "taskDefinition.taskDefinitionArn", "--output", "text")
    console.print(f"  {arn}")

    ecs = boto3.client("ecs", endpoint_url=env["AWS_ENDPOINT_URL"], region_name=REGION)
    ec2 = boto3.client("ec2", endpoint_url=env["AWS_ENDPOINT_URL"], region_name=REGION)
    step(f"A cluster, and a service of {DESIRED} tasks")
    began = time.monotonic()
    create(ecs, ec2, arn)
    follow_until_stable(ecs)
    ecs.get_waiter("services_stable").wait(cluster=CLUSTER, services=[SERVICE])
    console.print(f"  services-stable after {time.monotonic() - began:.1f} s")

    step("Both ports of both tasks, by the tasks' own addresses")
    for address in running_addresses(ecs):
        for name, container_port in PORTS.items():
            console.print(f"  http://{address}:{container_port}/  {fetch(address, container_port).strip()}")
            expect(name in fetch(address, container_port), f"{address}:{container_port} is not the {name}")

    step("Backend and frontend reach each other on localhost")
    for address in running_addresses(ecs):
        for container_port, peer in ((8000, "backend"), (8080, "frontend")):
            answer = fetch(address, container_port, "/cgi-bin/peer").strip()
            console.print(f"  {address}:{container_port} says of its neighbour: {answer}")
            expect(peer in answer, f"{address}:{container_port} does not reach the {peer}")

    step("A container is killed; the service replaces its task")
    kill_and_watch(ecs)

    step("Revision 2 rolls out, never below the healthy floor")
    roll_out(ecs, arn)


def corrected(state: Path) -> Path:
    """Show what `wherry validate` finds, and keep the corrected copy."""
    copy = state / "my-task-def.json"
    run = subprocess.run(
        [BIN / "wherry", "validate", str(EXAMPLE), "--output", str(copy)], check=False, text=True, capture_output=True
    )
    console.print(indent(run.stdout + run.stderr), markup=False)
    expect(run.returncode == 1, "wherry validate found nothing wrong with a file that is not JSON")
    expect(copy.exists(), "wherry validate wrote no corrected copy")
    return copy


def create(ecs: Any, ec2: Any, task_definition: str) -> None:
    """Make the cluster and the service in the default VPC."""
    ecs.create_cluster(clusterName=CLUSTER)
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    ecs.create_service(
        cluster=CLUSTER,
        serviceName=SERVICE,
        taskDefinition=task_definition,
        desiredCount=DESIRED,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": subnets}},
    )


def kill_and_watch(ecs: Any) -> None:
    """Kill a backend behind the back of Wherry and wait for the replacement."""
    before = {task["taskArn"] for task in running_tasks(ecs)}
    victim = running_tasks(ecs)[0]
    runtime_id = next(c["runtimeId"] for c in victim["containers"] if c["name"] == "backend")
    console.print(f"  docker kill {runtime_id[:12]}  (backend of task {short(victim)})")
    subprocess.run(["docker", "kill", runtime_id], check=True, capture_output=True)
    began = time.monotonic()
    wait_for("a replacement", lambda: {t["taskArn"] for t in running_tasks(ecs)} - before)
    console.print(f"  a new task was RUNNING {time.monotonic() - began:.1f} s later")
    follow_until_stable(ecs)
    stopped = ecs.describe_tasks(cluster=CLUSTER, tasks=[victim["taskArn"]])["tasks"][0]
    code = next(c.get("exitCode") for c in stopped["containers"] if c["name"] == "backend")
    console.print(f"  the old one: {stopped['stopCode']}, {stopped['stoppedReason']}, backend exit code {code}")
    expect(code == 137, f"the killed backend's exit code is {code}, not 137")


def roll_out(ecs: Any, first: str) -> None:
    """Register revision 2 and hold the floor while it replaces revision 1."""
    old = ecs.describe_task_definition(taskDefinition=first)["taskDefinition"]
    containers = old["containerDefinitions"]
    for container in containers:
        container["environment"] = [{"name": "REVISION", "value": "2"}]
    second = ecs.register_task_definition(
        family=FAMILY, containerDefinitions=containers, networkMode="awsvpc", cpu=old["cpu"], memory=old["memory"],
        requiresCompatibilities=["FARGATE"],
    )["taskDefinition"]["taskDefinitionArn"]
    with watch_floor(ecs) as floor:
        ecs.update_service(cluster=CLUSTER, service=SERVICE, taskDefinition=second)
        follow_until_stable(ecs)
    console.print(f"  {floor.samples} looks at the tasks while rolling: never fewer than {floor.lowest} answered")
    expect(floor.samples > 0 and floor.lowest >= DESIRED, f"only {floor.lowest} of {DESIRED} tasks answered at a time")
    for address in running_addresses(ecs):
        answer = fetch(address, 8080).strip()
        console.print(f"  http://{address}:8080/  {answer}")
        expect("revision 2" in answer, f"{address} does not run revision 2")


class Floor:
    """Counts how many tasks answer on both ports, again and again."""

    def __init__(self) -> None:
        self.lowest = 1_000
        self.samples = 0
        self.over = threading.Event()

    def sample(self, ecs: Any) -> None:
        known: set[str] = set(running_addresses(ecs))
        while not self.over.is_set():
            known |= set(running_addresses(ecs))
            answering = {address for address in known if answers(address)}
            self.lowest = min(self.lowest, len(answering))
            self.samples += 1
            self.over.wait(0.05)


@contextlib.contextmanager
def watch_floor(ecs: Any) -> Iterator[Floor]:
    """Sample in the background until the block ends."""
    floor = Floor()
    thread = threading.Thread(target=floor.sample, args=(ecs,), daemon=True)
    thread.start()
    try:
        yield floor
    finally:
        floor.over.set()
        thread.join()


@contextlib.contextmanager
def wherry(state: Path) -> Iterator[int]:
    """Run `wherry up` on a data directory of its own; nothing of it is left at the end."""
    port = free_port()
    options = ["--data-dir", str(state / "data"), "--port", str(port)]
    env = os.environ | {
        "WHERRY_HEALTHY_AFTER": str(HEALTHY_AFTER),
        "WHERRY_STOP_TIMEOUT": "10",
        "WHERRY_IMAGE_PULL_BEHAVIOR": "prefer-cached",
    }
    step("wherry up")
    with (state / "wherry.log").open("wb") as log:
        process = subprocess.Popen(
            [BIN / "wherry", "up", *options, "--region", REGION], env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for("wherry up to answer", lambda: alive(process, state) and healthy(port))
            console.print(f"  listening on http://127.0.0.1:{port} as region {REGION}")
            yield port
        finally:
            step("Cleaning up: wherry down")
            subprocess.run([BIN / "wherry", "down", *options[:2]], check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            process.kill()


def alive(process: subprocess.Popen[bytes], state: Path) -> bool:
    """True while the process runs; raises with its last words otherwise."""
    if process.poll() is not None:
        raise DemoFailed(f"wherry up ended with exit code {process.returncode}: {tail(state / 'wherry.log')}")
    return True


def healthy(port: int) -> bool:
    """Whether the control plane answers and an agent has joined."""
    with contextlib.suppress(OSError):
        return b'"agents":1' in urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
    return False


def follow_until_stable(ecs: Any) -> None:
    """Print what happens to the service until it is stable."""
    states: dict[str, str] = {}

    def stable() -> bool:
        service = ecs.describe_services(cluster=CLUSTER, services=[SERVICE])["services"][0]
        for event in reversed(service["events"]):
            if event["id"] not in seen_events:
                console.print(f"  [cyan]{event['message']}[/]")
            seen_events.add(event["id"])
        for task in all_tasks(ecs):
            if states.get(task["taskArn"]) != task["lastStatus"]:
                states[task["taskArn"]] = task["lastStatus"]
                console.print(f"  [dim]task {short(task)} {task['lastStatus']}[/]")
        return (
            len(service["deployments"]) == 1
            and service["runningCount"] == service["desiredCount"]
            and service["deployments"][0]["rolloutState"] == "COMPLETED"
        )

    wait_for("the service to become stable", stable)


def all_tasks(ecs: Any) -> list[dict[str, Any]]:
    """Describe the tasks of the service that are wanted."""
    arns = ecs.list_tasks(cluster=CLUSTER, serviceName=SERVICE)["taskArns"]
    tasks: list[dict[str, Any]] = ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
    return tasks


def running_tasks(ecs: Any) -> list[dict[str, Any]]:
    """Describe those that run."""
    return [task for task in all_tasks(ecs) if task["lastStatus"] == "RUNNING"]


def running_addresses(ecs: Any) -> list[str]:
    """Tell the private addresses of the running tasks."""
    details = [
        detail
        for task in running_tasks(ecs)
        for attachment in task["attachments"]
        for detail in attachment["details"]
    ]
    return [detail["value"] for detail in details if detail["name"] == "privateIPv4Address"]


def fetch(address: str, port: int, path: str = "/") -> str:
    """GET a page of a task; a task that has just started gets a moment to listen."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=2).read().decode()
        except OSError as error:
            if time.monotonic() > deadline:
                raise DemoFailed(f"http://{address}:{port}{path} does not answer: {error}") from error
            time.sleep(0.1)


def answers(address: str) -> bool:
    """Whether both containers of a task answer now."""
    try:
        for port in PORTS.values():
            urllib.request.urlopen(f"http://{address}:{port}/", timeout=1).read()
    except OSError:
        return False
    return True


def aws_environment(port: int) -> dict[str, str]:
    """Read what `wherry env` prints, as a shell would by eval, and set it for boto3 as well."""
    printed = subprocess.run(
        [BIN / "wherry", "env", "--port", str(port), "--region", REGION], check=True, text=True, capture_output=True
    ).stdout
    console.print(indent(printed), markup=False)
    pairs = (line.removeprefix("export ").split("=", 1) for line in printed.splitlines() if line.startswith("export "))
    variables = {name: value.strip("'\"") for name, value in pairs}
    os.environ.update(variables)
    return variables


def aws(env: dict[str, str], *arguments: str) -> str:
    """Run the AWS CLI's `aws ecs`."""
    console.print(f"  $ aws ecs {arguments[0]} …")
    run = subprocess.run([BIN / "aws", "ecs", *arguments], env=os.environ | env, check=False, text=True, capture_output=True)
    expect(run.returncode == 0, f"aws ecs {arguments[0]} failed: {run.stderr.strip()}")
    return run.stdout.strip()


def invite(port: int) -> None:
    """Say what to try next."""
    console.print(Rule("It keeps running. In another shell:"))
    console.print(
        f"""
  eval "$({BIN / "wherry"} env --port {port} --region {REGION})"
  {BIN / "wherry"} ps --port {port}
  {BIN / "aws"} ecs update-service --cluster {CLUSTER} --service {SERVICE} --desired-count 4
  {BIN / "aws"} ecs describe-services --cluster {CLUSTER} --services {SERVICE} --query 'services[0].events[:5].message'

Ctrl-C here stops it and removes everything that it made.
""",
        markup=False,
    )


def step(title: str) -> None:
    """Begin a step."""
    console.print(f"\n[bold]▸ {title}[/]")


def wait_for(what: str, condition: Callable[[], object]) -> None:
    """Wait until the condition holds; give up when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        expect(time.monotonic() < deadline, f"waited {PATIENCE} s for {what}")
        time.sleep(0.2)


def expect(condition: object, otherwise: str) -> None:
    """End the tour unless the condition holds."""
    if not condition:
        raise DemoFailed(otherwise)


def short(task: dict[str, Any]) -> str:
    """Tell a task by the first digits of its id."""
    return str(task["taskArn"]).rsplit("/", 1)[-1][:8]


def indent(text: str) -> str:
    """Put two spaces before each line."""
    return "".join(f"  {line}\n" for line in text.rstrip().splitlines())


def tail(path: Path, lines: int = 20) -> str:
    """Read the end of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def free_port() -> int:
    """Take Wherry's own port, or any other if somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 4566))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
