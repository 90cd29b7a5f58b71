"""What goes wrong: each fault is done for some seconds and then over."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from random import Random

from tests import first_release
from tests.e2e.chaos.ledger import Ledger
from tests.e2e.chaos.link import State
from tests.e2e.chaos.scene import Scene
from tests.e2e.chaos.watch import Watch

Fault = Callable[["Faults", float], None]


class Faults:
    """Does them to a scene, and notes who was hurt."""

    def __init__(self, scene: Scene, ledger: Ledger, watch: Watch, random: Random) -> None:
        self._scene = scene
        self._ledger = ledger
        self._watch = watch
        self._random = random

    def do(self, name: str, seconds: float) -> None:
        """Do one, for so long."""
        self._ledger.faults[name] += 1
        FAULTS[name](self, seconds)

    def kill_server(self, seconds: float) -> None:
        self._kill("server", seconds=seconds)

    def kill_agent(self, seconds: float) -> None:
        self._kill("agent", seconds=seconds)

    def kill_both(self, seconds: float) -> None:
        self._kill("server", "agent", seconds=seconds)

    def go_back_a_version(self, seconds: float) -> None:
        """Have a database of the previous schema under the control plane, as after an upgrade."""
        self._scene.kill("server")
        with closing(sqlite3.connect(self._scene.wherry.data / "wherry.db", isolation_level=None)) as connection:
            connection.execute("BEGIN")
            first_release.go_back(connection.execute)
            connection.execute("COMMIT")
        time.sleep(seconds)
        self._scene.start("server")

    def kill_engine(self, seconds: float) -> None:
        began = time.time()
        self._scene.engine.kill()
        time.sleep(seconds)
        self._scene.engine.start()
        self._ledger.outages.append((began, time.time()))

    def kill_containers(self, seconds: float) -> None:
        """Kill a few by hand, of whatever kind."""
        for _ in range(self._random.randint(1, 3)):
            self._hurt_one("task")
            time.sleep(seconds / 3)

    def kill_pause(self, seconds: float) -> None:
        """Kill what holds a task's network, where that is a container."""
        self._hurt_one("pause")
        time.sleep(seconds)

    def cut_link(self, seconds: float) -> None:
        self._link(State.CUT, seconds)

    def half_open_link(self, seconds: float) -> None:
        self._link(State.STUCK, seconds)

    def fill_disk(self, seconds: float) -> None:
        self._scene.disk.fill()
        time.sleep(seconds)
        self._scene.disk.free()

    def prune(self, seconds: float) -> None:
        """Tidy up as people do, several times while tasks come and go."""
        for _ in range(5):
            self._scene.engine.docker("system", "prune", "--force")
            time.sleep(seconds / 5)

    def _kill(self, *roles: str, seconds: float) -> None:
        self._scene.kill(*roles)
        time.sleep(seconds)
        self._scene.start(*roles)

    def _link(self, state: State, seconds: float) -> None:
        self._scene.link.become(state)
        time.sleep(seconds)
        self._scene.link.become(State.OPEN)

    def _hurt_one(self, role: str) -> None:
        docker = self._scene.engine.docker
        mine = (f"--filter=label=wherry.instance={self._scene.wherry.instance}", f"--filter=label=wherry.role={role}")
        shown = '--format={{.ID}} {{.Label "com.amazonaws.ecs.task-arn"}}'
        running = sorted(docker("ps", *mine, shown).stdout.splitlines())
        if not running:
            return
        container, arn = self._random.choice(running).split()
        with self._watch.judging:
            self._ledger.killed.add(arn)
            for promise in self._ledger.services.values():
                promise.hurt = True
        docker("kill", container, check=False)


FAULTS: Mapping[str, Fault] = {
    "kill the control plane": Faults.kill_server,
    "kill the agent": Faults.kill_agent,
    "kill both": Faults.kill_both,
    "upgrade the database": Faults.go_back_a_version,
    "kill the engine": Faults.kill_engine,
    "kill containers": Faults.kill_containers,
    "kill a pause container": Faults.kill_pause,
    "cut the link": Faults.cut_link,
    "half-open link": Faults.half_open_link,
    "fill the disk": Faults.fill_disk,
    "docker system prune": Faults.prune,
}
