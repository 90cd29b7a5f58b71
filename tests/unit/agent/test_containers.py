"""Containers of an engine whose log drivers find nobody for a while."""

from __future__ import annotations

import contextlib
from typing import Any

import anyio
import pytest

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
