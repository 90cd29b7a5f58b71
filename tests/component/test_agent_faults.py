"""What a task is told when it asks for faults: by a whole agent, on a machine that only notes them."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from tests.component.agent_lab import task_arn
from tests.component.endpoints_lab import Host, Plane, a_host, a_task, address_of

from wherry.agent.endpoints import faults
from wherry.agent.runtime.fake.faults import FakeFaults

pytestmark = pytest.mark.anyio

OWN, OTHER = address_of(5), address_of(6)
HOLE = {"Port": 8080, "Protocol": "tcp", "TrafficType": "ingress"}
LATENCY = {"DelayMilliseconds": 200, "JitterMilliseconds": 10, "Sources": ["10.0.0.0/8"]}
LOSS = {"LossPercent": 30, "Sources": ["10.0.0.0/8"]}
RUNNING, STOPPED, NOT_RUNNING = ((200, {"Status": status}) for status in ("running", "stopped", "not-running"))


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def host(tmp_path):
    async with a_host(tmp_path) as opened:
        yield opened


@pytest.fixture
def plane():
    return Plane()


async def ask(host: Host, path: str, body: Any = None, *, task: int = 5, of: str = OWN) -> tuple[int, Any]:
    uri = host.uri(task, "ECS_AGENT_URI")
    data = None if body is None else json.dumps(body).encode()
    return await host.ask(f"{uri}/fault/v1/{path}", of=of, method="POST", data=data)


async def test_a_black_hole_begins_is_told_of_and_ends(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, enable_fault_injection=True))
        await host.runs(1)
        hole = "network-blackhole-port"
        assert await ask(host, f"{hole}/status", HOLE) == NOT_RUNNING
        assert await ask(host, f"{hole}/start", HOLE) == RUNNING
        # Whoever starts what runs already hears that it does, and changes nothing.
        assert await ask(host, f"{hole}/start", HOLE | {"SourcesToFilter": ["10.0.0.1"]}) == RUNNING
        assert await ask(host, f"{hole}/start", HOLE | {"TrafficType": "egress"}) == RUNNING
        [noted] = host.engine.faults.values()
        assert sorted(noted) == ["egress-tcp-8080", "ingress-tcp-8080"]
        assert noted["ingress-tcp-8080"].spared == ()
        assert await ask(host, f"{hole}/status", HOLE) == RUNNING
        assert await ask(host, f"{hole}/stop", HOLE) == STOPPED
        assert await ask(host, f"{hole}/stop", HOLE) == STOPPED
        assert await ask(host, f"{hole}/status", HOLE) == NOT_RUNNING
        assert sorted(noted) == ["egress-tcp-8080"]


async def test_one_of_latency_and_loss_runs_at_a_time(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, enable_fault_injection=True))
        await host.runs(1)
        assert await ask(host, "network-latency/start", LATENCY) == RUNNING
        taken = 409, {"Error": "There is already one network latency fault running"}
        assert await ask(host, "network-latency/start", LATENCY) == taken
        assert await ask(host, "network-packet-loss/start", LOSS) == taken
        # Which one is meant, the path says: there is no body to read.
        assert await ask(host, "network-latency/status") == RUNNING
        assert await ask(host, "network-packet-loss/status") == NOT_RUNNING
        assert await ask(host, "network-packet-loss/stop") == STOPPED
        assert await ask(host, "network-latency/status") == RUNNING
        assert await ask(host, "network-latency/stop") == STOPPED
        assert await ask(host, "network-packet-loss/start", LOSS) == RUNNING
        taken = 409, {"Error": "There is already one network packet loss fault running"}
        assert await ask(host, "network-latency/start", LATENCY) == taken


async def test_faults_outlive_the_agent_and_end_with_the_task(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, enable_fault_injection=True))
        await host.runs(1)
        assert await ask(host, "network-blackhole-port/start", HOLE) == RUNNING
    again = Plane()
    async with host.agent(again):
        assert await ask(host, "network-blackhole-port/status", HOLE) == RUNNING
        await again.send_tasks(a_task(5, enable_fault_injection=True, desired_status="STOPPED"))
        with anyio.fail_after(5):
            while host.engine.faults:  # noqa: ASYNC110 - the machine rings no bell for that
                await anyio.sleep(0.01)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({}, f"enableFaultInjection is not enabled for task: {task_arn(5)}"),
        (
            {"enable_fault_injection": True, "network_mode": "bridge"},
            "bridge mode is not supported. Please use either host or awsvpc mode.",
        ),
    ],
)
async def test_a_task_that_may_not_is_told_why(host, plane, members, text):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, **members))
        await host.runs(1)
        for action in ("start", "stop", "status"):
            assert await ask(host, f"network-blackhole-port/{action}", HOLE) == (400, {"Error": text})
        assert not host.engine.faults


async def test_no_task_has_faults_of_another(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, enable_fault_injection=True), a_task(6, enable_fault_injection=True))
        await host.runs(2)
        token = host.uri(5, "ECS_AGENT_URI").rsplit("/", 1)[-1]
        text = f"unable to get task arn from request: unable to get task Arn from v3 endpoint ID: {token}"
        for of in (OTHER, "127.0.0.1"):
            assert await ask(host, "network-blackhole-port/start", HOLE, of=of) == (404, {"Error": text})
        assert not host.engine.faults
        assert await ask(host, "network-blackhole-port/start", HOLE, task=6, of=OTHER) == RUNNING
        assert await ask(host, "network-blackhole-port/status", HOLE) == NOT_RUNNING


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("network-blackhole-port/start", HOLE | {"Port": None}, "required parameter Port is missing"),
        ("network-blackhole-port/status", HOLE | {"Protocol": "sctp"}, "invalid value sctp for parameter Protocol"),
        ("network-blackhole-port/stop", None, "required request body is missing"),
        ("network-latency/start", {}, "required parameter DelayMilliseconds is missing"),
        ("network-packet-loss/start", LOSS | {"LossPercent": 200}, "invalid value 200 for parameter LossPercent"),
    ],
)
async def test_what_cannot_be_understood_is_refused(host, plane, path, body, text):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, enable_fault_injection=True))
        await host.runs(1)
        assert await ask(host, path, body) == (400, {"Error": text})


async def test_what_the_host_cannot_do_is_said_and_leaves_nothing(host, plane):
    host.engine.lacking = "network-latency needs sch_netem"
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, enable_fault_injection=True))
        await host.runs(1)
        assert await ask(host, "network-latency/start", LATENCY) == (500, {"Error": host.engine.lacking})
        assert await ask(host, "network-latency/status") == NOT_RUNNING
        assert await ask(host, "network-blackhole-port/start", HOLE) == RUNNING


async def test_a_kernel_that_is_slow_or_fails_is_told_in_the_stock_agents_words(host, plane, monkeypatch):
    async def hangs(_: FakeFaults) -> frozenset[str]:
        await anyio.sleep_forever()

    async def fails(_: FakeFaults) -> frozenset[str]:
        raise OSError("nft: no")

    monkeypatch.setattr(faults, "PATIENCE", 0.05)
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, enable_fault_injection=True))
        await host.runs(1)
        monkeypatch.setattr(FakeFaults, "running", hangs)
        text = "check status network-latency: request timed out"
        assert await ask(host, "network-latency/status") == (500, {"Error": text})
        monkeypatch.setattr(FakeFaults, "running", fails)
        assert await ask(host, "network-latency/status") == (500, {"Error": "internal error"})


async def test_the_metadata_say_whether_faults_can_be_injected(host, plane):
    async with host.agent(plane):
        await plane.send_tasks(a_task(5, enable_fault_injection=True), a_task(6))
        await host.runs(2)
        for number, enabled in ((5, True), (6, False)):
            _, found = await host.ask(f"{host.uri(number)}/task", of=address_of(number))
            assert found["FaultInjectionEnabled"] is enabled
