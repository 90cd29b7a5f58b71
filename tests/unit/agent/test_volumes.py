"""Volumes of the engine that mount a path of the host: what counts is where it leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.agent.worlds import a_container, a_task

from wherry.agent.disks import Disks
from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.runtime.docker.engine import EngineError
from wherry.agent.runtime.docker.volumes import Volumes
from wherry.agent.spec import Mount, SharedVolume, TaskVolume, Volume


class Engine:
    """An engine that has volumes only."""

    def __init__(self) -> None:
        self.volumes: dict[str, dict[str, Any]] = {}

    async def call(self, method: str, path: str, *, body: dict[str, Any] | None = None) -> Any:
        if method == "POST" and body is not None:
            made = {"Driver": body["Driver"], "Options": body["DriverOpts"], "Labels": body["Labels"]}
            return self.volumes.setdefault(body["Name"], made)
        if (found := self.volumes.get(path.removeprefix("volumes/"))) is None:
            raise EngineError(404, "no such volume")
        return found


class Host:
    """A host on which tasks may mount what is below `open`."""

    def __init__(self, path: Path) -> None:
        self.engine = Engine()
        self.open, self.link = path / "open", path / "open" / "link"
        for directory in (self.open / "inside", path / "closed"):
            directory.mkdir(parents=True)
        self.lead("inside")

    def lead(self, where: str) -> None:
        """Have the link lead there."""
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(where)

    @property
    def bind(self) -> dict[str, str]:
        return {"type": "none", "o": "bind", "device": str(self.link)}

    def mount(self, source: TaskVolume | SharedVolume) -> list[str]:
        """Have a container of a new task mount a volume from there; returns its binds."""
        container = a_container("app", mounts=(Mount(volume="data", path="/data"),))
        task = a_task(container, volumes=(Volume(name="data", source=source),))
        disks = Disks(self.open.parent / "disks")
        volumes = Volumes(self.engine, instance="one", file_systems={}, host_paths=(str(self.open),), disks=disks)
        return anyio.run(volumes.ensure, task, container)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize("kind", [TaskVolume, SharedVolume])
def test_a_link_that_leads_out_of_the_hosts_paths_is_not_mounted(host: Host, kind: type[TaskVolume]) -> None:
    host.lead("../closed")
    with pytest.raises(RuntimeFault, match="closed, which is not allowed"):
        host.mount(kind(options=host.bind))
    assert host.engine.volumes == {}


def test_a_tasks_own_volume_mounts_what_the_link_led_to(host: Host) -> None:
    host.mount(TaskVolume(options=host.bind))
    [made] = host.engine.volumes.values()
    assert made["Options"] == host.bind | {"device": str(host.open / "inside")}


def test_a_shared_volume_is_refused_once_its_link_leads_elsewhere(host: Host) -> None:
    made = SharedVolume(autoprovision=True, options=host.bind)
    assert host.mount(made) == host.mount(SharedVolume()) == ["data:/data"]
    host.lead("../closed")
    for asked in (made, SharedVolume()):
        with pytest.raises(RuntimeFault, match="closed, which is not allowed"):
            host.mount(asked)


def test_what_is_no_path_of_the_host_is_left_as_it_is(host: Host) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=3m"}
    host.mount(TaskVolume(options=options))
    [made] = host.engine.volumes.values()
    assert made["Options"] == options
