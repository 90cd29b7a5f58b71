"""Port 80 of the host is the host's own, although tasks find their agent at port 80 of 169.254.170.2."""

from __future__ import annotations

import json
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.lab import Cluster, Wherry, a_wherry, address, eventually, inside, reach, run
from tests.e2e.pictures import WEB, bare

from wherry.agent.endpoints import peers
from wherry.agent.endpoints.server import DIRECTORY

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]

AGENT = "http://169.254.170.2"


@pytest.fixture(params=["namespace", "pause"])
def wherry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wherry]:
    """Run a Wherry with each kind of sandbox."""
    with a_wherry(tmp_path / "wherry", WHERRY_SANDBOX=request.param) as one:
        one.up()
        yield one


def a_task(wherry: Wherry) -> str:
    """Start a task; returns its container's id on the engine."""
    cluster = Cluster(wherry)
    return str(cluster.running(cluster.run(cluster.register("app", bare("app"))))["containers"][0]["runtimeId"])


def itself(runtime_id: str) -> str:
    """Ask the agent, out of a container, which container that is."""
    text = 'timeout 5 wget -q -O - "$ECS_CONTAINER_METADATA_URI_V4"'
    return str(json.loads(inside(runtime_id, "sh", "-c", text))["DockerId"])


def of_host(path: str = "/") -> str:
    """Ask the agent as a program of the host does; returns the status."""
    return run("curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", AGENT + path, check=False).stdout


@contextmanager
def port_80() -> Iterator[None]:
    """Listen on port 80 of all addresses."""
    with socket.socket() as listener:
        # Past connections are no obstacle then; whoever listens still is.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        yield


@contextmanager
def published(text: str) -> Iterator[None]:
    """Run a web server of Docker's at port 80 of all addresses of the host."""
    name = f"port-80-{uuid.uuid4().hex[:8]}"
    run("docker", "run", "-d", "--name", name, "-p", "80:8080", "-e", f"PAGE={text}", WEB)
    try:
        yield
    finally:
        run("docker", "rm", "-f", name)


@contextmanager
def closed_to(source: str) -> Iterator[None]:
    """Have the host take nothing of a task, as where the policy of INPUT is to drop."""
    rule = ("INPUT", "-s", source, "-p", "tcp", "-j", "DROP")
    run("iptables", "--wait", "-A", *rule)
    try:
        yield
    finally:
        run("iptables", "--wait", "-D", *rule)


def test_others_have_port_80_and_tasks_and_host_still_find_the_agent(wherry: Wherry) -> None:
    with port_80():
        own = a_task(wherry)
        assert itself(own) == own
    # What Docker publishes on all addresses comes neither between a task and its agent nor between the host and it.
    with published("theirs"):
        reach("127.0.0.1", "theirs", port=80)
        assert itself(own) == own
        assert of_host("/v2/credentials/none") == "400"


def test_what_listens_on_port_80_already_keeps_no_agent_from_serving(own: Wherry) -> None:
    with port_80():
        own.up()
        container = a_task(own)
        assert itself(container) == container


def test_a_killed_agent_serves_again_and_what_reloads_the_rules_is_made_good(wherry: Wherry) -> None:
    own = a_task(wherry)
    wherry.programs[-1].kill()
    with port_80():
        wherry.up()
        assert itself(own) == own
    run("nft", "delete", "table", "ip", "wherry")
    eventually("the way to the agent to be there again", lambda: of_host("/v2/credentials/none") == "400")
    assert itself(own) == own


def test_a_host_that_takes_nothing_lets_tasks_reach_their_agent_and_the_control_plane(wherry: Wherry) -> None:
    cluster = Cluster(wherry)
    task = cluster.running(cluster.run(cluster.register("app", bare("app"))))
    own = str(task["containers"][0]["runtimeId"])
    knock = ["docker", "exec", own, "sh", "-c", "timeout 3 nc -w 2 169.254.170.2 $0 </dev/null"]
    with closed_to(address(task)):
        assert itself(own) == own
        assert subprocess.run([*knock, str(wherry.port)], check=False).returncode == 0
        with socket.socket() as other:
            other.bind(("0.0.0.0", 0))
            other.listen()
            assert subprocess.run([*knock, str(other.getsockname()[1])], check=False).returncode != 0


def test_the_way_to_the_agent_goes_with_the_last_of_the_host(wherry: Wherry) -> None:
    a_task(wherry)
    assert "dnat to 169.254.170.2:21679" in run("nft", "list", "table", "ip", "wherry").stdout
    wherry.down()
    if peers.is_alone(DIRECTORY, wherry.instance) and not list(Path("/sys/class/net").glob("whr*")):
        assert run("nft", "list", "table", "ip", "wherry", check=False).returncode != 0
    with port_80():
        pass
