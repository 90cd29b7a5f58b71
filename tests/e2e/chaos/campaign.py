"""A campaign: load all the time, one fault after the other, a calm after each in which every rule must hold."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from botocore.exceptions import BotoCoreError, ClientError
from tests.e2e.chaos import rules
from tests.e2e.chaos.faults import FAULTS, Faults
from tests.e2e.chaos.ledger import Ledger, ServicePromise
from tests.e2e.chaos.load import Load
from tests.e2e.chaos.scene import Scene, a_scene
from tests.e2e.chaos.watch import Watch

CALM = 90.0
"""Seconds until everything must be at rest once nothing is asked and nothing broken."""
LONG = 150.0
"""Seconds for which a link is cut, now and then, in a campaign that has the time."""


class Campaign:
    """One run over a scene."""

    def __init__(self, scene: Scene, seed: int, say: Callable[[str], None]) -> None:
        self.ledger = Ledger()
        self._scene = scene
        self._say = say
        self._random = Random(seed)
        self.watch = Watch(scene.cluster, self.ledger)
        self._load = Load(scene.cluster, self.ledger, seed)
        self._faults = Faults(scene, self.ledger, self.watch, self._random)
        self._at_rest: dict[str, frozenset[str]] = {}

    def fight(self, seconds: float) -> None:
        """Let things go wrong for so long: every kind once in a random order, and again."""
        deadline = time.monotonic() + seconds
        coming: list[str] = []
        while time.monotonic() < deadline and not self.ledger.broken:
            coming = coming or self._random.sample(sorted(FAULTS), len(FAULTS))
            name = coming.pop()
            long = seconds > LONG * 4 and "link" in name and self._random.random() < 0.2
            lasting = LONG if long else self._random.uniform(0.3, 3)
            self._say(f"{name}, for {lasting:.1f} s")
            self._load.go()
            time.sleep(self._random.uniform(0, 1))
            self._faults.do(name, lasting)
            self._load.rest()
            self._calm_down(name)

    def end(self) -> None:
        """Take the load away; nothing may be left."""
        self._load.end()
        self._calm_down("the end")
        self._wait("everything to be gone", lambda: [*self._unfinished(), *self._scene.left_over()])
        self.watch.stop()
        for run in self.ledger.runs:
            run.stopped = run.stopped or run.exits is None
        self._judge("the end")

    def _calm_down(self, after: str) -> None:
        self._wait(f"calm after {after}", self._unrest)
        self._judge(after)
        with self.watch.judging:
            for promise in self.ledger.services.values():
                promise.settle()
                self._at_rest[promise.name] = self._tasks_of(promise)

    def _wait(self, what: str, unrest: Callable[[], list[str]]) -> None:
        deadline = time.monotonic() + CALM
        found = ["nothing could be asked"]
        while time.monotonic() < deadline:
            with contextlib.suppress(BotoCoreError, ClientError, KeyError):
                self.watch.look()
                if not (found := unrest()):
                    return
            time.sleep(0.2)
        self.ledger.blame(f"waited {CALM:g} s for {what}: {found}\n{self._scene.last_words()}")

    def _unrest(self) -> list[str]:
        found = [*self._scene.away()]
        for promise in self.ledger.services.values():
            (service,) = self._scene.cluster.ecs.describe_services(services=[promise.name])["services"]
            running = self.watch.of_service(promise.name)
            found += rules.as_promised(promise, service, running)
            if not promise.deleted and len(service["deployments"]) > 1:
                found.append(f"service {promise.name} still rolls")
            ended = [t for t in self.watch.of_service(promise.name, running=False) if t["lastStatus"] != "STOPPED"]
            if len(ended) != len(running):
                found.append(f"service {promise.name} has tasks on their way")
        return found

    def _unfinished(self) -> list[str]:
        seen = list(self.watch.seen.items())
        return [arn for arn, sighting in seen if sighting.latest.get("lastStatus") != "STOPPED"]

    def _judge(self, after: str) -> None:
        for promise in self.ledger.services.values():
            before, now = self._at_rest.get(promise.name), self._tasks_of(promise)
            if before is not None and before != now and not promise.changed and not promise.hurt:
                self.ledger.blame(f"after {after} service {promise.name} has other tasks, though nobody asked")
        for broken in (
            *rules.everything_explained(self.ledger, dict(self.watch.seen)),
            *rules.all_runs_there(self.ledger, self.watch.started()),
            *self._scene.others_are_untouched(),
        ):
            self.ledger.blame(f"after {after}: {broken}")

    def _tasks_of(self, promise: ServicePromise) -> frozenset[str]:
        return frozenset(task["taskArn"] for task in self.watch.of_service(promise.name))


@contextlib.contextmanager
def a_campaign(home: Path, *, seed: int, sandbox: str, say: Callable[[str], None]) -> Iterator[Campaign]:
    """Set the scene for one."""
    with a_scene(home, sandbox=sandbox) as scene:
        campaign = Campaign(scene, seed, say)
        try:
            yield campaign
        finally:
            campaign.watch.stop()


def summary(ledger: Ledger, watch: Watch) -> str:
    """Tell how much was done and seen."""
    faults = ", ".join(f"{number} x {name}" for name, number in sorted(ledger.faults.items()))
    calls = ", ".join(f"{number} x {name}" for name, number in sorted(ledger.calls.items()))
    return (
        f"{ledger.faults.total()} faults ({faults})\n{ledger.calls.total()} calls ({calls})\n"
        f"{len(watch.seen)} tasks seen in {watch.looks} looks"
    )
