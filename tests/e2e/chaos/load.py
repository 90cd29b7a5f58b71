"""The load: services that scale, roll and go, tasks that run, end by themselves and are stopped; all calls insist."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tests.e2e.chaos.ledger import Ledger, RunPromise, ServicePromise
from tests.e2e.lab import Cluster
from tests.e2e.pictures import script

INSISTENCE = 90.0
"""Seconds for which a call is repeated until it is acknowledged."""
LIVES = "trap 'exit 0' TERM; while true; do sleep 1 & wait $!; done"
SERVICES = ("ape", "bee", "cat")
MOST = 3
"""The highest desired count."""


class Load:
    """Makes calls one after the other, by a seed, until it is told to rest."""

    def __init__(self, cluster: Cluster, ledger: Ledger, seed: int) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._random = Random(seed)
        self._tokens = 0
        self._rested = threading.Event()
        self._may_go = threading.Event()
        self._over = False
        self._definitions = [
            cluster.register("lives", script("main", LIVES, environment=[{"name": "REVISION", "value": str(number)}]))
            for number in (1, 2)
        ]
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def go(self) -> None:
        """Begin, or go on."""
        self._rested.clear()
        self._may_go.set()

    def rest(self) -> None:
        """Wait until the call that is being made is acknowledged, and make no other."""
        self._may_go.clear()
        if not self._rested.wait(INSISTENCE * 2):
            self._ledger.blame("the load did not come to rest: a call is never acknowledged")

    def end(self) -> None:
        """Delete all services and stop all tasks."""
        self.rest()
        self._over = True
        self._may_go.set()
        self._thread.join()
        for promise in list(self._ledger.services.values()):
            if not promise.deleted:
                self._delete(promise)
        for run in self._ledger.runs:
            if run.exits is None and not run.stopped:
                self._stop(run)

    def _run(self) -> None:
        while not self._over:
            if not self._may_go.is_set():
                self._rested.set()
                self._may_go.wait()
                continue
            self._something()
            time.sleep(self._random.uniform(0, 0.4))

    def _something(self) -> None:
        alive = [promise for promise in self._ledger.services.values() if not promise.deleted]
        stoppable = [run for run in self._ledger.runs if not run.stopped]
        choices: list[Callable[[], None]] = [self._start, self._start]
        if len(alive) < len(SERVICES):
            choices += [self._create] * 3
        if alive:
            promise = self._random.choice(alive)
            choices += [lambda: self._scale(promise)] * 2 + [lambda: self._roll(promise)] * 2
            choices += [lambda: self._delete(promise)] if len(alive) > 1 else []
        if stoppable:
            choices += [lambda: self._stop(self._random.choice(stoppable))]
        self._random.choice(choices)()

    def _create(self) -> None:
        taken = {promise.name for promise in self._ledger.services.values() if not promise.deleted}
        self._tokens += 1
        free = [name for name in SERVICES if not any(one.startswith(name) for one in taken)]
        name = f"{free[0]}-{self._tokens}"
        promise = ServicePromise(name, self._random.randint(1, MOST), self._random.choice(self._definitions))
        promise.high = promise.desired
        self._ledger.services[name] = promise
        self._insist(
            "create_service",
            serviceName=name,
            taskDefinition=promise.definition,
            desiredCount=promise.desired,
            launchType="FARGATE",
            networkConfiguration=self._cluster.network,
            clientToken=f"create-{name}",
        )

    def _scale(self, promise: ServicePromise) -> None:
        desired = self._random.randint(0, MOST)
        promise.attempt(desired)
        self._insist("update_service", service=promise.name, desiredCount=desired)
        promise.desired = desired

    def _roll(self, promise: ServicePromise) -> None:
        promise.attempt(promise.desired)
        definition = self._random.choice(self._definitions)
        again = {"forceNewDeployment": True} if definition == promise.definition else {}
        self._insist("update_service", service=promise.name, taskDefinition=definition, **again)
        promise.definition = definition

    def _delete(self, promise: ServicePromise) -> None:
        promise.attempt(0)
        self._insist("delete_service", service=promise.name, force=True)
        promise.desired, promise.deleted = 0, True

    def _start(self) -> None:
        self._tokens += 1
        token = f"run-{self._tokens}"
        exits = self._random.choice((None, 0, 1, 7, 42))
        command = ["sh", "-c", f"trap 'exit 0' TERM; sleep {self._random.randint(1, 4)} & wait $!; exit {exits}"]
        overrides = {"containerOverrides": [{"name": "main", "command": command}]} if exits is not None else {}
        answer = self._insist(
            "run_task",
            taskDefinition=self._definitions[0],
            count=self._random.randint(1, 2),
            launchType="FARGATE",
            networkConfiguration=self._cluster.network,
            clientToken=token,
            startedBy=token,
            overrides=overrides,
        )
        arns = tuple(task["taskArn"] for task in answer.get("tasks", ()))
        self._ledger.runs.append(RunPromise(token, arns, exits))

    def _stop(self, run: RunPromise) -> None:
        run.stopped = True
        for arn in run.arns:
            self._insist("stop_task", task=arn, reason="the load says so")

    def _insist(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call until it is acknowledged; a refusal breaks a rule, for everything that is asked here is right."""
        deadline = time.monotonic() + INSISTENCE
        self._ledger.calls[operation] += 1
        while time.monotonic() < deadline:
            try:
                answer: dict[str, Any] = getattr(self._cluster.ecs, operation)(**parameters)
            except BotoCoreError:
                self._ledger.calls["unanswered"] += 1
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    if operation == "delete_service" and error.response["Error"]["Code"].startswith("ServiceNot"):
                        return {}  # an earlier attempt that was not answered has done it
                    self._ledger.blame(f"{operation} of {parameters} was refused: {error}")
                    return {}
                self._ledger.calls["refused for the time being"] += 1
            else:
                if answer.keys() > {"ResponseMetadata"}:  # one that was cut short has no members
                    return answer
                self._ledger.calls["unanswered"] += 1
            time.sleep(0.2)
        self._ledger.blame(f"{operation} of {parameters} was not acknowledged within {INSISTENCE:g} s")
        return {}
