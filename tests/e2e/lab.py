"""Wherry as its user has it: the command in processes of its own, boto3, the AWS CLI and `docker` beside it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from tests.hierarchies import admitted, cgroups

from wherry.agent.sandbox import ranges

T = TypeVar("T")

BIN = Path(sys.executable).parent
REGION = "eu-north-1"
PATIENCE = 60.0
"""Seconds until a condition counts as never coming true: generous, for nobody waits that long unless it fails."""

FAST = {
    "WHERRY_HEALTHY_AFTER": "1",
    "WHERRY_STOP_TIMEOUT": "2",
    "WHERRY_START_BACKOFF_INITIAL": "1",
    "WHERRY_IMAGE_PULL_BEHAVIOR": "prefer-cached",
}
QUICKLY = {"Delay": 1, "MaxAttempts": 60}
"""How often boto3's waiters look."""


def eventually(what: str, condition: Callable[[], T], *, patience: float = PATIENCE) -> T:
    """Return the first true value of `condition`."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience:g} s for {what}; the last look gave {value!r}")
        time.sleep(0.1)
    return value


def run(
    *command: str | Path, check: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; one that fails shows what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90, env=env)
    assert done.returncode == 0 or not check, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def clean_environment(**variables: str) -> dict[str, str]:
    """Give a process nothing of what the developer has set for Wherry or AWS; an empty value takes a variable away."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("WHERRY_", "AWS_"))}
    return {name: value for name, value in (own | variables).items() if value}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """A process of `wherry` that runs until it is told to stop."""

    def __init__(self, arguments: list[str], env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [BIN / "wherry", *arguments], env=env, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def terminate(self) -> int:
        return self.signal(signal.SIGTERM)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)


class Wherry:
    """One data directory and the processes that work on it. `environment` are further WHERRY_… variables."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.data = home / "data"
        self.region = REGION
        self.port = free_port()
        self.env = clean_environment(**(FAST | environment))
        self.programs: list[Program] = []
        self.agents_go_to: str | None = None
        self._ecs: Any = None
        home.mkdir(parents=True, exist_ok=True)

    def start(self, role: str, *options: str) -> Program:
        """Start `up`, `server` or `agent`, and do not wait."""
        if role == "server" and "WHERRY_VPC_CIDR" not in self.env:
            # Unlike `up`, a control plane does not ask what this machine has routes for already.
            self.env["WHERRY_VPC_CIDR"] = ranges.free_range(self.home)
        arguments = [role, "--data-dir", str(self.data), "--region", self.region]
        arguments += ["--server", self.agents_go_to or self.url] if role == "agent" else ["--port", str(self.port)]
        program = Program([*arguments, *options], self.env, self.home / f"{role}.log")
        self.programs.append(program)
        return program

    def up(self, *options: str) -> Program:
        return self._ready(self.start("up", *options), self.joined)

    def server(self, *options: str) -> Program:
        return self._ready(self.start("server", *options), self.answers)

    def agent(self, *options: str) -> Program:
        return self._ready(self.start("agent", *options), self.joined)

    def _ready(self, program: Program, ready: Callable[[], bool]) -> Program:
        def check() -> bool:
            assert program.alive, f"ended with {program.process.returncode}:\n{program.said()}"
            return ready()

        eventually(f"wherry to be ready; {program.log} tells", check)
        return program

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `wherry` to its end."""
        return run(BIN / "wherry", *arguments, check=check, env=self.env)

    def down(self) -> str:
        return self.command("down", "--data-dir", str(self.data)).stdout

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def health(self) -> dict[str, Any]:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
        return {}

    def answers(self) -> bool:
        return self.health().get("status") == "ok"

    def joined(self) -> bool:
        return self.health().get("agents") == 1

    def client(self, service: str, *, key: str = "any", secret: str = "any") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": 2}, connect_timeout=5, read_timeout=20),
        )

    @property
    def ecs(self) -> Any:
        if self._ecs is None:
            self._ecs = self.client("ecs")
        return self._ecs

    def aws(self, *arguments: str) -> Any:
        """Run the AWS CLI in the environment that `wherry env` prints; returns its JSON."""
        printed = self.command("env", "--port", str(self.port), "--region", REGION).stdout
        lines = (shlex.split(line)[1].split("=", 1) for line in printed.splitlines())
        said = run(BIN / "aws", *arguments, env=self.env | dict(lines)).stdout
        return json.loads(said) if said.strip() else None

    @property
    def instance(self) -> str:
        """The id that everything of this agent carries on the host."""
        return (self.data / "agent" / "instance-id").read_text().strip()

    def remains(self) -> dict[str, list[str]]:
        """List what is on the host of this data directory's agent; nothing after `wherry down`."""
        own = self.instance
        found = {
            "containers": run("docker", "ps", "-aq", "--filter", f"label=wherry.instance={own}").stdout.split(),
            "volumes": run(
                *("docker", "volume", "ls", "-q", "--filter", f"label=wherry.instance={own}"),
                *("--filter", "label=com.amazonaws.ecs.task-arn"),
            ).stdout.split(),
            "namespaces": [path.name for path in Path("/run/netns").glob(f"wherry-{own}-*")],
            "interfaces": [str(path) for path in Path("/sys/class/net").glob("whr*") if own in _alias(path)],
            "cgroups": [str(path) for path in cgroups(f"wherry/{own}")],
            "log routers": [str(path) for path in Path("/run/wherry/firelens", own).glob("*")],
            "admitted": admitted(own),
            "task files": [str(path) for path in (self.data / "agent" / "tasks").glob("*")],
        }
        return {kind: things for kind, things in found.items() if things}

    def close(self) -> None:
        """Leave nothing behind, whatever the test did."""
        for program in self.programs:
            if program.alive:
                program.kill()
        if (self.data / "agent" / "instance-id").exists():
            self.down()


