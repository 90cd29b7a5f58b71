"""Tasks that use more disk than they may."""

from __future__ import annotations

from tests.unit.agent.worlds import a_container, a_task

from wherry.agent.storage import GIB, exceeded


def test_the_fault_says_how_much_is_used_of_how_much() -> None:
    task = a_task(a_container("app"), storage_gib=21)
    assert exceeded(task, int(21.5 * GIB)).reason == (
        "OutOfStorageError: The task uses 21.5 GiB of its 21 GiB of ephemeral storage."
    )
