"""The stage: an engine, a control plane on a small disk, an agent behind a link, a neighbour and a bystander."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.e2e import pictures
from tests.e2e.chaos.engine import OwnEngine, own_engine
from tests.e2e.chaos.link import Link
from tests.e2e.disk import Disk, a_disk
from tests.e2e.lab import Cluster, Program, Wherry, a_wherry, eventually
from tests.e2e.pictures import web

DISK_MIB = 48
LIKE_OURS = "ecs-lives-1-main-0123456789abcdef"
"""A container's name as an agent gives them, taken by somebody else."""
ENVIRONMENT = {
    "WHERRY_HEARTBEAT": "1",
    "WHERRY_CPU": "65536",
    "WHERRY_MEMORY": "131072",
    "WHERRY_SWEEP": "5",
    "WHERRY_START_BACKOFF_MAXIMUM": "4",
}


class Scene:
    """Everything that faults are done to."""

    def __init__(self, disk: Disk, engine: OwnEngine, wherry: Wherry, neighbour: Wherry) -> None:
        self.disk = disk
        self.engine = engine
        self.wherry = wherry
        self.link = Link(wherry.port)
        wherry.env["WHERRY_ADVERTISE_URL"] = wherry.agents_go_to = self.link.url
        self.programs: dict[str, Program] = {}
        self.descriptors: dict[int, int] = {}
        self.start("server", "agent")
        self.cluster = Cluster(wherry)
        self._bystander = engine.docker("run", "--detach", "--network=none", f"--name={LIKE_OURS}", pictures.BARE)
        neighbour.up()
        self._neighbours = Cluster(neighbour)
        self._neighbours.serve("web", self._neighbours.register("web", web()), 1)
        self._neighbours.stable("web")
        self._others = self._lives_of_others()

    def start(self, *roles: str) -> None:
        """Start what does not run, and wait until the agent has joined."""
        for role in roles:
            self.programs[role] = self.wherry.start(role)
        eventually("the agent to join", self._joined)
        for program in self.programs.values():
            pid = program.process.pid
            self.descriptors.setdefault(pid, _descriptors(pid))

    def kill(self, *roles: str) -> None:
        for role in roles:
            self.programs[role].kill()

    def away(self) -> Iterator[str]:
        """Tell who is not there that ought to be."""
        for role, program in self.programs.items():
            if not program.alive:
                yield f"the {role} has ended with {program.process.returncode}"
        if not self.wherry.joined():
            yield f"the agent has not joined: {self.wherry.health()}"

    def last_words(self) -> str:
        """Show the end of each program's log."""
        return "\n".join(f"{role}:\n{program.said()[-4000:]}" for role, program in self.programs.items())

    def others_are_untouched(self) -> Iterator[str]:
        """Tell what has happened to containers of others."""
        now = self._lives_of_others()
        for container, life in self._others.items():
            if now.get(container) != life:
                yield f"the container {container} of somebody else was {life}, is {now.get(container)}"

    def left_over(self) -> Iterator[str]:
        """Tell what is left on the host though no task is left."""
        for kind, things in self.wherry.remains().items():
            # The agent's own group stays as long as the agent; those of tasks are in it.
            left = [str(one) for thing in things for one in Path(thing).glob("*/")] if kind == "cgroups" else things
            if left:
                yield f"{kind} are left: {left}"
        interfaces = self.wherry.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
        if interfaces:
            yield f"addresses are left: {[one['PrivateIpAddress'] for one in interfaces]}"
        if unfinished := _unfinished(self.wherry.data / "agent"):
            yield f"{unfinished} assignments are left in the agent's journal"
        for role, program in self.programs.items():
            before, now = self.descriptors[program.process.pid], _descriptors(program.process.pid)
            if now > before + 12:
                yield f"the {role} began with {before} file descriptors and has {now}"

    def _joined(self) -> bool:
        for program in self.programs.values():
            assert program.alive, program.said()[-4000:]
        return self.wherry.joined()

    def _lives_of_others(self) -> dict[str, str]:
        # One look: containers of ours come and go between two.
        listed = self.engine.docker("ps", "-a", '--format={{.ID}} {{.Label "wherry.instance"}}').stdout.splitlines()
        others = [line.split()[0] for line in listed if not line.endswith(f" {self.wherry.instance}")]
        shown = "{{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.RestartCount}}"
        lines = self.engine.docker("inspect", f"--format={shown}", *others).stdout.splitlines()
        return dict(line.split(" ", 1) for line in lines)


def _unfinished(folder: Path) -> int:
    """Count what the agent has not finished, in a copy of its journal: it lets nobody else at the file."""
    with tempfile.TemporaryDirectory() as copies:
        for part in folder.glob("journal.db*"):
            shutil.copy(part, copies)
        with contextlib.closing(sqlite3.connect(Path(copies, "journal.db"))) as connection:
            ((count,),) = connection.execute("SELECT count(*) FROM assignment WHERE finished_at IS NULL")
    return int(count)


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@contextlib.contextmanager
def a_scene(home: Path, *, sandbox: str) -> Iterator[Scene]:
    """Set everything up, and take everything down."""
    environment = ENVIRONMENT | {"WHERRY_SANDBOX": sandbox}
    with a_disk(home / "disk", mib=DISK_MIB) as disk, own_engine() as engine:
        pictures.build()
        with (
            a_wherry(home, **environment) as wherry,
            a_wherry(home / "neighbour") as neighbour,
        ):
            wherry.data = disk.place / "data"
            scene = Scene(disk, engine, wherry, neighbour)
            try:
                yield scene
            finally:
                disk.free()
                scene.link.close()
