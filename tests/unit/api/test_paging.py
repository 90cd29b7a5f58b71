"""Pages: whatever the sizes, every item is seen once and in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.api.ecs import paging
from wherry.model.errors import InvalidParameterException


@given(st.lists(st.integers(), unique=True).map(sorted), st.lists(st.integers(1, 7), min_size=1))
def test_pages_of_any_size_show_every_item_once_in_order(items: list[int], sizes: list[int]) -> None:
    seen: list[int] = []
    token: str | None = None
    for turn in range(len(items) + 1):
        window = paging.window(token, sizes[turn % len(sizes)], order=tuple[int])
        rest = [item for item in items if window.after is None or (item,) > window.after]
        page, token = window.cut(rest[: window.limit], lambda item: (item,))
        seen += page
        if token is None:
            break
    assert seen == items


@given(st.text() | st.binary().map(lambda raw: raw.hex()))
def test_a_token_that_was_made_up_is_refused(token: str) -> None:
    with pytest.raises(InvalidParameterException):
        paging.read_token(token)


def test_the_token_of_another_list_is_refused() -> None:
    token = paging.write_token(("web", 3))
    assert paging.read_token(token, tuple[str, int]) == ("web", 3)
    for other in (tuple[str], tuple[float, str], tuple[str, int, str]):
        with pytest.raises(InvalidParameterException):
            paging.read_token(token, other)


@pytest.mark.parametrize("size", [0, -1, 101])
def test_a_page_has_between_one_and_the_most_items(size: int) -> None:
    with pytest.raises(InvalidParameterException, match="maxResults should be between 1 and 100"):
        paging.window(None, size)
