"""Containers of an engine that answers as a test says."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import anyio
import pytest
from tests.unit.agent.worlds import a_task

from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.runtime.docker import containers, translate
from wherry.agent.runtime.docker.containers import Containers
from wherry.agent.runtime.docker.engine import EngineError

UNANSWERED = (
    "failed to initialize logging driver: failed to create Cloudwatch log stream: RequestError: send request failed "
    'caused by: Post "http://169.254.170.2/logs/token/": dial tcp 169.254.170.2:80: connect: connection refused'
)
CREATED = {
    "State": {"Status": "created", "Error": ""},
    "HostConfig": {"Runtime": "runc"},
    "Config": {"Labels": {translate.LABEL_TASK: "arn:aws:ecs:us-east-1:000000000000:task/default/" + "0" * 32}},
}

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Engine:
    """An engine that starts a container at last, after it has said something else a few times."""

    def __init__(self, text: str, times: int) -> None:
        self.text, self.times = text, times
        self.starts = 0

    async def call(self, method: str, _: str) -> Any:
        if method == "GET":
            return CREATED
        self.starts += 1
        if self.starts <= self.times:
            raise EngineError(500, self.text)
        return None


def containers_of(engine: Engine) -> Containers:
    return Containers(
        engine, None, instance="one", starts=anyio.CapacityLimiter(1), unhurried=lambda _: contextlib.nullcontext()
    )


@pytest.mark.parametrize("way", ["start", "restart"])
async def test_a_container_is_started_again_until_its_log_driver_is_answered(monkeypatch, way: str) -> None:
    monkeypatch.setattr(containers, "_UNANSWERED_PAUSE", 0)
    engine = Engine(UNANSWERED, 3)
    await getattr(containers_of(engine), way)("id")
    assert engine.starts == 4


@pytest.mark.parametrize("way", ["start", "restart"])
@pytest.mark.parametrize(("text", "starts"), [("no such file", 1), (UNANSWERED, 20)])
async def test_what_keeps_it_from_starting_is_told_in_the_end(monkeypatch, way: str, text: str, starts: int) -> None:
    monkeypatch.setattr(containers, "_UNANSWERED_PAUSE", 0)
    engine = Engine(text, 1000)
    with pytest.raises(RuntimeFault, match="CannotStartContainerError: Error response from daemon: "):
        await getattr(containers_of(engine), way)("id")
    assert engine.starts == starts


class Going(Engine):
    """An engine that is removing a container already, which is seen a few times yet."""

    def __init__(self, seen: float) -> None:
        super().__init__("", 0)
        self.seen = seen

    async def call(self, method: str, _: str, **__: Any) -> Any:
        if method == "DELETE":
            raise EngineError(409, "removal of container id is already in progress")
        self.seen -= 1
        if self.seen < 0:
            raise EngineError(404, "No such container: id")
        return CREATED


async def test_a_removal_that_is_in_progress_is_waited_for() -> None:
    engine = Going(2)
    await containers_of(engine).remove("id")
    assert engine.seen < 0


async def test_a_removal_that_does_not_end_is_a_fault(monkeypatch) -> None:
    monkeypatch.setattr(containers, "_REMOVAL", 0.05)
    with pytest.raises(RuntimeFault, match=r"CannotRemoveContainerError: .*already in progress"):
        await containers_of(Going(math.inf)).remove("id")


class Noting(Engine):
    """An engine that creates, and notes what it is asked."""

    def __init__(self) -> None:
        super().__init__("", 0)
        self.asked: list[str] = []

    async def call(self, method: str, path: str, **_: Any) -> Any:
        self.asked.append(f"{method} {path}")
        return {"Id": "id"} if path == "containers/create" else CREATED


async def test_what_was_created_here_is_started_without_another_look_but_only_once() -> None:
    engine = Noting()
    own = containers_of(engine)
    assert await own.create("name", a_task(), {"HostConfig": {}}) == "id"
    await own.start("id")
    assert engine.asked == ["POST containers/create", "POST containers/id/start"]
    await own.start("id")
    assert engine.asked[2:] == ["GET containers/id/json", "POST containers/id/start"]