def _alias(link: Path) -> str:
    try:
        return (link / "ifalias").read_text()
    except OSError:  # gone meanwhile
        return ""


@contextlib.contextmanager
def a_wherry(home: Path, **environment: str) -> Iterator[Wherry]:
    """Have a data directory that nothing works on yet; whatever comes of it is gone at the end."""
    wherry = Wherry(home, **environment)
    try:
        yield wherry
    finally:
        wherry.close()


class Cluster:
    """The cluster "default" of a Wherry, in the few words that tests need."""

    def __init__(self, wherry: Wherry) -> None:
        self.wherry = wherry
        self.ecs = wherry.ecs
        subnets = wherry.client("ec2").describe_subnets()["Subnets"]
        self.network = {"awsvpcConfiguration": {"subnets": [subnet["SubnetId"] for subnet in subnets]}}
        self.ecs.create_cluster(clusterName="default")

    def register(self, family: str, *containers: dict[str, Any], cpu: str = "256", memory: str = "512") -> str:
        """Register a Fargate task definition; returns its ARN."""
        answer = self.ecs.register_task_definition(
            family=family,
            containerDefinitions=list(containers),
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu=cpu,
            memory=memory,
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def run(self, task_definition: str, **parameters: Any) -> str:
        """Run one task; returns its ARN."""
        answer = self.ecs.run_task(
            taskDefinition=task_definition, launchType="FARGATE", networkConfiguration=self.network, **parameters
        )
        assert not answer["failures"], answer["failures"]
        return str(answer["tasks"][0]["taskArn"])

    def task(self, arn: str) -> dict[str, Any]:
        described: dict[str, Any] = self.ecs.describe_tasks(tasks=[arn])["tasks"][0]
        return described

    def stop(self, arn: str, **parameters: Any) -> dict[str, Any]:
        """Stop a task and wait for its end."""
        self.ecs.stop_task(task=arn, **parameters)
        return self.stopped(arn)

    def running(self, arn: str) -> dict[str, Any]:
        """Wait until a task is RUNNING; one that ends before that fails the test."""

        def look() -> dict[str, Any] | None:
            task = self.task(arn)
            assert task["lastStatus"] != "STOPPED", f"{task.get('stoppedReason')}: {task['containers']}"
            return task if task["lastStatus"] == "RUNNING" else None

        return eventually(f"{arn} to run", look) or {}

    def stopped(self, arn: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            task = self.task(arn)
            return task if task["lastStatus"] == "STOPPED" else None

        return eventually(f"{arn} to stop", look) or {}

    def serve(self, name: str, task_definition: str, desired: int, **parameters: Any) -> dict[str, Any]:
        """Create a service; returns its description."""
        created: dict[str, Any] = self.ecs.create_service(
            serviceName=name,
            taskDefinition=task_definition,
            desiredCount=desired,
            launchType="FARGATE",
            networkConfiguration=self.network,
            **parameters,
        )["service"]
        return created

    def service(self, name: str) -> dict[str, Any]:
        described: dict[str, Any] = self.ecs.describe_services(services=[name])["services"][0]
        return described

    def stable(self, name: str) -> dict[str, Any]:
        """Wait until the service is stable and its deployment over."""

        def look() -> dict[str, Any] | None:
            service = self.service(name)
            (*others, first) = service["deployments"]
            steady = not others and service["runningCount"] == service["desiredCount"]
            return service if steady and first.get("rolloutState") == "COMPLETED" else None

        return eventually(f"service {name} to be stable", look) or {}

    def tasks_of(self, name: str, status: str = "RUNNING") -> list[dict[str, Any]]:
        """Describe the tasks of a service that have this last status."""
        arns = self.ecs.list_tasks(serviceName=name)["taskArns"]
        found = self.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return [task for task in found if task["lastStatus"] == status]

    def events(self, name: str) -> list[str]:
        return [event["message"] for event in self.service(name)["events"]]

    def remove(self, name: str) -> None:
        """Delete a service and wait until none of its tasks is left."""
        self.ecs.delete_service(service=name, force=True)
        self.ecs.get_waiter("services_inactive").wait(services=[name], WaiterConfig=QUICKLY)
        eventually(f"the tasks of {name} to be gone", lambda: not self._unfinished(name))

    def _unfinished(self, name: str) -> list[str]:
        arns: list[str] = self.ecs.list_tasks(family=name, desiredStatus="STOPPED")["taskArns"]
        tasks = self.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return [task["taskArn"] for task in tasks if task["lastStatus"] != "STOPPED"]


def container(task: dict[str, Any], name: str) -> dict[str, Any]:
    """Pick a container of a described task."""
    return next(one for one in task["containers"] if one["name"] == name)


def runtime_ids(task: dict[str, Any]) -> list[str]:
    return sorted(one["runtimeId"] for one in task["containers"])


def address(task: dict[str, Any]) -> str:
    """Tell the private address of a described task."""
    details = (detail for attachment in task["attachments"] for detail in attachment["details"])
    return next(str(detail["value"]) for detail in details if detail["name"] == "privateIPv4Address")


def fetch(host: str, path: str = "/", port: int = 8080) -> str | None:
    """GET a page; None while nobody answers."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=3) as answer:
        return str(answer.read().decode()).strip()
    return None


def reach(host: str, page: str, port: int = 8080) -> None:
    """Wait until `page` is served there: a container that has just started may not listen yet."""
    eventually(f"{host}:{port} to serve {page}", lambda: fetch(host, port=port) == page)


def inside(runtime_id: str, *command: str) -> str:
    """Run a command in a container; returns what it printed."""
    return run("docker", "exec", runtime_id, *command).stdout.strip()


def inspected(runtime_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("docker", "inspect", runtime_id).stdout)[0]
    return found
