"""Tasks that use more disk than they may."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import anyio
from tests.unit.agent.worlds import a_container, a_task

from wherry.agent.journal import JournalError
from wherry.agent.memory import Assignment
from wherry.agent.storage import GIB, exceeded, watch


def test_the_fault_says_how_much_is_used_of_how_much() -> None:
    task = a_task(a_container("app"), storage_gib=21)
    assert exceeded(task, int(21.5 * GIB)).reason == (
        "OutOfStorageError: The task uses 21.5 GiB of its 21 GiB of ephemeral storage."
    )


@dataclass
class FullDisk:
    """A roster whose journal takes nothing at first, and a runtime that sees why."""

    refusals: int
    failed: anyio.Event = field(default_factory=anyio.Event)

    def views(self) -> list[SimpleNamespace]:
        greedy = a_task(a_container("app"), storage_gib=21)
        return [SimpleNamespace(assignment=Assignment(spec=greedy), running=True)]

    async def storage_used(self, _: object) -> int:
        return 22 * GIB

    def fail(self, *_: object) -> None:
        if self.refusals:
            self.refusals -= 1
            raise JournalError("journal.db cannot be used: database or disk is full.")
        self.failed.set()


def test_a_disk_too_full_to_note_the_fault_is_looked_at_again() -> None:
    async def act() -> None:
        disk = FullDisk(refusals=2)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: watch(disk, disk, every=0.001))
            with anyio.fail_after(5):
                await disk.failed.wait()
            group.cancel_scope.cancel()

    anyio.run(act)
