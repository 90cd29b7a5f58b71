"""Looks at everything all the time, and holds what it sees against the rules."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tests.e2e.chaos import rules
from tests.e2e.chaos.ledger import Ledger, Sighting
from tests.e2e.lab import Cluster

EVERY = 0.2


class Watch:
    """What was seen of every task, from a thread of its own."""

    def __init__(self, cluster: Cluster, ledger: Ledger) -> None:
        self.seen: dict[str, Sighting] = defaultdict(Sighting)
        self.looks = 0
        self._cluster = cluster
        self._ledger = ledger
        # A look is judged by what was promised while it was taken: nobody may settle promises meanwhile.
        self.judging = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def look(self) -> None:
        """Look once; raises what boto3 raises while nobody answers."""
        with self.judging:
            self._look_at_services()
            self._look_at_tasks()
            self.looks += 1
        for broken in (*rules.never_back(self.seen), *rules.one_container_each(self.seen)):
            self._ledger.blame(broken)

    def started(self) -> dict[str, set[str]]:
        """Map what started tasks to those tasks."""
        found: dict[str, set[str]] = defaultdict(set)
        for arn, sighting in list(self.seen.items()):
            found[sighting.latest.get("startedBy", "")].add(arn)
        return found

    def of_service(self, name: str, *, running: bool = True) -> list[dict[str, Any]]:
        """Describe the tasks of a service as last seen."""
        tasks = (sighting.latest for sighting in list(self.seen.values()))
        mine = [task for task in tasks if task.get("group") == f"service:{name}"]
        return [task for task in mine if task["lastStatus"] == "RUNNING"] if running else mine

    def _run(self) -> None:
        while not self._end.wait(EVERY):
            with contextlib.suppress(BotoCoreError, ClientError, KeyError):  # an answer cut short has no members
                self.look()

    def _look_at_services(self) -> None:
        for promise in list(self._ledger.services.values()):
            found = self._cluster.ecs.describe_services(services=[promise.name])["services"]
            if not found or found[0]["status"] == "INACTIVE":
                continue
            wanted = self._cluster.ecs.list_tasks(serviceName=promise.name, desiredStatus="RUNNING")["taskArns"]
            # What is wanted may have grown since the count of those that run was taken, and that is no offence.
            for broken in rules.within_bounds(promise, wanted=len(wanted), running=found[0]["runningCount"]):
                self._ledger.blame(broken)

    def _look_at_tasks(self) -> None:
        arns: list[str] = []
        for status in ("RUNNING", "STOPPED"):
            for page in self._cluster.ecs.get_paginator("list_tasks").paginate(desiredStatus=status):
                arns += [arn for arn in page["taskArns"] if self.seen[arn].latest.get("lastStatus") != "STOPPED"]
        for first in range(0, len(arns), 100):
            for task in self._cluster.ecs.describe_tasks(tasks=arns[first : first + 100])["tasks"]:
                self._note(task)

    def _note(self, task: dict[str, Any]) -> None:
        sighting = self.seen[task["taskArn"]]
        if not sighting.statuses or sighting.statuses[-1] != task["lastStatus"]:
            sighting.statuses.append(task["lastStatus"])
        sighting.latest = task
        sighting.containers |= {one["runtimeId"] for one in task["containers"] if one.get("runtimeId")}
