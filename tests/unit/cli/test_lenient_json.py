"""JSON as people write it: what is mended, what is said, and that good JSON is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cli.lenient_json import MAX_DEPTH, position, read

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "mended", "faults"),
    [
        ('["run",]', '["run"]', [(6, "Trailing comma")]),
        ('{"a": 1,\n}', '{"a": 1\n}', [(7, "Trailing comma")]),
        ('{"a": [1,], "b": 2,}', '{"a": [1], "b": 2}', [(8, "Trailing comma"), (18, "Trailing comma")]),
        ('{"a": 1 "b": 2}', '{"a": 1, "b": 2}', [(7, "A comma is missing")]),
        ("[1\n 2]", "[1,\n 2]", [(2, "A comma is missing")]),
        ("[1,,2]", "[1,2]", [(3, "one too many")]),
        ("[,1]", "[1]", [(1, "one too many")]),
        ("{'it': 'isn\\'t'}", '{"it": "isn\'t"}', [(1, "double quotes"), (7, "double quotes")]),
        ("{a: 1}", '{"a": 1}', [(1, "double quotes")]),
        ("[True, None]", "[true, null]", [(1, "true, not True"), (7, "null, not None")]),
        ("[1, // one\n 2]", "[1, \n 2]", [(4, "no comments")]),
        ("/* a */[1]", "[1]", [(0, "no comments")]),
        ("[1,#\n]", "[1\n]", [(2, "Trailing comma"), (3, "no comments")]),
    ],
)
def test_slips_are_mended_and_said_where_they_stand(text: str, mended: str, faults: list[tuple[int, str]]) -> None:
    reading = read(text)
    assert reading.mended == mended
    assert reading.value == json.loads(mended)
    assert [fault.offset for fault in reading.faults] == [offset for offset, _ in faults]
    for fault, (_, words) in zip(reading.faults, faults, strict=True):
        assert words in fault.message


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("", 0, "empty"),
        ("  \n", 3, "empty"),
        ('{"a"', 4, "colon"),
        ('{"a":', 5, "ends where a value"),
        ("[1, 2", 5, "[ of line 1, column 1 is never closed"),
        ('{"a": [1}', 8, "} stands where ] should close the [ of line 1, column 7"),
        ("[007]", 1, "007"),
        ("[256MB]", 1, "256MB"),
        ('["abc', 1, "Unterminated string"),
        ("['abc\n']", 1, "not closed"),
        ('["a\nb"]', 3, "control character"),
        ("[1] [2]", 4, "ends before this"),
        ("[" * (MAX_DEPTH + 2), MAX_DEPTH + 1, "nested"),
    ],
)
def test_what_cannot_be_guessed_ends_the_reading(text: str, offset: int, words: str) -> None:
    reading = read(text)
    assert reading.mended is None
    assert reading.faults[-1].offset == offset
    assert words in reading.faults[-1].message


def test_a_name_that_comes_twice_is_said_and_the_last_one_counts() -> None:
    reading = read('{"a": 1, "a": 2}')
    assert reading.value == {"a": 2}
    assert [(fault.offset, fault.message.split()[0]) for fault in reading.faults] == [(9, "a")]


def test_places_are_where_names_and_items_begin() -> None:
    text = '{"a": [10, {"b": 2}]}'
    places = read(text).places
    assert {path: text[offset] for path, offset in places.items()} == {
        (): "{",
        ("a",): '"',
        ("a", 0): "1",
        ("a", 1): "{",
        ("a", 1, "b"): '"',
    }


@pytest.mark.parametrize(("offset", "place"), [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (4, (2, 2))])
def test_positions_count_from_one(offset: int, place: tuple[int, int]) -> None:
    assert position("ab\ncd", offset) == place


@given(VALUES, st.sampled_from([None, 1, "\t"]))
def test_good_json_is_read_as_it_is(value: Any, indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)
    reading = read(text)
    assert (reading.value, reading.faults, reading.mended) == (value, (), text)


@given(VALUES)
def test_trailing_commas_everywhere_change_nothing(value: Any) -> None:
    careful = json.dumps(value, indent=1)
    sloppy = "\n".join(
        line + "," if index + 1 < len(lines) and lines[index + 1].strip()[:1] in ("]", "}") else line
        for lines in [careful.split("\n")]
        for index, line in enumerate(lines)
    )
    reading = read(sloppy)
    assert reading.value == value
    assert reading.mended == careful
    assert bool(reading.faults) == (sloppy != careful)


@given(st.text(alphabet="{}[]:,\"'/*# \n0aT.e-\\", max_size=40))
def test_no_text_is_too_bad_and_what_is_mended_is_json(text: str) -> None:
    reading = read(text)
    if reading.mended is None:
        assert reading.faults
    else:
        assert json.loads(reading.mended) == reading.value
