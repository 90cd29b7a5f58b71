"""A container's logConfiguration as the agent is told of it: Docker's LogConfig, with the options of ECS in it."""

from __future__ import annotations

from typing import Any

from wherry.model.taskdef import ContainerDefinition


def log_config(defined: ContainerDefinition, *, mode: str) -> dict[str, Any] | None:
    """Translate; `mode` is how lines are delivered where the definition does not say. None: the engine's default."""
    logs = defined.log_configuration
    if logs is None:
        return None
    return {"Type": logs.log_driver, "Config": {"mode": mode, **logs.options}}
