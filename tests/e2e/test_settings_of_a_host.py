"""The same tasks run in either sandbox, on either database, and for callers that must prove who they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError
from tests.e2e.lab import Cluster, Wherry, a_wherry, address, container, eventually, inside, reach, run
from tests.e2e.pictures import web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]


def smoke(wherry: Wherry) -> None:
    """Run a service of a two-container task, see it answer, lose a container and come back."""
    cluster = Cluster(wherry)
    cluster.serve("web", cluster.register("web", web(page="back"), web("front", page="front", port=8081)), 1)
    cluster.stable("web")
    (before,) = cluster.tasks_of("web")
    reach(address(before), "back")
    front = container(before, "front")["runtimeId"]
    assert inside(front, "timeout", "5", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/") == "back"
    assert inside(front, "hostname").startswith("ip-")
    run("docker", "kill", front)
    cluster.stopped(before["taskArn"])
    cluster.stable("web")
    (after,) = cluster.tasks_of("web")
    reach(address(after), "front", port=8081)
    cluster.remove("web")
    eventually("nothing to be left", lambda: wherry.remains().keys() <= {"cgroups"})


@pytest.mark.parametrize("sandbox", ["namespace", "pause"])
def test_a_service_runs_in_either_sandbox(own: Wherry, sandbox: str) -> None:
    own.up("--sandbox", sandbox)
    smoke(own)
    own.down()
    assert own.remains() == {}


def test_a_task_of_pause_containers_survives_a_restart_with_namespaces(own: Wherry) -> None:
    program = own.up("--sandbox", "pause")
    cluster = Cluster(own)
    arn = cluster.run(cluster.register("web", web()))
    task = cluster.running(arn)
    program.kill()
    own.up("--sandbox", "namespace")
    reach(address(task), "web")
    assert container(cluster.stop(arn), "web")["exitCode"] == 0
    eventually("nothing to be left", lambda: own.remains().keys() <= {"cgroups"})


@pytest.mark.postgres
def test_the_control_plane_runs_on_postgresql(tmp_path: Path, empty_postgres_url: str) -> None:
    with a_wherry(tmp_path, WHERRY_DATABASE_URL=empty_postgres_url) as wherry:
        program = wherry.up()
        smoke(wherry)
        assert not list(wherry.data.glob("wherry.db*"))
        arn = Cluster(wherry).run("web")
        program.kill()
        program = wherry.up()
        Cluster(wherry).running(arn)
        assert program.terminate() == 0


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Wherry]:
    """Have a Wherry that knows one caller."""
    known = {"WHERRY_ACCESS_KEY_ID": "AKIAEXAMPLE", "WHERRY_SECRET_ACCESS_KEY": "correct horse"}
    with a_wherry(tmp_path, WHERRY_AUTH="strict", **known) as wherry:
        yield wherry


def unsigned(url: str) -> tuple[int, str]:
    """List clusters as nobody; returns the status and the error's type."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListClusters",
    }
    with pytest.raises(HTTPError) as caught:
        urlopen(Request(url, data=b"{}", headers=headers), timeout=10)
    with caught.value as answer:
        return answer.code, json.load(answer)["__type"].rsplit("#", 1)[-1]


def test_a_strict_control_plane_knows_its_callers(strict: Wherry) -> None:
    strict.server()
    strict.agent()
    known = strict.client("ecs", key="AKIAEXAMPLE", secret="correct horse")
    assert known.list_clusters()["clusterArns"]
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        strict.client("ecs", key="AKIAEXAMPLE", secret="wrong").list_clusters()
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        strict.client("ecs", key="AKIANOBODY", secret="correct horse").list_clusters()
    assert unsigned(strict.url) == (400, "MissingAuthenticationTokenException")


def test_an_agent_with_a_wrong_secret_does_not_join(strict: Wherry) -> None:
    strict.server()
    strict.env["WHERRY_SECRET_ACCESS_KEY"] = "guessed"
    agent = strict.start("agent")
    eventually("a refusal", lambda: "registration_refused" in agent.said())
    assert not strict.joined()
    assert "guessed" not in agent.said()
