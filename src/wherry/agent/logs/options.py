"""From the options of a logConfiguration to those that the engine's driver takes. Pure.

Reference 3.6; the driver's own: https://docs.docker.com/engine/logging/drivers/awslogs/.
"""

from __future__ import annotations

from msgspec.structs import replace

from wherry.agent.logs.stream import Stream
from wherry.agent.spec import LogConfiguration, TaskSpec

BUFFER = "10m"
"""max-buffer-size of a non-blocking driver where none is given, as the stock agent has it."""
FLUSH = "1"
"""Seconds between two batches of the driver: the relay is near. One that joins lines keeps its own five, for as long as
that it waits for the next line of an event."""

AWSLOGS = "awslogs"
_JOINS = frozenset({"awslogs-datetime-format", "awslogs-multiline-pattern"})


def completed(logs: LogConfiguration, *, stream: Stream | None, endpoint: str) -> LogConfiguration:
    """Add to the options what the agent sets; `stream` is that of an awslogs container, `endpoint` the agent's URL."""
    options = dict(logs.options)
    if options.get("mode") == "non-blocking":
        options.setdefault("max-buffer-size", BUFFER)
    if stream is not None:
        options.pop("awslogs-stream-prefix", None)
        if stream.name is not None:
            options["awslogs-stream"] = stream.name
        if not _JOINS & options.keys():
            options.setdefault("awslogs-force-flush-interval-seconds", FLUSH)
        options["awslogs-endpoint"] = f"{endpoint}/logs/{stream.token}"
        options["awslogs-credentials-endpoint"] = f"/logs/{stream.token}/credentials"
    return replace(logs, options=options)


def stream_of(task: TaskSpec, container: str, logs: LogConfiguration, *, token: str) -> Stream | None:
    """Tell where a container logs; None unless its driver is awslogs."""
    if logs.driver != AWSLOGS:
        return None
    prefix = logs.options.get("awslogs-stream-prefix")
    return Stream(
        token=token,
        task_arn=task.arn,
        container=container,
        group=logs.options.get("awslogs-group", ""),
        name=f"{prefix}/{container}/{task.task_id}" if prefix else None,
        creates_group=logs.options.get("awslogs-create-group") == "true",
        flush=int(logs.options.get("awslogs-force-flush-interval-seconds") or 5),
        pattern=logs.options.get("awslogs-multiline-pattern") or None,
        datetime_format=logs.options.get("awslogs-datetime-format") or None,
    )
