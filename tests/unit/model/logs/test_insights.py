"""Logs Insights: queries over a handful of events, and texts that are no queries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.logs.insights import QueryError, Row, compile_query
from wherry.model.logs.insights.values import Time

START = 1_700_000_000_000

WORDS = (
    *("fields", "filter", "stats", "sort", "limit", "parse", "dedup", "display", "by", "as", "and", "or", "not"),
    *("like", "in", "desc", "count(*)", "avg(a)", "bin(5m)", "a", "@message", "1", "2.5", "'x'", "/x/"),
    *("=", "!=", "<", "(", ")", "[", "]", ",", "+", "-", "*", "/", "^", "|"),
)

EVENTS = [
    json.dumps({"level": "ERROR" if n % 3 == 0 else "INFO", "ms": n, "user": {"id": n % 2}, "tags": ["a", n]})
    for n in range(9)
] + ["user=bob took 12ms"]


def run(query: str, messages: list[str] = EVENTS, **options: Any) -> list[dict[str, str]]:
    plan = compile_query(query, **options)
    for n, message in reversed(list(enumerate(messages))):
        fields: dict[str, Any] = {"@timestamp": Time(START + 1000 * n), "@message": message, "@ptr": str(n)}
        plan.push(Row(fields, message))
    return [dict(row) for row in plan.finish()]


def column(name: str, query: str, messages: list[str] = EVENTS) -> list[str]:
    return [row[name] for row in run(query, messages)]


def test_without_fields_the_newest_events_are_shown() -> None:
    assert run("limit 1") == [
        {"@timestamp": "2023-11-14 22:13:29.000", "@message": "user=bob took 12ms", "@ptr": "9"},
    ]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('level = "ERROR"', [6, 3, 0]),
        ("level = 'ERROR' and ms > 0", [6, 3]),
        ("ms in [1, 5] or user.id = 0 and ms < 2", [5, 1, 0]),
        ("not (ms > 1) and ispresent(ms)", [1, 0]),
        ("level like /^ERR/", [6, 3, 0]),
        ("level =~ /(?i)err/i", [6, 3, 0]),
        ("level not like 'INFO' and ms >= 3", [6, 3]),
        ("ms not in [0,1,2,3,4,5,6] and ispresent(ms)", [8, 7]),
        ("ms % 4 = 0", [8, 4, 0]),
        ("ms * 2 - 1 = 2 ^ 3 - 1", [4]),
        ("tags.1 = 7", [7]),
        ("`user`.id = 1 and ms >= -(-7)", [7]),
        ("strlen(level) = 5 and abs(ms - 3) < 1", [3]),
        ("strcontains(level, 'NF') and greatest(ms, 7) = 8", [8]),
        ("tolower(level) = 'error' # a comment\n and ms != 6", [3, 0]),
    ],
)
def test_filters(condition: str, expected: list[int]) -> None:
    assert column("ms", f"filter {condition} | fields ms") == list(map(str, expected))


def test_what_is_missing_is_unequal_and_nothing_else() -> None:
    assert column("@message", "filter level != 'x' and level != 'INFO' and level != 'ERROR'") == [EVENTS[-1]]
    assert column("@message", "filter ms >= 0 or ms < 0") == EVENTS[-2::-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("stats count(*) as n, avg(ms), max(ms), min(ms), sum(ms)", ["10", "4", "8", "0", "36"]),
        ("stats count(ms), count_distinct(level), stddev(ms)", ["9", "2", "2.582"]),
        ("stats median(ms), pct(ms, 75)", ["4", "6"]),
        ("stats sum(ms) / count(ms) as mean", ["4"]),
        ("stats earliest(level), latest(ms)", ["ERROR", "8"]),
        ("filter ms > 100 | stats count(*), avg(ms)", ["0"]),
    ],
)
def test_aggregates(query: str, expected: list[str]) -> None:
    [row] = run(query)
    assert list(row.values()) == expected


def test_groups_come_with_what_they_are_grouped_by() -> None:
    rows = run("filter ispresent(ms) | stats count(*) as n, max(ms) by level, user.id | sort level, n desc")
    assert rows == [
        {"level": "ERROR", "user.id": "0", "n": "2", "max(ms)": "6"},
        {"level": "ERROR", "user.id": "1", "n": "1", "max(ms)": "3"},
        {"level": "INFO", "user.id": "0", "n": "3", "max(ms)": "8"},
        {"level": "INFO", "user.id": "1", "n": "3", "max(ms)": "7"},
    ]


def test_time_falls_into_bins() -> None:
    assert run("stats count(*) as n by bin(5s) as t | sort t") == [
        {"t": "2023-11-14 22:13:20.000", "n": "5"},
        {"t": "2023-11-14 22:13:25.000", "n": "5"},
    ]


def test_columns_of_stats_are_sorted_and_filtered_by_their_names() -> None:
    rows = run("stats count(*) by level | filter count(*) > 1 | sort count(*) desc")
    assert rows == [{"level": "INFO", "count(*)": "6"}, {"level": "ERROR", "count(*)": "3"}]


def test_parse_takes_texts_apart_by_stars_and_by_groups() -> None:
    [row] = run('parse @message "user=* took *ms" as user, took | filter ispresent(took) | display user, took + 1 as t')
    assert (row["user"], row["t"]) == ("bob", "13")
    assert column("word", r"parse /user=(?<word>\w+)/ | filter ispresent(word) | fields word") == ["bob"]


def test_dedup_keeps_the_first_of_each() -> None:
    assert column("ms", "filter ispresent(ms) | sort ms asc | dedup level | fields ms") == ["0", "1"]


def test_sorting_keeps_only_what_the_limit_lets_through() -> None:
    many = [json.dumps({"n": n % 7919}) for n in range(10_000)]
    assert column("n", "sort n desc | limit 3 | fields n", many) == ["7918", "7917", "7916"]


def test_what_has_no_value_comes_last_both_ways() -> None:
    assert column("@message", "sort ms asc")[-1] == column("@message", "sort ms desc")[-1] == EVENTS[-1]


def test_a_query_that_needs_no_more_says_so() -> None:
    plan = compile_query("filter @message like 'x' | limit 1")
    for message in ("y", "x"):
        assert not plan.is_full
        plan.push(Row({"@message": message}, message))
    assert plan.is_full
    assert not compile_query("stats count(*) | limit 1").is_full


def test_the_limit_of_the_query_wins_over_the_other() -> None:
    assert len(run("fields ms", limit=2)) == 2
    assert len(run("fields ms | limit 3", limit=2)) == 3


@pytest.mark.parametrize(
    "query",
    [
        "",
        "fields",
        "fields a b",
        "filter a =",
        "filter a like b",
        "filter (a = 1",
        "filter a in 1",
        "filter nosuch(a)",
        "filter strlen(a, b) = 1",
        "filter a like /(/",
        "filter " + "(" * 1000 + "a" + ")" * 1000,
        "filter " + "not " * 1000 + "a",
        "filter " + "-" * 1000 + "1",
        "stats avg(a) by",
        "stats a",
        "stats pct(a)",
        "stats count(*) by bin(5)",
        "stats count(*) by bin(0m)",
        "parse @message 'a * b'",
        "parse @message 'a * b' as x, y",
        "parse @message /a(b)/",
        "limit 0",
        "limit x",
        "sort",
        "dedup",
        "unmask a",
        "fields a ||",
        "fields 'open",
    ],
)
def test_what_is_no_query_is_refused(query: str) -> None:
    with pytest.raises(QueryError):
        compile_query(query)


@given(
    st.lists(
        st.sampled_from(WORDS),
        max_size=12,
    ),
    st.lists(st.sampled_from(EVENTS), max_size=3),
)
def test_words_in_any_order_are_a_query_or_are_refused(words: list[str], messages: list[str]) -> None:
    try:
        run(" ".join(words), messages)
    except QueryError:
        return


@given(st.floats(allow_nan=False) | st.text() | st.booleans() | st.none() | st.integers(), st.sampled_from("+-*/%^"))
def test_arithmetic_over_whatever_a_field_holds_gives_a_value_or_none(value: object, sign: str) -> None:
    run(f"fields a {sign} 2 as b, 2 {sign} a as c | sort b", [json.dumps({"a": value})])
