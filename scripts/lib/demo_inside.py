"""What the demo's containers see and say: a secret, their log streams, and a command run inside one of them."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import boto3
from demo_screen import command, expect, good, line
from demo_server import BIN, REGION, ROOT

SECRET, PARAMETER, GROUP = "GREETING", "/demo/greeting", "/demo/web"
GREETING = "ahoy"
PATIENCE = 30.0
"""Seconds that the log driver, which sends every five, has."""


def keep_secret(url: str) -> None:
    """Put the secret where the task definition will say, and make the log group."""
    client = boto3.client("ssm", endpoint_url=url, region_name=REGION)
    client.put_parameter(Name=PARAMETER, Value=GREETING, Type="SecureString", Overwrite=True)
    command(f"aws ssm put-parameter --name {PARAMETER} --type SecureString --value …")
    boto3.client("logs", endpoint_url=url, region_name=REGION).create_log_group(logGroupName=GROUP)
    command(f"aws logs create-log-group --log-group-name {GROUP}")


def equip(container: dict[str, Any]) -> dict[str, Any]:
    """Give a container the secret, and have what it writes sent to its log stream."""
    options = {"awslogs-group": GROUP, "awslogs-region": REGION, "awslogs-stream-prefix": "demo"}
    return container | {
        "environment": [{"name": "REVISION", "value": "2"}],
        "secrets": [{"name": SECRET, "valueFrom": PARAMETER}],
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }


def show_logs(port: int, cluster: str, service: str) -> None:
    """Show with `wherry logs` what the containers have written; the secret reached them, and is not in there."""
    arguments = ["logs", service, "--cluster", cluster, "--since", "10m"]
    command(f"wherry {' '.join(arguments)}")
    wanted = f"its secret has {len(GREETING)} letters"
    deadline = time.monotonic() + PATIENCE
    while wanted not in (said := _wherry(port, *arguments)):
        expect(time.monotonic() < deadline, f"wherry logs shows {said!r}, not {wanted!r}")
        time.sleep(0.5)
    for text in said.splitlines()[:4]:
        line(text)
    expect(GREETING not in said, "the secret is in the logs")
    good("the secret reached the containers, and their lines reached CloudWatch Logs")


def show_shell(port: int, cluster: str, task: str) -> None:
    """Run a command inside a container with `wherry exec`."""
    arguments = ["exec", task, "--cluster", cluster, "-c", "backend", "--", "hostname"]
    command(f"wherry {' '.join(arguments)}")
    said = _wherry(port, *arguments).strip()
    expect(said != "", "wherry exec shows nothing")
    line(said)
    good("a command ran inside the container; without one it would be a shell")


def _wherry(port: int, command_name: str, *arguments: str) -> str:
    """Run a command of `wherry` against the demo's control plane; raises `DemoFailed` with what it says."""
    own = ["--port", str(port), "--region", REGION]
    run = subprocess.run(
        [BIN / "wherry", command_name, *own, *arguments], cwd=ROOT, check=False, text=True, capture_output=True
    )
    expect(run.returncode == 0, f"wherry {command_name} ended with {run.returncode}: {run.stderr or run.stdout}")
    return run.stdout
