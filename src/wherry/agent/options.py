"""What an agent is told."""

from __future__ import annotations

from wherry.agent.runtime.base import PullBehavior
from wherry.agent.spec import Struct
from wherry.model.host_rules import NOTHING, HostRules


class AgentOptions(Struct, frozen=True):
    """What an agent is told. Times in seconds, CPU in units, memory in MiB; None: all that the host has.

    `log_room` is how many bytes of logs may wait for the control plane.
    """

    cpu: int | None = None
    memory: int | None = None
    reserved_memory: int = 0
    availability_zones: tuple[str, ...] = ()
    pull_behavior: PullBehavior = PullBehavior.DEFAULT
    stop_timeout: float = 30
    telemetry: float = 20
    sweep: float = 30
    cleanup_wait: float = 0
    host_rules: HostRules = NOTHING
    log_room: int = 1024**3
