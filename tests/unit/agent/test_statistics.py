"""Samples of containers, and what stays of them."""

from __future__ import annotations

import anyio

from wherry.agent.endpoints.statistics import Statistics


class Runtime:
    """A runtime none of whose containers runs."""

    async def stats(self, _: str) -> None:
        return None


def test_nothing_is_remembered_of_what_does_not_run() -> None:
    async def act() -> None:
        statistics = Statistics(Runtime(), clock=lambda: 0)
        for number in range(3):
            assert await statistics.of(str(number)) is None
        assert statistics._series == {}

    anyio.run(act)
