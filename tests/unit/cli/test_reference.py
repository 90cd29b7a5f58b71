"""The generated reference pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.api.table import TABLES
from wherry.cli.reference import PAGES, Fields, operations, outdated, service, task_definition, write
from wherry.cli.reference_proofs import missing, proofs
from wherry.model import service_fields, taskdef_fields

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_the_committed_pages_are_what_scripts_docs_writes() -> None:
    assert outdated(REFERENCE) == [], "run scripts/docs"


def test_every_operation_of_ecs_is_on_the_page_once() -> None:
    [section] = [part for part in operations().split("\n## ") if part.startswith("Amazon ECS")]
    assert [name for name in TABLES["ecs"] if section.count(f"`{name}`") != 1] == []


@pytest.mark.parametrize(
    ("write", "fields"), [(task_definition, taskdef_fields.FIELDS), (service, service_fields.FIELDS)]
)
def test_every_member_is_on_the_page(write: Callable[[], str], fields: Fields) -> None:
    page = write()
    for shape, members in fields.items():
        section = page.split(f"## {shape.removesuffix('Request')}\n")[1].split("\n## ")[0]
        assert [name for name in members if section.count(f"| `{name}` |") != 1] == []


def test_every_member_that_a_container_shows_is_shown_by_a_test_on_a_real_engine() -> None:
    assert missing(proofs()) == []


def test_a_mark_that_names_no_member_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "e2e").mkdir()
    (tmp_path / "e2e" / "test_it.py").write_text('@pytest.mark.shows("Volume.colour")\ndef test_it(): ...\n')
    with pytest.raises(LookupError, match=r"Volume\.colour"):
        proofs(tmp_path)


def test_pages_are_written_where_they_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write(["--check", str(tmp_path)]) == 1
    assert not list(tmp_path.iterdir())
    assert write([str(tmp_path)]) == 0
    assert {page.name for page in tmp_path.iterdir()} == set(PAGES)
    assert write(["--check", str(tmp_path)]) == 0
    (tmp_path / "operations.md").write_text("old")
    capsys.readouterr()
    assert write([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'operations.md'}\n"
