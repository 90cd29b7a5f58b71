"""Random passwords have what is asked for, and nothing that is excluded."""

from __future__ import annotations

import os

from hypothesis import assume, given
from hypothesis import strategies as st

from wherry.model.errors import InvalidParameterException
from wherry.model.secretsmanager.password import PUNCTUATION, Wishes, generate

WISHES = st.builds(
    Wishes,
    password_length=st.integers(1, 60),
    exclude_characters=st.text(PUNCTUATION + "abc019XYZ", max_size=20),
    exclude_numbers=st.booleans(),
    exclude_punctuation=st.booleans(),
    exclude_uppercase=st.booleans(),
    exclude_lowercase=st.booleans(),
    include_space=st.booleans(),
    require_each_included_type=st.booleans(),
)


@given(WISHES)
def test_a_password_is_as_wished(wishes: Wishes) -> None:
    try:
        password = generate(wishes, os.urandom)
    except InvalidParameterException:
        assume(False)
        return
    assert len(password) == wishes.password_length
    assert not set(password) & set(wishes.exclude_characters)
    for excluded, belongs in (
        (wishes.exclude_numbers, str.isdigit),
        (wishes.exclude_uppercase, str.isupper),
        (wishes.exclude_lowercase, str.islower),
        (wishes.exclude_punctuation, PUNCTUATION.__contains__),
        (not wishes.include_space, str.isspace),
    ):
        assert not (excluded and any(map(belongs, password)))


def test_each_type_is_in_it_unless_that_is_not_wished() -> None:
    for _ in range(50):
        password = generate(Wishes(password_length=4), os.urandom)
        assert [any(map(belongs, password)) for belongs in (str.isdigit, str.isupper, str.islower)] == [True] * 3


def test_two_passwords_differ() -> None:
    assert generate(Wishes(), os.urandom) != generate(Wishes(), os.urandom)
