"""Pause containers, as far as they go without an engine."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.agent.runtime.base import RuntimeUnavailableError
from wherry.agent.runtime.docker.engine import EngineError
from wherry.agent.runtime.docker.owners import PauseSandbox
from wherry.agent.sandbox.cgroups import Hierarchy

pytestmark = pytest.mark.anyio


class Confused:
    """An engine that answers every call with an error of its own."""

    async def call(self, *_: Any, **__: Any) -> Any:
        raise EngineError(500, "database is locked")


async def test_an_engine_that_cannot_list_is_one_of_which_nothing_is_known() -> None:
    sandbox = PauseSandbox("a", Confused(), Hierarchy(version=2, driver="cgroupfs"), "x86_64")  # type: ignore[arg-type]
    with pytest.raises(RuntimeUnavailableError, match="database is locked"):
        await sandbox.listed()
