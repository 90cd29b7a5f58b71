"""Filter patterns against the messages of AWS's documentation, and whatever else may be written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.logs.pattern import PatternError, compile_pattern
from wherry.model.logs.pattern.scan import MAX_DEPTH

TRAIL = json.dumps(
    {
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
        "SomeObject": None,
        "ThisFlag": True,
        "latency": 12.5,
    }
)
ACCESS = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'
WORDS = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters='"\\%?-[{'), min_size=1)


def matches(pattern: str, message: str) -> bool:
    return compile_pattern(pattern).matches(message)


@pytest.mark.parametrize("pattern", [None, "", "   "])
def test_no_pattern_matches_everything(pattern: str | None) -> None:
    assert compile_pattern(pattern).matches("anything")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ERROR", True),
        ("error", False),
        ("ERROR 400", True),
        ("400 ERROR", True),
        ("ERROR ARGUMENTS", False),
        ('"ERROR 400"', True),
        ('"400 ERROR"', False),
        ("?WARN ?ERROR", True),
        ("?WARN ?INFO", False),
        ("ERROR -BAD", False),
        ("ERROR -GOOD", True),
        ('-"BAD REQUEST"', False),
        ("%ERR.R [0-9]+%", True),
        ("%^ERROR%", False),
        (r'"\"quoted\""', True),
    ],
)
def test_terms(pattern: str, expected: bool) -> None:
    assert matches(pattern, '[ERROR 400] BAD REQUEST "quoted"') is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ('{ $.eventType = "Update*" }', True),
        ("{ $.eventType = UpdateTrail }", True),
        ("{ $.eventType = %Trail$% }", True),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ("{ $.sourceIPAddress = 111.111.* }", True),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.arrayKey[1] = "value" }', False),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.objectList[*].id > 1 }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.Other IS NULL }", False),
        ("{ $.Other NOT EXISTS }", True),
        ("{ NOT EXISTS $.eventType }", False),
        ("{ $.ThisFlag IS TRUE }", True),
        ("{ $.ThisFlag IS FALSE }", False),
        ("{ $.latency >= 12.5 && $.latency < 1.3e1 }", True),
        ("{ $.latency < 10 || ($.ThisFlag IS TRUE && $.eventType = Up*) }", True),
        ('{ $.Other != "x" }', False),
        ("{ $.eventType > 3 }", False),
    ],
)
def test_selectors_over_json(pattern: str, expected: bool) -> None:
    assert matches(pattern, TRAIL) is expected


@pytest.mark.parametrize("message", ["plain", "[1]", "{", '{"a": }', "", '{"a":' * 5000])
def test_what_is_no_json_object_matches_no_selector(message: str) -> None:
    assert not matches("{ $.a NOT EXISTS }", message)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ip, env, user, time, request, status_code=4*, bytes]", True),
        ("[ip, env, user, time, request, status_code=5*, bytes]", False),
        ("[ip, env, user]", False),
        ("[ip, env, user, ...]", True),
        ("[..., bytes > 1500]", True),
        ("[ip=127.*, ..., status=404 || status=410, bytes]", True),
        ("[ip, env, user!=frank && user!=root, ...]", False),
        ('[ip, env, user, time="10/Oct/2000*", ...]', True),
        ("[ip, env, user, time, request=%index.html%, ...]", True),
        ("[,,,,,,]", True),
        ("[=127.0.0.1, ...]", True),
    ],
)
def test_fields_between_spaces(pattern: str, expected: bool) -> None:
    assert matches(pattern, ACCESS) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        '"open',
        "%open",
        "%(group)%",
        "%[%",
        "-",
        "{",
        "{ $.a = }",
        "{ $ = 1 }",
        "{ $.a ~ 1 }",
        '{ $.a > "x" }',
        "{ $.a = 1 } x",
        "{ $.a[x] = 1 }",
        "{" + "(" * (MAX_DEPTH + 2) + "$.a = 1" + ")" * (MAX_DEPTH + 2) + "}",
        "[a, b",
        "[a b]",
        "[..., ...]",
        "[a] b",
        "[" + "(" * 400 + "]",
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="Invalid filter pattern"):
        compile_pattern(pattern)


@given(st.lists(WORDS, min_size=1, max_size=4), st.text())
def test_plain_terms_mean_that_each_is_somewhere(terms: list[str], message: str) -> None:
    pattern = compile_pattern(" ".join(f'"{term}"' for term in terms))
    assert pattern.matches(message) == all(term in message for term in terms)
    assert pattern.matches(message + "|".join(terms))


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_is_written_compiles_or_is_refused(pattern: str, message: str) -> None:
    try:
        compiled = compile_pattern(pattern)
    except PatternError:
        return
    if compiled.matches(message):
        assert all(needle in message for needle in compiled.needles)


@given(
    st.text(alphabet='{}[]()$.*=!<>&|%?-"\\ ,aN1', max_size=40),
    st.dictionaries(st.sampled_from(["a", "N"]), st.integers() | st.text() | st.none() | st.lists(st.booleans())),
)
def test_signs_in_any_order_never_break_it(pattern: str, document: dict[str, object]) -> None:
    try:
        compile_pattern(pattern).matches(json.dumps(document))
    except PatternError:
        return


def test_a_star_in_a_long_value_costs_no_more_than_its_length() -> None:
    pattern = "{ $.a = " + "*a" * 100 + "b }"
    assert not matches(pattern, json.dumps({"a": "a" * 100_000}))
