"""Names of parameters, their ARNs and what may stand behind them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import SCOPE

from wherry.model.errors import ApiError, ValidationException
from wherry.model.ssm import names
from wherry.model.ssm.names import Selected

NAME = st.from_regex(r"\A/?[a-z0-9_.-]{1,8}(/[a-z0-9_.-]{1,8}){0,3}\Z")


@given(NAME, st.none() | st.from_regex(r"\A[a-z0-9]{1,5}\Z"), st.booleans())
def test_a_selector_is_taken_off_a_name_and_off_an_arn(name: str, selector: str | None, by_arn: bool) -> None:
    text = names.arn(SCOPE, name) if by_arn else name
    assert names.split(text if selector is None else f"{text}:{selector}") == Selected(name=text, selector=selector)


@given(NAME)
def test_the_arn_of_a_name_is_its_own_arn(name: str) -> None:
    arn = names.arn(SCOPE, name)
    assert names.arn(SCOPE, arn) == arn
    assert arn.endswith(f"parameter/{name.removeprefix('/')}")


@given(NAME)
def test_a_name_lies_in_the_path_of_its_parent(name: str) -> None:
    assert name.startswith(names.parent(name))
    assert "/" not in name.removeprefix(names.parent(name)).removeprefix("/")


@given(st.text(max_size=40))
def test_any_text_is_taken_or_refused(text: str) -> None:
    try:
        names.check(text)
    except ApiError:
        return
    assert names.arn(SCOPE, text).startswith(names.arn_prefix(SCOPE))
    assert names.split(text).selector is None


@pytest.mark.parametrize("text", ["a:b:c", "arn:aws:ssm:us-east-1:000000000000:parameter/a:1:2"])
def test_two_selectors_are_one_too_many(text: str) -> None:
    with pytest.raises(ValidationException, match="Invalid parameter selector"):
        names.split(text)


@pytest.mark.parametrize(("path", "stored"), [("/", ""), ("/a", "/a"), ("/a/", "/a"), ("/a/b/", "/a/b")])
def test_a_path_is_kept_without_its_last_slash(path: str, stored: str) -> None:
    assert names.check_path(path) == stored


@pytest.mark.parametrize("path", ["", "a", "a/b", "//", "/a//b", "/a b", "/a*"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValidationException, match="must begin with a forward slash"):
        names.check_path(path)
