"""How long containers take: to start alone and by forty, to be replaced, to go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.e2e import pictures
from tests.e2e.lab import Cluster

from bench.peers import IMAGE, Docker, MiniStack, ministack, swarm, until, wherry
from bench.table import Row

SINGLES = 5
"""How often one container is started in a round: that is quick, and one look is soon a chance."""
UNTOLD = 0.006
"""Seconds within which no agent has said that a container has started: a look would only take their time."""
SETTLING = 0.5
"""Seconds for the engine to finish with what was there before."""
FORTY = 40
SERVICE = "forty"


class _Measured:
    """Samples by who was measured."""

    def __init__(self) -> None:
        self.samples: dict[str, list[float]] = {}

    @contextmanager
    def timed(self, who: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.samples.setdefault(who, []).append(time.perf_counter() - began)

    def row(self, measure: str, **limits: float) -> Row:
        names = {"run": "docker run -d", "rm": "docker rm -f", "swarm": "Swarm", "ministack": "MiniStack"}
        others = {names[who]: samples for who, samples in self.samples.items() if who != "wherry"}
        bounds = {names[who]: bound for who, bound in limits.items() if names[who] in others}
        return Row(measure=measure, unit="s", ours=self.samples["wherry"], others=others, limits=bounds)


class _Wherry:
    """A cluster of Wherry and the calls that are measured."""

    def __init__(self, cluster: Cluster, docker: Docker) -> None:
        self.cluster = cluster
        self.docker = docker
        self.ecs = cluster.ecs
        self.definition = cluster.register("bench", pictures.web())

    def run_one(self, started: Callable[[], object]) -> None:
        """Run a task. Nobody asks for it before its container has `started`, and its agent can have said so."""
        arn = self.cluster.run(self.definition)
        started()
        time.sleep(UNTOLD)
        until("RUNNING", lambda: self.cluster.task(arn)["lastStatus"] == "RUNNING", pause=0.002)
        self._one = arn

    def stop_one(self) -> None:
        self.cluster.stop(self._one)
        until("the task's end", self.nothing_left)

    def forty(self) -> None:
        self.cluster.serve(SERVICE, self.definition, FORTY)
        self.until_running(FORTY)

    def until_running(self, number: int) -> None:
        until("all running", lambda: self.cluster.service(SERVICE)["runningCount"] == number, pause=0.05)

    def replaced(self, timed: Callable[[], AbstractContextManager[None]]) -> None:
        before = {task["taskArn"]: task for task in self.cluster.tasks_of(SERVICE)}
        victim = next(iter(before.values()))["containers"][0]["runtimeId"]
        with timed():
            self.docker.call("kill", victim)
            until("the replacement", lambda: self._fresh(before))
        self.until_running(FORTY)

    def _fresh(self, before: dict[str, Any]) -> bool:
        fresh = set(self.ecs.list_tasks(serviceName=SERVICE)["taskArns"]) - before.keys()
        tasks = self.ecs.describe_tasks(tasks=list(fresh))["tasks"] if fresh else []
        return any(task["lastStatus"] == "RUNNING" for task in tasks)

    def to_zero(self) -> None:
        self.ecs.update_service(service=SERVICE, desiredCount=0)
        until("nothing left", self.nothing_left, pause=0.02)

    def nothing_left(self) -> bool:
        """Say whether nothing of any task is on the host."""
        own = self.cluster.wherry.instance
        places = ("sys/class/net/whr*", f"run/netns/wherry-{own}-*", f"sys/fs/cgroup/**/wherry/{own}/*/")
        if self.docker.get("/containers/json", label=[f"wherry.instance={own}"]):
            return False
        return not any(next(Path("/").glob(place), None) for place in places)


class _MiniStack:
    """The same calls to a MiniStack."""

    def __init__(self, one: MiniStack, docker: Docker) -> None:
        self._docker = docker
        self._ecs = one.client()
        self._ecs.create_cluster(clusterName="default")
        container = {"name": "web", "image": IMAGE, "memory": 64, "essential": True}
        answer = self._ecs.register_task_definition(family="bench", containerDefinitions=[container])
        self._definition = answer["taskDefinition"]["taskDefinitionArn"]

    def run_one(self, started: Callable[[], object]) -> None:
        answer = self._ecs.run_task(cluster="default", taskDefinition=self._definition)
        self._one = answer["tasks"][0]["taskArn"]
        started()
        until("MiniStack's task", lambda: self._status() == "RUNNING", pause=0.002)

    def _status(self) -> str:
        return str(self._ecs.describe_tasks(tasks=[self._one])["tasks"][0]["lastStatus"])

    def stop_one(self) -> None:
        self._ecs.stop_task(task=self._one)
        until("MiniStack's container to go", self.nothing_left)

    def forty(self) -> None:
        wanted = {"taskDefinition": self._definition, "desiredCount": FORTY, "launchType": "EC2"}
        self._ecs.create_service(serviceName=SERVICE, **wanted)
        until("MiniStack's forty", lambda: self._running() == FORTY, pause=0.05)

    def _running(self) -> int:
        return int(self._ecs.describe_services(services=[SERVICE])["services"][0]["runningCount"])

    def remove(self) -> None:
        self._ecs.update_service(service=SERVICE, desiredCount=0)
        until("MiniStack's containers to go", self.nothing_left, pause=0.2)
        self._ecs.delete_service(service=SERVICE, force=True)

    def nothing_left(self) -> bool:
        """Say whether the containers are gone: it removes them behind its answers."""
        return not self._docker.get("/containers/json", label=["ministack=ecs"])


def measure(rounds: int, say: Callable[[str], None], *, program: Path, home: Path) -> list[Row]:
    """Measure the four rows, everybody's turn in every round. `program` is MiniStack's."""
    pictures.build()
    docker = Docker()
    one, forty, replacement, zero = (_Measured() for _ in range(4))
    with ExitStack() as stack:
        ours = _Wherry(Cluster(stack.enter_context(wherry(home / "wherry"))), docker)
        stack.callback(docker.clear)
        theirs = _MiniStack(stack.enter_context(ministack(program, home)), docker)
        stack.enter_context(swarm(docker))
        # What is done once, such as the first rule of a firewall, is no part of starting a container.
        _one(_Measured(), ours, docker, theirs)
        for number in range(1, rounds + 1):
            say(f"containers, round {number} of {rounds}: one")
            for _ in range(SINGLES):
                _one(one, ours, docker, theirs)
            say(f"containers, round {number} of {rounds}: forty, Wherry and docker run")
            _ours(forty, replacement, zero, ours)
            _docker(forty, zero, docker)
            say(f"containers, round {number} of {rounds}: forty, Swarm")
            _swarm(forty, replacement, docker)
            say(f"containers, round {number} of {rounds}: forty, MiniStack")
            with forty.timed("ministack"):
                theirs.forty()
            theirs.remove()
    return [
        one.row("RunTask → RUNNING, one container, image cached", run=0.6),
        forty.row("CreateService of 40 → 40 RUNNING", run=0.6, swarm=0.35, ministack=0.06),
        replacement.row("container killed → replacement RUNNING", swarm=0.1),
        zero.row("service 40 → 0 → nothing left", rm=1.2),
    ]


def _one(one: _Measured, ours: _Wherry, docker: Docker, theirs: _MiniStack) -> None:
    time.sleep(SETTLING)
    with docker.next_start() as started, one.timed("wherry"):
        ours.run_one(started)
    ours.stop_one()
    time.sleep(SETTLING)
    with one.timed("run"):
        docker.run(1, at_once=1)
    docker.clear()
    time.sleep(SETTLING)
    with docker.next_start() as started, one.timed("ministack"):
        theirs.run_one(started)
    theirs.stop_one()


def _ours(forty: _Measured, replacement: _Measured, zero: _Measured, ours: _Wherry) -> None:
    with forty.timed("wherry"):
        ours.forty()
    ours.replaced(lambda: replacement.timed("wherry"))
    with zero.timed("wherry"):
        ours.to_zero()
    ours.cluster.remove(SERVICE)


def _docker(forty: _Measured, zero: _Measured, docker: Docker) -> None:
    with forty.timed("run"):
        docker.run(FORTY, at_once=4)
    with zero.timed("rm"):
        docker.clear()


def _swarm(forty: _Measured, replacement: _Measured, docker: Docker) -> None:
    def running() -> set[str]:
        found = docker.get("/tasks", service=["wherry-bench"], **{"desired-state": ["running"]})
        return {task["ID"] for task in found if task["Status"]["State"] == "running"}

    def containers() -> list[str]:
        label = ["com.docker.swarm.service.name=wherry-bench"]
        return [str(found["Id"]) for found in docker.get("/containers/json", label=label)]

    with forty.timed("swarm"):
        docker.call("service", "create", "--detach", "--name", "wherry-bench", "--replicas", str(FORTY), IMAGE)
        until("Swarm's forty", lambda: len(running()) == FORTY)
    before = running()
    with replacement.timed("swarm"):
        docker.call("kill", containers()[0])
        until("Swarm's replacement", lambda: running() - before)
    docker.call("service", "rm", "wherry-bench")
    until("Swarm's containers to go", lambda: not containers(), pause=0.1)
