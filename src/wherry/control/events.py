"""Service events: what a service says about itself, newest hundred kept, not the same sentence over and over."""

from __future__ import annotations

import msgspec

from wherry.model import ids
from wherry.model.ids import Entropy
from wherry.model.service import Service, ServiceEvent
from wherry.store.store import Tx

KEPT = 100
"""ECS shows the newest hundred events of a service."""


def record(
    tx: Tx, service: Service, message: str, *, now: float, entropy: Entropy, repeat: float | None = None
) -> Service:
    """Write `message` as an event of `service`; return the service as it now is in the store.

    `message` is the whole sentence, "(service NAME) " and all. With `repeat` (seconds, `timing.event_repeat`) the
    same sentence is held back until that long after it was last written, or until `forget` says that its cause is
    gone; without, it is always written: sentences that name a task occur once anyway and need no remembering.
    """
    if repeat is not None:
        last = service.last_events.get(message)
        if last is not None and now - last < repeat:
            return service
        fresh = {text: at for text, at in service.last_events.items() if now - at < repeat}
        service = msgspec.structs.replace(service, last_events={**fresh, message: now})
    service = tx.put(msgspec.structs.replace(service, events_written=service.events_written + 1))
    tx.put(
        ServiceEvent(
            id=ids.uuid(entropy),
            service_arn=service.service_arn,
            created_at=now,
            sequence=service.events_written,
            message=message,
        )
    )
    _trim(tx, service.service_arn)
    return service


def forget(service: Service, beginning: str) -> Service:
    """Forget the remembered sentences that begin so, because their cause has cleared: the next one is news.

    Pure; the caller puts the service when it has changed.
    """
    kept = {text: at for text, at in service.last_events.items() if not text.startswith(beginning)}
    if len(kept) == len(service.last_events):
        return service
    return msgspec.structs.replace(service, last_events=kept)


def _trim(tx: Tx, service_arn: str) -> None:
    excess = tx.count(ServiceEvent, service_arn=service_arn) - KEPT
    if excess > 0:
        for event in tx.find(ServiceEvent, service_arn=service_arn, order=("created_at", "sequence"), limit=excess):
            tx.delete(event)
