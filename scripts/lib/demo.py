"""The tour of scripts/demo: what a user does with the AWS CLI and boto3, against real containers.

Every step checks what it shows; a step that fails ends the tour with a non-zero exit code.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from demo_images import build_images
from demo_inside import equip, keep_secret, show_logs, show_shell
from demo_screen import DemoFailed, command, console, expect, good, line, step, wait_for
from demo_server import BIN, REGION, ROOT, aws, forget_surroundings, last_words, point_at, wherry
from demo_tasks import CLUSTER, DESIRED, PORTS, SERVICE, Follower, addresses, fetch, running, short, watch_floor
from rich.markup import escape
from rich.rule import Rule

EXAMPLE = Path("examples/my-task-def.json")
FAMILY = "my-task-def"


def main() -> int:
    """Run the tour; 0 if every step held."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description="From a task definition to a running service.")
    parser.add_argument("--once", action="store_true", help="clean up at the end instead of waiting for Ctrl-C")
    once = parser.parse_args().once
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    forget_surroundings()
    state = Path(tempfile.mkdtemp(prefix="wherry-demo-"))
    done = False
    try:
        with wherry(state) as (port, process):
            tour(state, port)
            done = True
            if not once:
                invite(port)
                # It returns only if the process ends while we have not asked for it.
                expect(process.wait() is None, f"wherry up ended by itself with exit code {process.returncode}.")
    except (DemoFailed, BotoCoreError, ClientError, OSError, subprocess.CalledProcessError) as failure:
        explain(failure, state / "wherry.log")
        return 1
    except KeyboardInterrupt:
        if not done:
            return 130
    finally:
        shutil.rmtree(state, ignore_errors=True)
    console.print("\n[bold green]Everything that was shown was also checked.[/]")
    return 0


def explain(failure: Exception, log: Path) -> None:
    """Say what failed, what the server said last, and what to do next."""
    console.print(f"\n[bold red]The demo failed:[/] {escape(str(failure))}")
    if words := last_words(log):
        console.print("[dim]The last lines of wherry up:[/]")
        line(words, "dim")
    hint = (
        getattr(failure, "hint", "") or f"Ask what this machine lacks: sudo {shlex.quote(str(BIN / 'wherry'))} doctor"
    )
    console.print(f"[bold]Next:[/] {escape(hint)}")


def tour(state: Path, port: int) -> None:
    """Show the main job, a step after the other."""
    step("Two small images, built here; no registry is asked")
    for image in build_images():
        line(image)

    step("The task definition, as its author wrote it, is not quite right")
    definition = corrected(state)

    step("Corrected, and registered with the AWS CLI")
    url = point_at(port)
    given = ["--cli-input-json", f"file://{definition}"]
    wanted = ["--query", "taskDefinition.taskDefinitionArn", "--output", "text"]
    arn = aws("register-task-definition", *given, *wanted, shown="register-task-definition --cli-input-json file://…")
    good(arn)

    ecs = boto3.client("ecs", endpoint_url=url, region_name=REGION)
    ec2 = boto3.client("ec2", endpoint_url=url, region_name=REGION)
    follower = Follower(ecs)
    step(f"A cluster, and a service of {DESIRED} tasks, by boto3")
    began = time.monotonic()
    create(ecs, ec2, arn)
    follower.until_stable()
    ecs.get_waiter("services_stable").wait(cluster=CLUSTER, services=[SERVICE])
    good(f"services-stable after {time.monotonic() - began:.1f} s")

    step("Both ports of both tasks answer, at the tasks' own addresses")
    for address in addresses(ecs):
        for name, container_port in PORTS.items():
            see(address, container_port, name)

    step("Backend and frontend reach each other on localhost")
    for address in addresses(ecs):
        for container_port, peer in ((8000, "backend"), (8080, "frontend")):
            see(address, container_port, peer, path="/cgi-bin/peer")

    step("A container is killed; the service replaces its task")
    kill_and_watch(ecs, follower)

    step("A secret and a log group for revision 2")
    keep_secret(url)

    step("Revision 2 rolls out, never below the healthy floor")
    roll_out(ecs, arn, follower)

    step("What the containers have written")
    show_logs(port, CLUSTER, SERVICE)

    step("A command inside a container")
    show_shell(port, CLUSTER, short(running(ecs)[0]))


