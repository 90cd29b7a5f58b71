"""What the demo asks of the service and its tasks, through the API and over HTTP."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from demo_screen import DemoFailed, expect, line, shortened, wait_for

CLUSTER, SERVICE = "demo", "web"
DESIRED = 2
PORTS = {"backend": 8080, "frontend": 8000}


class Follower:
    """Prints what happens to the service; remembers what it has printed."""

    def __init__(self, ecs: Any) -> None:
        """Take the API's client."""
        self.ecs = ecs
        self.events: set[str] = set()
        self.states: dict[str, str] = {}
        self.progress = ""

    def until_stable(self) -> None:
        """Follow until one deployment is left, complete, with every task running. Raises `DemoFailed`."""
        wait_for("the service to become stable:", self._stable, lambda: self.progress)

    def _stable(self) -> bool:
        service = self.ecs.describe_services(cluster=CLUSTER, services=[SERVICE])["services"][0]
        for event in reversed(service["events"]):
            self._tell(event)
        for task in tasks(self.ecs):
            if self.states.get(task["taskArn"]) != task["lastStatus"]:
                self.states[task["taskArn"]] = task["lastStatus"]
                line(f"task {short(task)} {task['lastStatus']}", "dim")
        self.progress = f"{service['runningCount']} running, {service['pendingCount']} pending"
        return (
            len(service["deployments"]) == 1
            and service["runningCount"] == service["desiredCount"]
            and service["deployments"][0]["rolloutState"] == "COMPLETED"
        )

    def _tell(self, event: Any) -> None:
        if event["id"] in self.events:
            return
        self.events.add(event["id"])
        line(shortened(event["message"]), "cyan")
        if "unable to" in event["message"]:
            raise DemoFailed(f"The service cannot start its tasks. {' '.join(stopped_reasons(self.ecs))}")


class Floor:
    """Counts how many tasks answer on both ports, again and again."""

    def __init__(self) -> None:
        """Nothing has been counted yet."""
        self.lowest = 1_000
        self.samples = 0
        self.over = threading.Event()

    def sample(self, ecs: Any) -> None:
        """Count until `over` is set."""
        known: set[str] = set(addresses(ecs))
        while not self.over.is_set():
            known |= set(addresses(ecs))
            self.lowest = min(self.lowest, sum(answers(address) for address in known))
            self.samples += 1
            self.over.wait(0.05)


@contextmanager
def watch_floor(ecs: Any) -> Iterator[Floor]:
    """Sample in the background until the block ends."""
    floor = Floor()
    thread = threading.Thread(target=floor.sample, args=(ecs,), daemon=True)
    thread.start()
    try:
        yield floor
    finally:
        floor.over.set()
        thread.join()


def tasks(ecs: Any, status: str = "RUNNING") -> list[dict[str, Any]]:
    """Describe the tasks of the service by what is wanted of them: RUNNING or STOPPED."""
    arns = ecs.list_tasks(cluster=CLUSTER, serviceName=SERVICE, desiredStatus=status)["taskArns"]
    found: list[dict[str, Any]] = ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
    return found


def running(ecs: Any) -> list[dict[str, Any]]:
    """Describe those that run."""
    return [task for task in tasks(ecs) if task["lastStatus"] == "RUNNING"]


def stopped_reasons(ecs: Any) -> list[str]:
    """Tell why tasks and their containers stopped, each reason once."""
    stopped = tasks(ecs, "STOPPED")
    reasons = [task.get("stoppedReason", "") for task in stopped]
    reasons += [container.get("reason", "") for task in stopped for container in task["containers"]]
    return sorted({reason for reason in reasons if reason})


def addresses(ecs: Any) -> list[str]:
    """Tell the private addresses of the running tasks."""
    details = [
        detail for task in running(ecs) for attachment in task["attachments"] for detail in attachment["details"]
    ]
    return [detail["value"] for detail in details if detail["name"] == "privateIPv4Address"]


def fetch(address: str, port: int, path: str = "/") -> str:
    """GET a page of a task; a task that has just started gets a moment to listen. Raises `DemoFailed`."""
    deadline = time.monotonic() + 10
    while True:
        try:
            page: bytes = urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=2).read()
            return page.decode().strip()
        except OSError as error:
            expect(time.monotonic() < deadline, f"http://{address}:{port}{path} does not answer: {error}")
            time.sleep(0.1)


def answers(address: str) -> bool:
    """Whether both containers of a task answer now."""
    try:
        for port in PORTS.values():
            urllib.request.urlopen(f"http://{address}:{port}/", timeout=1).read()
    except OSError:
        return False
    return True


def short(task: dict[str, Any]) -> str:
    """Tell a task by the first digits of its id."""
    return str(task["taskArn"]).rsplit("/", 1)[-1][:8]
