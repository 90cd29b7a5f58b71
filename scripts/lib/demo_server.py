"""The demo's own Wherry: brought up on a fresh data directory, and taken down without a trace."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from demo_screen import DemoFailed, command, expect, good, line, step, wait_for

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
REGION = "ap-northeast-1"
HEALTHY_AFTER = 5  # ECS waits 40 seconds; the demo has no time for that.

KEPT_SETTINGS = {"WHERRY_VPC_CIDR", "WHERRY_SANDBOX"}
"""What of a user's own settings the demo needs to run on that user's machine."""


def forget_surroundings() -> None:
    """Drop what was meant for other purposes: the demo talks to this machine only, and to its own database."""
    for name in list(os.environ):
        ours = name.startswith("WHERRY_") and name not in KEPT_SETTINGS
        if ours or name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_PAGER": ""}
    # As Wherry: DOCKER_HOST, else the local socket.
    os.environ["DOCKER_CONTEXT"] = "default"


@contextlib.contextmanager
def wherry(state: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run `wherry up` in the directory `state`; yields its port and process. Nothing of it is left at the end."""
    port, data = free_port(), str(state / "data")
    arguments = ["up", "--data-dir", data, "--port", str(port), "--region", REGION]
    env = os.environ | {
        "WHERRY_HEALTHY_AFTER": str(HEALTHY_AFTER),
        "WHERRY_STOP_TIMEOUT": "10",
        "WHERRY_IMAGE_PULL_BEHAVIOR": "prefer-cached",
        "WHERRY_LOG_FORMAT": "console",
        "NO_COLOR": "1",
    }
    step("Wherry comes up")
    command("wherry up")
    with (state / "wherry.log").open("wb") as log:
        # In a session of its own: Ctrl-C is for the demo, which then takes everything down in order.
        process = subprocess.Popen(
            [BIN / "wherry", *arguments], env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for("the control plane and its agent", lambda: running(process) and healthy(port))
            good(f"listening on http://127.0.0.1:{port} as region {REGION}")
            yield port, process
        finally:
            take_down(process, data)


def take_down(process: subprocess.Popen[bytes], data: str) -> None:
    """Stop it and remove its tasks; no signal interrupts that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    step("Cleaning up")
    command("wherry down")
    down = subprocess.run(
        [BIN / "wherry", "down", "--data-dir", data],
        check=False,
        text=True,
        capture_output=True,
        start_new_session=True,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=30)
    process.kill()
    expect(
        down.returncode == 0,
        f"wherry down could not clean up: {(down.stderr or down.stdout).strip()}",
        f"sudo {shlex.quote(str(BIN / 'wherry'))} down --data-dir {data}",
    )
    line(down.stdout.partition(" The data directory")[0])


def running(process: subprocess.Popen[bytes]) -> bool:
    """True while the process runs. Raises `DemoFailed` otherwise."""
    if process.poll() is not None:
        raise DemoFailed(
            f"wherry up ended with exit code {process.returncode}.",
            f"Ask what this machine lacks: sudo {shlex.quote(str(BIN / 'wherry'))} doctor",
        )
    return True


def healthy(port: int) -> bool:
    """Whether the control plane answers and an agent has joined."""
    with contextlib.suppress(OSError):
        return b'"agents":1' in urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
    return False


def free_port() -> int:
    """Take Wherry's own port, or any other if somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 4566))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def point_at(port: int) -> str:
    """Set what `wherry env` prints, as a shell would by eval, for the AWS CLI and boto3; returns the endpoint's URL."""
    command('eval "$(wherry env)"')
    printed = subprocess.run(
        [BIN / "wherry", "env", "--port", str(port), "--region", REGION], check=True, text=True, capture_output=True
    ).stdout
    exports = [shlex.split(text) for text in printed.splitlines() if text.startswith("export ")]
    for pair in (pair for words in exports for pair in words[1:]):
        name, _, value = pair.partition("=")
        os.environ[name] = value
    line(f"AWS_ENDPOINT_URL={os.environ['AWS_ENDPOINT_URL']} …", "dim")
    return os.environ["AWS_ENDPOINT_URL"]


def aws(*arguments: str, shown: str) -> str:
    """Run the AWS CLI's `aws ecs`; `shown` is how a user would write the arguments."""
    command(f"aws ecs {shown}")
    run = subprocess.run([BIN / "aws", "ecs", *arguments], check=False, text=True, capture_output=True)
    expect(run.returncode == 0, f"aws ecs {arguments[0]} failed: {run.stderr.strip()}")
    return run.stdout.strip()


def last_words(log: Path, count: int = 12) -> str:
    """Read the end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:]) if log.exists() else ""