def see(address: str, port: int, wanted: str, *, path: str = "/") -> None:
    """Fetch a page and show it; what is wanted must be on it."""
    answer = fetch(address, port, path)
    expect(wanted in answer, f"http://{address}:{port}{path} says {answer!r}, not {wanted!r}")
    good(f"http://{address}:{port}{path}  {answer.partition('.')[0]}")


def corrected(state: Path) -> Path:
    """Show what `wherry validate` finds, and keep the corrected copy."""
    copy = state / "my-task-def.json"
    command(f"wherry validate {EXAMPLE} --output corrected.json")
    run = subprocess.run(
        [BIN / "wherry", "validate", EXAMPLE, "--output", copy], cwd=ROOT, check=False, text=True, capture_output=True
    )
    line(run.stdout + run.stderr)
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


def kill_and_watch(ecs: Any, follower: Follower) -> None:
    """Kill a backend behind the back of Wherry and wait for the replacement."""
    before = {task["taskArn"] for task in running(ecs)}
    victim = running(ecs)[0]
    runtime_id = next(c["runtimeId"] for c in victim["containers"] if c["name"] == "backend")
    command(f"docker kill {runtime_id[:12]}")
    line(f"the backend of task {short(victim)}", "dim")
    subprocess.run(["docker", "kill", runtime_id], check=True, capture_output=True)
    began = time.monotonic()
    wait_for("a replacement", lambda: {task["taskArn"] for task in running(ecs)} - before)
    passed = time.monotonic() - began
    follower.until_stable()
    stopped = ecs.describe_tasks(cluster=CLUSTER, tasks=[victim["taskArn"]])["tasks"][0]
    code = next(c.get("exitCode") for c in stopped["containers"] if c["name"] == "backend")
    expect(code == 128 + signal.SIGKILL, f"the killed backend's exit code is {code}, not 137")
    good(f"a new task was RUNNING {passed:.1f} s after the kill")
    good(f"the old one: “{stopped['stoppedReason']}”, its backend's exit code {code}")


def roll_out(ecs: Any, first: str, follower: Follower) -> None:
    """Register revision 2 and hold the floor while it replaces revision 1."""
    old = ecs.describe_task_definition(taskDefinition=first)["taskDefinition"]
    second = ecs.register_task_definition(
        family=FAMILY,
        containerDefinitions=[equip(container) for container in old["containerDefinitions"]],
        executionRoleArn="ecsTaskExecutionRole",
        networkMode="awsvpc",
        cpu=old["cpu"],
        memory=old["memory"],
        requiresCompatibilities=["FARGATE"],
    )["taskDefinition"]["taskDefinitionArn"]
    with watch_floor(ecs) as floor:
        ecs.update_service(cluster=CLUSTER, service=SERVICE, taskDefinition=second, enableExecuteCommand=True)
        follower.until_stable()
    expect(floor.samples > 0 and floor.lowest >= DESIRED, f"only {floor.lowest} of {DESIRED} tasks answered at a time")
    good(f"looked {floor.samples} times while it rolled: never fewer than {floor.lowest} tasks answered")
    for address in addresses(ecs):
        see(address, PORTS["backend"], "revision 2")


def invite(port: int) -> None:
    """Say what to try next."""
    folder = shlex.quote(str(BIN))
    console.print()
    console.print(Rule("[bold green]It keeps running.[/] In another shell:", align="left"))
    for text in (
        f"export PATH={folder}:$PATH",
        f'eval "$(wherry env --port {port} --region {REGION})"',
        f"wherry ps --port {port}",
        f"wherry logs {SERVICE} --cluster {CLUSTER} --port {port} --region {REGION} -f",
        f"wherry exec {SERVICE} --cluster {CLUSTER} --port {port} --region {REGION} -c backend -- sh",
        f"aws ecs update-service --cluster {CLUSTER} --service {SERVICE} --desired-count 4",
        f"aws ecs describe-services --cluster {CLUSTER} --services {SERVICE} --query 'services[0].events'",
    ):
        # Not wrapped: these are to be copied.
        console.print(f"  {text}", markup=False, soft_wrap=True)
    console.print("\n[bold]Ctrl-C[/] here stops it and removes everything that it made.")


if __name__ == "__main__":
    sys.exit(main())
