"""Staging labels: however they move, each is on one version, and AWSPREVIOUS is where AWSCURRENT was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.errors import InvalidParameterException, LimitExceededException, ResourceNotFoundException
from wherry.model.secretsmanager.stages import (
    CURRENT,
    PREVIOUS,
    VERSIONS,
    attached,
    by_version,
    of_version,
    outdated,
    updated,
)

LABELS = st.sampled_from([CURRENT, PREVIOUS, "AWSPENDING", "mine"])
PUTS = st.lists(st.tuples(st.sampled_from("abcdef"), st.lists(LABELS, min_size=1, unique=True)), min_size=1)


@given(PUTS)
def test_there_is_always_a_current_version_and_the_previous_one_is_its_predecessor(
    puts: list[tuple[str, list[str]]],
) -> None:
    stages: dict[str, str] = {}
    for version, labels in puts:
        before = stages.get(CURRENT)
        stages = attached(stages, version, labels)
        assert CURRENT in stages
        if before not in (None, stages[CURRENT]):
            assert stages[PREVIOUS] == before


@given(PUTS)
def test_every_label_is_shown_with_the_version_that_has_it(puts: list[tuple[str, list[str]]]) -> None:
    stages: dict[str, str] = {}
    for version, labels in puts:
        stages = attached(stages, version, labels)
    assert {label: version for version, labels in by_version(stages).items() for label in labels} == stages


def test_a_label_that_is_elsewhere_must_be_taken_from_there_by_name() -> None:
    stages = {CURRENT: "a", "mine": "a"}
    with pytest.raises(InvalidParameterException, match="currently attached to version a"):
        updated(stages, "mine", {"a", "b"}, remove_from=None, move_to="b")
    with pytest.raises(InvalidParameterException, match="not attached to version b"):
        updated(stages, "mine", {"a", "b"}, remove_from="b", move_to="a")
    assert updated(stages, "mine", {"a", "b"}, remove_from="a", move_to="b") == {CURRENT: "a", "mine": "b"}
    assert updated(stages, "mine", {"a", "b"}, remove_from="a", move_to=None) == {CURRENT: "a"}
    assert updated(stages, "new", {"a", "b"}, remove_from=None, move_to="b") == {**stages, "new": "b"}
    assert updated(stages, "mine", {"a", "b"}, remove_from=None, move_to="a") == stages


def test_moving_current_takes_previous_along() -> None:
    moved = updated({CURRENT: "a", PREVIOUS: "x"}, CURRENT, {"a", "b"}, remove_from="a", move_to="b")
    assert moved == {CURRENT: "b", PREVIOUS: "a"}
    assert updated(moved, CURRENT, {"a", "b"}, remove_from="b", move_to="a") == {CURRENT: "a", PREVIOUS: "b"}


def test_a_version_that_is_not_there_takes_no_label() -> None:
    with pytest.raises(ResourceNotFoundException, match="VersionId: b"):
        updated({CURRENT: "a"}, "mine", {"a"}, remove_from=None, move_to="b")
    with pytest.raises(InvalidParameterException, match="You must specify"):
        updated({CURRENT: "a"}, "mine", {"a"}, remove_from=None, move_to=None)


def test_labels_are_bounded() -> None:
    crowded = {CURRENT: "a"} | {f"l{number}": "b" for number in range(20)}
    with pytest.raises(LimitExceededException, match="Version b would have more than 20"):
        attached(crowded, "b", ["one-more"])
    many = {CURRENT: "0"} | {f"l{number}": str(number) for number in range(VERSIONS)}
    with pytest.raises(LimitExceededException, match="More than 100 versions"):
        attached(many, "new", ["another"])


@given(st.integers(0, 150), st.integers(0, 20))
def test_versions_beyond_a_hundred_go_the_oldest_without_a_label_first(number: int, labelled: int) -> None:
    versions = [f"{n:03}" for n in range(number)]
    stages = {f"l{n}": version for n, version in enumerate(versions[:labelled])}
    gone = list(outdated(stages, versions))
    assert len(versions) - len(gone) == min(number, VERSIONS)
    assert not set(gone) & set(stages.values())
    assert gone == versions[labelled : labelled + len(gone)]
    assert all(of_version(stages, version) == [] for version in gone)
