"""The agent's journal: what was written is there after any end of the process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.agent.worlds import a_container, a_task

from wherry.agent.journal import Journal, JournalError
from wherry.agent.memory import Assignment

WRITER = """
import sys
from pathlib import Path
from msgspec.structs import replace
from tests.unit.agent.worlds import a_container, a_task
from wherry.agent.journal import Journal
from wherry.agent.memory import Assignment
journal = Journal.open(Path(sys.argv[1]))
count = 0
while True:
    count += 1
    arns = [f"arn:aws:ecs:us-east-1:000000000000:task/default/{count:032x}-{half}" for half in "ab"]
    journal.save(Assignment(spec=a_task(a_container("a"), arn=arn)) for arn in arns)
    print(count, flush=True)
"""


def an_assignment(task_id: str = "1") -> Assignment:
    arn = f"arn:aws:ecs:us-east-1:000000000000:task/default/{task_id}"
    return Assignment(spec=a_task(a_container("a"), arn=arn))


Opening = Callable[[Path], Journal]


@pytest.fixture
def opened() -> Iterator[Opening]:
    with ExitStack() as stack:

        def opening(path: Path) -> Journal:
            journal = Journal.open(path)
            stack.callback(journal.close)
            return journal

        yield opening


def test_what_was_saved_is_read_again(tmp_path: Path, opened: Opening) -> None:
    journal = opened(tmp_path / "agent" / "journal.db")
    first, second = an_assignment("1"), an_assignment("2")
    journal.save([first, second])
    changed = replace(first, attached=True)
    journal.save([changed])
    journal.close()

    assert opened(tmp_path / "agent" / "journal.db").assignments() == [changed, second]


def test_finished_assignments_are_forgotten_after_a_while_and_others_never(tmp_path: Path, opened: Opening) -> None:
    journal = opened(tmp_path / "journal.db")
    old, young = replace(an_assignment("1"), finished_at=10.0), replace(an_assignment("2"), finished_at=20.0)
    open_one = an_assignment("3")
    journal.save([old, young, open_one])
    journal.forget_finished(before=20)

    assert journal.assignments() == [young, open_one]


def test_a_new_registration_counts_manifests_anew(tmp_path: Path, opened: Opening) -> None:
    journal = opened(tmp_path / "journal.db")
    journal.set_instance("arn:one")
    journal.set_timeline(7)
    journal.set_instance("arn:one")
    assert (journal.instance_arn, journal.timeline) == ("arn:one", 7)

    journal.set_instance("arn:two")
    assert (journal.instance_arn, journal.timeline) == ("arn:two", 0)


def test_nothing_acknowledged_is_lost_and_nothing_is_half_written_when_the_process_is_killed(
    tmp_path: Path, opened: Opening
) -> None:
    path = tmp_path / "journal.db"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["src", "."])}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as writer:
        assert writer.stdout is not None
        told = 0
        for line in writer.stdout:
            told = int(line)
            if told == 25:
                writer.send_signal(signal.SIGKILL)
                break
        told = int(([str(told), *writer.stdout.read().split()])[-1])
    found = [one.spec.task_id for one in opened(path).assignments()]

    assert len(found) >= 2 * told
    assert sorted(found) == sorted(f"{number:032x}-{half}" for number in range(1, len(found) // 2 + 1) for half in "ab")


def test_two_agents_cannot_share_a_journal(tmp_path: Path, opened: Opening) -> None:
    first = opened(tmp_path / "journal.db")
    with pytest.raises(JournalError, match="in use by another agent"):
        opened(tmp_path / "journal.db")
    first.close()
    opened(tmp_path / "journal.db")


def test_a_newer_journal_is_refused_in_a_sentence(tmp_path: Path, opened: Opening) -> None:
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match=r"was written by a newer Wherry \(format 99, this one knows 1\)"):
        opened(tmp_path / "journal.db")


@pytest.mark.parametrize("damage", [b"this is no database at all, not even nearly" * 100])
def test_a_damaged_journal_is_refused_in_a_sentence(tmp_path: Path, opened: Opening, damage: bytes) -> None:
    (tmp_path / "journal.db").write_bytes(damage)
    with pytest.raises(JournalError, match=r"is damaged .*: move it away and start again"):
        opened(tmp_path / "journal.db")


def test_an_assignment_that_cannot_be_read_is_damage(tmp_path: Path, opened: Opening) -> None:
    journal = opened(tmp_path / "journal.db")
    journal._connection.execute("INSERT INTO assignment VALUES ('arn', x'7b7d', NULL)")
    with pytest.raises(JournalError, match="is damaged"):
        journal.assignments()


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_only_its_owner_may_read_the_journal(tmp_path: Path, opened: Opening, umask: int) -> None:
    before = os.umask(umask)
    try:
        journal = opened(tmp_path / "agent" / "journal.db")
        journal.set_timeline(1)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "agent").iterdir()}
        journal.close()
    finally:
        os.umask(before)
    assert (tmp_path / "agent").stat().st_mode & 0o777 == 0o700
    assert modes
    assert set(modes.values()) == {0o600}
