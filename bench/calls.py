"""How many calls are answered in a second over eight connections: reads, and writes that are on the disk by then."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.e2e.lab import Cluster, Wherry, a_wherry

from bench.peers import IMAGE, MiniStack, ministack
from bench.table import Row

CONNECTIONS = 8
SECONDS = 4
SERVICE = {"MiniStack": "ecs"}
READS = {"DescribeServices": {"services": ["read"]}, "DescribeClusters": {"clusters": ["default"]}}

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-amz-json-1.1"
wrk.headers["X-Amz-Target"] = "AmazonEC2ContainerServiceV20141113.{operation}"
wrk.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=test/20200101/{region}/ecs/aws4_request, " ..
  "SignedHeaders=host;x-amz-date, Signature=0000"
wrk.headers["X-Amz-Date"] = "20200101T000000Z"
wrk.body = [==[{body}]==]
local failed = 0
response = function(status) if status ~= 200 then wrk.thread:stop() error("status " .. status) end end
"""


def wrk(url: str, operation: str, body: dict[str, Any], home: Path, *, region: str) -> float:
    """Call one operation from eight connections for a while; returns the calls answered in a second."""
    script = home / f"{operation}.lua"
    script.write_text(_SCRIPT.format(operation=operation, body=json.dumps(body), region=region))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Requests/sec:\s+([\d.]+)", said.stdout)
    if found is None or "Non-2xx" in said.stdout or "error" in said.stderr.lower():
        raise RuntimeError(f"{operation} at {url}: {said.stdout}{said.stderr}")
    return float(found[1])


def measure(rounds: int, say: Callable[[str], None], *, program: Path, home: Path) -> list[Row]:
    """Measure a `wherry server` on SQLite with every commit on the disk, beside MiniStack, which keeps all in memory.

    Tasks accepted have no host here: only the API's work counts, as nothing starts them.
    """
    with ExitStack() as stack:
        ours = stack.enter_context(a_wherry(home / "calls"))
        ours.server()
        theirs = stack.enter_context(ministack(program, home))
        bodies = _seed(ours, theirs)
        rows = []
        for operation, bound, of in (
            ("DescribeTasks", 3.0, "DescribeClusters"),
            ("DescribeServices", 3.0, "DescribeServices"),
            ("RegisterTaskDefinition", 2.0, "RegisterTaskDefinition"),
        ):
            samples: dict[str, list[float]] = {"ours": [], "theirs": []}
            for number in range(1, rounds + 1):
                say(f"{operation}, round {number} of {rounds}")
                samples["ours"].append(wrk(ours.url, operation, bodies[operation], home, region=ours.region))
                samples["theirs"].append(wrk(theirs.url, of, bodies[f"MiniStack {of}"], home, region="us-east-1"))
            other = f"MiniStack {of}" if of != operation else "MiniStack"
            rows.append(
                Row(
                    measure=f"{operation}, {CONNECTIONS} connections",
                    unit="/s",
                    ours=samples["ours"],
                    others={other: samples["theirs"]},
                    limits={other: bound},
                    better="more",
                )
            )
    return rows


def _seed(ours: Wherry, theirs: MiniStack) -> dict[str, dict[str, Any]]:
    """Have on both what is read: a cluster, a definition, a service; a task as well on Wherry."""
    container = {"name": "web", "image": IMAGE, "memory": 64, "essential": True}
    definition: dict[str, Any] = {"family": "read", "containerDefinitions": [container]}
    cluster = Cluster(ours)
    fargate = definition | {
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
    }
    ours.ecs.register_task_definition(**fargate)
    cluster.serve("read", "read", 0)
    ecs = theirs.client()
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(**definition)
    ecs.create_service(serviceName="read", taskDefinition="read", desiredCount=0)
    cluster.serve("tasks", "read", 1)
    arns = cluster.ecs.list_tasks()["taskArns"]
    while not arns:
        arns = cluster.ecs.list_tasks()["taskArns"]
    return {
        "DescribeTasks": {"tasks": arns},
        "DescribeServices": {"services": ["read"]},
        "RegisterTaskDefinition": fargate,
        "MiniStack DescribeClusters": {"clusters": ["default"]},
        "MiniStack DescribeServices": {"services": ["read"]},
        "MiniStack RegisterTaskDefinition": definition,
    }
