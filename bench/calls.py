"""How many calls are answered in a second over eight connections: reads, and writes that are on the disk by then."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tests.e2e.lab import Cluster, Wherry

from bench.peers import IMAGE, MiniStack, ministack
from bench.simulated import NEVER_PULLED, simulated
from bench.table import Row

CONNECTIONS = 8
SECONDS = 4
WRITES_A_SECOND = 20
MEASURES = (
    ("DescribeTasks", 3.0, False),
    ("DescribeServices", 3.0, False),
    ("DescribeServices", None, True),
    ("RegisterTaskDefinition", 2.0, False),
    ("RunTask", 2.0, False),
)
"""The calls, how many times as many as MiniStack's must be answered, and whether another client writes meanwhile:
Wherry remembers what it has read until then."""

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-amz-json-1.1"
wrk.headers["X-Amz-Target"] = "AmazonEC2ContainerServiceV20141113.{operation}"
wrk.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=test/20200101/{region}/ecs/aws4_request, " ..
  "SignedHeaders=host;x-amz-date, Signature=0000"
wrk.headers["X-Amz-Date"] = "20200101T000000Z"
wrk.body = [==[{body}]==]
"""


def wrk(url: str, operation: str, body: dict[str, Any], home: Path, *, region: str, patient: bool = False) -> float:
    """Call one operation from eight connections for some seconds; returns the calls answered well in a second.

    Raises RuntimeError for a single call that fails, unless we are `patient`.
    """
    script = home / f"{operation}.lua"
    script.write_text(_SCRIPT.format(operation=operation, body=json.dumps(body), region=region))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said.stdout)
    total = re.search(r"(\d+) requests in", said.stdout)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said.stdout)
    if rate is None or total is None or (not patient and (failed or "error" in said.stdout.lower())):
        raise RuntimeError(f"{operation} at {url}: {said.stdout}{said.stderr}")
    return float(rate[1]) * (1 - int(failed[1] if failed else 0) / int(total[1]))


def measure(rounds: int, say: Callable[[str], None], *, program: Path, home: Path) -> list[Row]:
    """Measure Wherry on SQLite with every commit on the disk, beside MiniStack, which keeps all in memory.

    Neither starts containers: MiniStack is given no engine, and Wherry's agent is stopped in its tracks meanwhile, for
    what it does with accepted tasks is no part of accepting them.
    """
    rows = []
    with ExitStack() as stack:
        ours, agent = stack.enter_context(simulated(home / "calls"))
        theirs = stack.enter_context(ministack(program, home, DOCKER_HOST="unix:///nonexistent"))
        asked = _seed(ours, theirs)
        clients = {"ours": Cluster(ours).ecs, "theirs": theirs.client()}
        places = {"ours": (ours.url, ours.region), "theirs": (theirs.url, "us-east-1")}
        for operation, bound, amid_writes in MEASURES:
            name = f"{operation}, {CONNECTIONS} connections"
            if amid_writes:
                name += f", while another client writes {WRITES_A_SECOND} times a second"
            samples: dict[str, list[float]] = {"ours": [], "theirs": []}
            for number in range(1, rounds + 1):
                say(f"{name}, round {number} of {rounds}")
                for who, (url, region) in places.items():
                    definition = asked[who]["RegisterTaskDefinition"]
                    with _paused(agent), _writing(clients[who], definition) if amid_writes else nullcontext():
                        body = asked[who][operation]
                        rate = wrk(url, operation, body, home, region=region, patient=who == "theirs")
                    samples[who].append(rate)
            rows.append(
                Row(
                    measure=name,
                    unit="/s",
                    ours=samples["ours"],
                    others={"MiniStack": samples["theirs"]},
                    limits={} if bound is None else {"MiniStack": bound},
                    better="more",
                )
            )
    return rows


@contextmanager
def _paused(agent: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop the agent for less than it takes the control plane to think it lost."""
    agent.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        agent.send_signal(signal.SIGCONT)


@contextmanager
def _writing(client: Any, definition: dict[str, Any]) -> Iterator[None]:
    """Have a task definition registered again and again meanwhile."""
    enough = threading.Event()

    def write() -> None:
        while not enough.wait(1 / WRITES_A_SECOND):
            client.register_task_definition(**definition)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            yield
        finally:
            enough.set()
        writing.result()


def _seed(ours: Wherry, theirs: MiniStack) -> dict[str, dict[str, dict[str, Any]]]:
    """Have on both what is asked for: a definition, a service without tasks, a task; returns the calls' parameters."""
    cluster, ecs = Cluster(ours), theirs.client()
    ecs.create_cluster(clusterName="default")
    subnets = cluster.network["awsvpcConfiguration"]["subnets"]
    asked: dict[str, dict[str, dict[str, Any]]] = {}
    for who, client, image in (("ours", cluster.ecs, NEVER_PULLED), ("theirs", ecs, IMAGE)):
        definition = {
            "family": "web",
            "containerDefinitions": [{"name": "web", "image": image, "essential": True}],
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
        }
        # Subnets do not matter to MiniStack, but cost it the same to read.
        network = {"awsvpcConfiguration": {"subnets": subnets}}
        run = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network}
        client.register_task_definition(**definition)
        client.create_service(serviceName="web", desiredCount=0, **run)
        task = client.run_task(**run)["tasks"][0]["taskArn"]
        asked[who] = {
            "DescribeTasks": {"tasks": [task]},
            "DescribeServices": {"services": ["web"]},
            "RegisterTaskDefinition": definition,
            "RunTask": run,
        }
    return asked
