"""What happens when processes of Wherry die: to the containers nothing, and nothing is lost or done twice."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.lab import (
    Cluster,
    Program,
    Wherry,
    a_wherry,
    address,
    container,
    eventually,
    fetch,
    inspected,
    reach,
    run,
    runtime_ids,
)
from tests.e2e.pictures import script, web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]


class Apart:
    """A control plane and an agent in processes of their own, with a service of two tasks."""

    def __init__(self, wherry: Wherry) -> None:
        self.wherry = wherry
        self.server: Program
        self.agent: Program
        self.start("server", "agent")
        self.cluster = Cluster(wherry)
        self.cluster.serve("web", self.cluster.register("web", web()), 2)
        self.cluster.stable("web")

    def state(self) -> dict[str, list[str]]:
        """Map the running tasks of the service to their containers."""
        return {task["taskArn"]: runtime_ids(task) for task in self.cluster.tasks_of("web")}

    def kill(self, *roles: str) -> None:
        for role in roles:
            getattr(self, role).kill()

    def start(self, *roles: str) -> None:
        """Start the programs together, and wait until the agent has joined."""
        for role in roles:
            setattr(self, role, self.wherry.start(role))
        eventually("the agent to join", self.joined)

    def joined(self) -> bool:
        assert self.server.alive, self.server.said()
        assert self.agent.alive, self.agent.said()
        return self.wherry.joined()


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with a_wherry(tmp_path_factory.mktemp("apart")) as wherry:
        yield Apart(wherry)


def on_the_host(wherry: Wherry) -> list[str]:
    """List the containers of this Wherry that the engine has, running or not."""
    own = f"label=wherry.instance={wherry.instance}"
    return sorted(run("docker", "ps", "-aq", "--no-trunc", "--filter", own).stdout.split())


def lives(containers: list[str]) -> list[tuple[str, int]]:
    """Tell when each container was started and as which process."""
    states = [inspected(one)["State"] for one in containers]
    return [(state["StartedAt"], state["Pid"]) for state in states]


@contextlib.contextmanager
def nothing_happens_to_the_service(apart: Apart) -> Iterator[None]:
    """Hold that the same containers run afterwards, never restarted, and no others."""
    tasks, containers = apart.state(), on_the_host(apart.wherry)
    before = lives(containers)
    yield
    apart.cluster.stable("web")
    assert apart.state() == tasks
    assert on_the_host(apart.wherry) == containers
    assert lives(containers) == before


def still_served(addresses: list[str]) -> bool:
    return all(fetch(one) == "web" for one in addresses)


@pytest.mark.parametrize("who", [("server",), ("agent",), ("server", "agent")], ids="+".join)
def test_a_kill_leaves_the_containers_alone(apart: Apart, who: tuple[str, ...]) -> None:
    addresses = [address(task) for task in apart.cluster.tasks_of("web")]
    with nothing_happens_to_the_service(apart):
        apart.kill(*who)
        assert still_served(addresses)
        apart.start(*who)


def test_a_clean_stop_leaves_the_containers_alone(apart: Apart) -> None:
    addresses = [address(task) for task in apart.cluster.tasks_of("web")]
    with nothing_happens_to_the_service(apart):
        assert apart.agent.terminate() == 0
        assert apart.server.signal(signal.SIGINT) == 0
        assert still_served(addresses)
        apart.start("server", "agent")


def test_an_exit_while_the_agent_is_dead_is_reported_with_its_code(apart: Apart) -> None:
    waits = script("main", "while [ ! -e /tmp/go ]; do sleep 1; done; exit 23")
    arn = apart.cluster.run(apart.cluster.register("exits-alone", waits))
    main = container(apart.cluster.running(arn), "main")["runtimeId"]
    apart.kill("agent")
    run("docker", "exec", main, "sh", "-c", "echo > /tmp/go")
    eventually("the exit", lambda: not inspected(main)["State"]["Running"])
    apart.start("agent")
    task = apart.cluster.stopped(arn)
    assert (task["stopCode"], container(task, "main")["exitCode"]) == ("EssentialContainerExited", 23)


def test_a_kill_while_everything_is_dead_is_made_good_once(apart: Apart) -> None:
    before = apart.state()
    victim = min(before)
    apart.kill("server", "agent")
    run("docker", "kill", *before[victim])
    apart.start("server", "agent")
    task = apart.cluster.stopped(victim)
    assert container(task, "web")["exitCode"] == 137
    apart.cluster.stable("web")
    after = apart.state()
    assert len(after) == 2
    assert set(before) - set(after) == {victim}
    eventually("the old container to be removed", lambda: len(on_the_host(apart.wherry)) == 2)


def test_what_is_asked_while_the_agent_is_dead_is_done_when_it_is_back(apart: Apart) -> None:
    arn = apart.cluster.run(apart.cluster.register("stop-later", web()))
    apart.cluster.running(arn)
    apart.kill("agent")
    eventually("the control plane to notice", lambda: not apart.wherry.joined())
    apart.cluster.ecs.stop_task(task=arn, reason="while away")
    apart.cluster.ecs.update_service(service="web", desiredCount=3)
    assert apart.cluster.task(arn)["desiredStatus"] == "STOPPED"
    assert apart.cluster.task(arn)["lastStatus"] != "STOPPED"
    apart.start("agent")
    task = apart.cluster.stopped(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "while away")
    assert container(task, "web")["exitCode"] == 0
    assert apart.cluster.stable("web")["runningCount"] == 3
    apart.cluster.ecs.update_service(service="web", desiredCount=2)
    apart.cluster.stable("web")
    eventually("the third to be gone", lambda: len(on_the_host(apart.wherry)) == 2)


def test_what_ends_while_the_server_is_dead_is_told_when_it_is_back(apart: Apart) -> None:
    arn = apart.cluster.run(apart.cluster.register("told-later", web()))
    main = container(apart.cluster.running(arn), "web")["runtimeId"]
    apart.kill("server")
    run("docker", "kill", "--signal", "TERM", main)
    eventually("the exit", lambda: run("docker", "inspect", "-f", "{{.State.Running}}", main).stdout.strip() == "false")
    apart.start("server")
    task = apart.cluster.stopped(arn)
    assert (task["stopCode"], container(task, "web")["exitCode"]) == ("EssentialContainerExited", 0)


@pytest.mark.parametrize("who", ["server", "agent"])
def test_a_kill_in_the_middle_of_a_rollout_leaves_it_going_on(apart: Apart, who: str) -> None:
    definition = apart.cluster.register("web", web(page=f"after {who}"))
    apart.cluster.ecs.update_service(service="web", taskDefinition=definition)
    eventually("the first new task", lambda: _of(apart.cluster.service("web"), definition))
    apart.kill(who)
    apart.start(who)
    apart.cluster.stable("web")
    tasks = apart.cluster.tasks_of("web")
    assert [task["taskDefinitionArn"] for task in tasks] == [definition] * 2
    eventually("old containers to be gone", lambda: len(on_the_host(apart.wherry)) == 2)
    for task in tasks:
        reach(address(task), f"after {who}")


def _of(service: dict[str, Any], definition: str) -> bool:
    newest = service["deployments"][0]
    return bool(newest["taskDefinition"] == definition and newest["pendingCount"] + newest["runningCount"])


def test_nothing_is_left_by_down_and_up_brings_the_service_back(own: Wherry) -> None:
    bystander = run("docker", "run", "-d", "--network", "none", "wherry-e2e/bare:1").stdout.strip()
    try:
        program = own.up()
        cluster = Cluster(own)
        cluster.serve("web", cluster.register("web", web(), web("other", port=8081)), 1)
        cluster.stable("web")
        cluster.run(cluster.register("alone", web()))
        (before,) = cluster.tasks_of("web")
        assert own.remains().keys() == {"containers", "namespaces", "interfaces", "cgroups", "admitted", "task files"}

        assert "Removed" in own.down()
        assert program.process.wait(timeout=10) == 0
        assert own.remains() == {}
        assert address(before) not in run("ip", "route").stdout
        assert inspected(bystander)["State"]["Running"]
        assert own.down().startswith("Removed 0 containers.")

        own.up()
        eventually("the task to be reported", lambda: cluster.task(before["taskArn"])["lastStatus"] == "STOPPED")
        cluster.stable("web")
        (after,) = cluster.tasks_of("web")
        assert after["taskArn"] != before["taskArn"]
        reach(address(after), "web")
    finally:
        run("docker", "rm", "-f", bystander)


def test_down_cleans_up_after_a_kill(own: Wherry) -> None:
    program = own.up()
    cluster = Cluster(own)
    cluster.running(cluster.run(cluster.register("alone", web())))
    program.kill()
    assert "Removed 1 containers." in own.down()
    assert own.remains() == {}
