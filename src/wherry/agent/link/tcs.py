"""TCS: container health at once when it changes, all of it and statistics now and then (reference §15.3)."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio
import structlog

from wherry.agent import telemetry
from wherry.agent.link.base import Channel
from wherry.agent.link.session import Conversation
from wherry.agent.roster import Roster
from wherry.agent.runtime.base import Runtime, RuntimeFault, RuntimeUnavailableError
from wherry.agent.telemetry import Sample
from wherry.model.ids import Entropy, uuid
from wherry.model.protocol import tcs
from wherry.model.protocol.frames import Message, encode

log = structlog.get_logger()


class TcsSession:
    """One conversation on TCS, speaking for one container instance."""

    def __init__(
        self,
        channel: Channel,
        *,
        roster: Roster,
        runtime: Runtime,
        cluster: str,
        instance_arn: str,
        every: float,
        clock: Callable[[], float],
        entropy: Entropy,
    ) -> None:
        """Publish on `channel`: statistics `every` so many seconds; `clock` tells epoch seconds."""
        self._channel = channel
        self._roster = roster
        self._runtime = runtime
        self._cluster = cluster
        self._instance_arn = instance_arn
        self._every = every
        self._clock = clock
        self._entropy = entropy
        self._samples: dict[str, Sample] = {}

    async def run(self, conversation: Conversation) -> None:
        """Publish until either side hangs up."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._publish_health)
            group.start_soon(self._publish_metrics)
            while True:
                await self._channel.receive()  # Acknowledgements: all that there is to know is that somebody is there.
                conversation.heard = True

    async def _publish_health(self) -> None:
        """Publish what has changed at once, and everything now and then."""
        all_due = -math.inf
        while True:
            changed = self._roster.health_changed
            views = self._roster.news_of_health()
            if anyio.current_time() >= all_due:
                views, all_due = self._roster.views(), anyio.current_time() + self._every
            tasks = telemetry.health(views)
            for start in range(0, len(tasks), telemetry.TASKS_PER_MESSAGE):
                batch = tuple(tasks[start : start + telemetry.TASKS_PER_MESSAGE])
                last = start + telemetry.TASKS_PER_MESSAGE >= len(tasks)
                metadata = self._metadata(idle=False, fin=last)
                await self._send(tcs.PublishHealthRequest(metadata=metadata, tasks=batch, timestamp=self._clock()))
            with anyio.move_on_at(all_due):
                await changed.wait()

    async def _publish_metrics(self) -> None:
        while True:
            containers = telemetry.running(self._roster.views())
            samples = await self._sample([runtime_id for _, _, runtime_id in containers])
            tasks = telemetry.metrics(containers, self._samples, samples)
            self._samples = samples
            starts = range(0, len(tasks), telemetry.TASKS_PER_MESSAGE) if tasks else [0]
            for start in starts:
                batch = tuple(tasks[start : start + telemetry.TASKS_PER_MESSAGE])
                metadata = self._metadata(idle=not tasks, fin=start + telemetry.TASKS_PER_MESSAGE >= len(tasks))
                await self._send(
                    tcs.PublishMetricsRequest(metadata=metadata, task_metrics=batch, timestamp=self._clock())
                )
            await anyio.sleep(self._every)

    async def _sample(self, runtime_ids: list[str]) -> dict[str, Sample]:
        samples: dict[str, Sample] = {}
        for runtime_id in runtime_ids:
            try:
                usage = await self._runtime.usage(runtime_id)
            except (RuntimeFault, RuntimeUnavailableError) as error:
                log.info("no_statistics", container=runtime_id, error=str(error))
                continue
            if usage is not None:
                samples[runtime_id] = Sample(usage=usage, at=anyio.current_time())
        return samples

    def _metadata(self, *, idle: bool, fin: bool) -> tcs.TelemetryMetadata:
        return tcs.TelemetryMetadata(
            cluster=self._cluster,
            container_instance=self._instance_arn,
            message_id=uuid(self._entropy),
            idle=idle,
            fin=fin,
        )

    async def _send(self, message: Message) -> None:
        await self._channel.send(encode(message))
