"""The way to the agents: which rules there are, and who puts them back."""

from __future__ import annotations

import fcntl

import anyio
import pytest

from wherry.agent.endpoints import peers, server
from wherry.agent.endpoints.server import Endpoints
from wherry.agent.endpoints.tokens import Tokens
from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.sandbox import firewall, link_local
from wherry.app.host import ports_for_tasks

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize(
    ("url", "ports"),
    [
        ("http://169.254.170.2:4566", (4566,)),
        ("http://169.254.170.2", (80,)),
        ("https://169.254.170.2", (443,)),
        ("https://wherry.example.org:4566", ()),
        (None, ()),
    ],
)
def test_the_control_planes_port_is_opened_if_tasks_call_it_at_the_agents_address(url, ports):
    assert ports_for_tasks(url) == ports


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Programs that fail, and note what they were asked."""
    noted = tmp_path / "commands"
    for program in ("iptables", "nft"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho {program} "$@" >>{noted}\nexit 1\n')
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(firewall, "LOCK", tmp_path / "run" / "firewall.lock")
    return noted


async def test_rules_that_are_not_there_are_no_failure(commands):
    assert await firewall.remove(is_needed=lambda: False)
    assert "nft delete table ip wherry" in commands.read_text()


async def test_rules_that_another_agent_needs_stay(commands):
    assert not await firewall.remove(is_needed=lambda: True)
    assert not commands.exists()


@pytest.mark.usefixtures("commands")
async def test_nobody_judges_whether_rules_are_needed_while_another_agent_changes_them():
    firewall.LOCK.parent.mkdir()
    asked = []
    with firewall.LOCK.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with anyio.move_on_after(0.1):
            await firewall.remove(is_needed=lambda: bool(asked.append("early")))
        assert not asked
    assert not await firewall.remove(is_needed=lambda: True)


async def test_only_an_agent_that_listens_is_company(tmp_path):
    assert peers.is_alone(tmp_path / "nothing", "one")
    with peers.listen(tmp_path, "one"):
        assert peers.is_alone(tmp_path, "one")
        assert not peers.is_alone(tmp_path, "two")
    # The socket of a dead agent is still there.
    assert (tmp_path / "one.sock").exists()
    assert peers.is_alone(tmp_path, "two")


class Host:
    """Notes what the firewall and the address of a host are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.address = self.table = False
        self.put_up = 0
        self.fails = False
        monkeypatch.setattr(link_local, "is_present", lambda _: self.address)
        monkeypatch.setattr(link_local, "ensure", self._ensure_address)
        monkeypatch.setattr(firewall, "ensure_endpoints", self._ensure_table)
        monkeypatch.setattr(firewall, "leads_to_agents", self._leads)

    def _ensure_address(self, _: str) -> bool:
        self.address = True
        return True

    async def _ensure_table(self) -> None:
        if self.fails:
            raise RuntimeFault("ResourceInitializationError", "nft: no")
        self.table = True
        self.put_up += 1

    async def _leads(self) -> bool:
        return self.table

    async def until(self, count: int) -> None:
        with anyio.fail_after(5):
            while self.put_up < count:  # noqa: ASYNC110 - a firewall rings no bell
                await anyio.sleep(0.01)


async def test_what_others_take_away_is_put_up_again_and_what_cannot_be_is_no_end(monkeypatch, tmp_path, capsys):
    host = Host(monkeypatch)
    monkeypatch.setattr(server, "LOOK", 0.01)
    monkeypatch.setattr(server, "LOOK_AT_FIREWALL", 0.02)
    # An address that nobody has: 127.… would be taken for a test's, and left alone.
    monkeypatch.setattr(server, "_listener", lambda *_: server.socket.create_server(("127.0.0.1", 0)))
    endpoints = Endpoints(instance="one", tokens=Tokens(bytes(32)), directory=tmp_path, address="192.0.2.77", port=1)
    async with anyio.create_task_group() as group:
        await group.start(endpoints.run, ())
        await host.until(1)
        host.table = False
        await host.until(2)
        host.address = False
        await host.until(3)
        host.fails, host.address = True, False
        await anyio.sleep(0.1)
        host.fails, host.address = False, False
        await host.until(4)
        group.cancel_scope.cancel()
    assert capsys.readouterr().out.count("endpoints_unavailable") == 1
