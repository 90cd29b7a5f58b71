"""A machine that is its own cloud: control plane and agent in one process, speaking over loopback."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskStatus

from wherry.agent.sandbox import ranges
from wherry.app.control_plane import run_control_plane
from wherry.app.start import StartError
from wherry.settings import Settings


async def run_up(settings: Settings, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
    """Run a control plane and the agent of this machine until cancelled; they speak over loopback like any two.

    `task_status` is told the port once the control plane answers; the agent joins when its engine answers.
    Raises what `run_control_plane` and `run_agent` raise.
    """

    def choose_vpc() -> str:
        try:
            return ranges.free_range(settings.data_dir)
        except (ranges.NoFreeRangeError, OSError) as error:
            raise StartError(str(error), "Choose the VPC's addresses with --vpc-cidr.") from error

    async with anyio.create_task_group() as group:
        port = await group.start(partial(run_control_plane, settings, choose_vpc=choose_vpc))
        run_agent = await anyio.to_thread.run_sync(_agent)
        await group.start(run_agent, msgspec.structs.replace(settings, port=port, server_url=None))
        task_status.started(port)


def _agent() -> Callable[..., Coroutine[Any, Any, None]]:
    """Load the agent's half: the control plane answers already meanwhile."""
    from wherry.app.host import run_agent  # noqa: PLC0415

    return run_agent
