"""One agent's TCS connection: container health goes to the tasks; statistics are acknowledged.

Statistics have no consumer yet: CloudWatch metrics will be one. They are checked for their shape and let go.
"""

from __future__ import annotations

import anyio
import structlog

from wherry.api.acs.assignments import InactiveInstanceException, check_active
from wherry.api.channel import Channel
from wherry.api.context import Context
from wherry.model import reports
from wherry.model.protocol import tcs
from wherry.model.protocol.frames import ProtocolError, decode, encode
from wherry.model.task import HealthStatus, Task
from wherry.store.store import Tx

log = structlog.get_logger()


async def serve(ctx: Context, channel: Channel, instance_arn: str) -> None:
    """Serve until the agent goes away or sends what is not of the protocol."""
    try:
        while True:
            message = decode(await channel.receive())
            match message:
                case tcs.PublishHealthRequest():
                    await ctx.store.write(take_health, instance_arn, message, ctx.clock())
                    await channel.send(encode(tcs.AckPublishHealth()))
                case tcs.PublishMetricsRequest():
                    await channel.send(encode(tcs.AckPublishMetric()))
                case _:
                    log.debug("telemetry_message_ignored", instance=instance_arn, type=type(message).__name__)
    except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
        return  # The agent went away, which is what ends a session.
    except InactiveInstanceException:
        log.info("telemetry_of_inactive_instance", instance=instance_arn)
    except ProtocolError as error:
        log.warning("agent_sent_nonsense", instance=instance_arn, error=str(error))
    finally:
        with anyio.CancelScope(shield=True):
            await channel.aclose()


def take_health(tx: Tx, instance_arn: str, request: tcs.PublishHealthRequest, now: float) -> None:
    """Write the health of containers into those of the tasks that are the instance's own.

    Raises `InactiveInstanceException`, upon which the agent has to connect under the name that it has now.
    """
    check_active(tx, instance_arn)
    for reported in request.tasks:
        task = tx.get(Task, reported.task_arn)
        if task is None or task.container_instance_arn != instance_arn or task.is_stopped:
            continue
        known = [
            (c.container_name, HealthStatus(c.health_status), min(c.status_since or now, now))
            for c in reported.containers
            if c.health_status in HealthStatus.__members__
        ]
        changed = reports.apply_health(task, known, now=now)
        if changed != task:
            tx.put(changed)
