"""Temporary credentials: what a session token says, and that nobody else can write one."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import KEYRING, NOW, Counter

from wherry.api.sts import sessions
from wherry.keyring import Keyring
from wherry.model.iam.ids import access_key_id, account_of, unique_id

ROLE = "arn:aws:iam::123456789012:role/team/task"


def minted(**changes):
    return sessions.mint(
        KEYRING,
        **{
            "role_arn": ROLE,
            "role_id": "AROAEXAMPLE",
            "session_name": "0123",
            "expires_at": NOW + 60,
            "entropy": os.urandom,
        }
        | changes,
    )


def read(credentials, *, now=NOW, keyring=KEYRING):
    return sessions.read(keyring, credentials.access_key_id, credentials.session_token, now=now)


def test_a_token_says_who_acts_until_when_within_which_policies():
    credentials = minted(policies=('{"Statement": []}',), policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess",))
    session = read(credentials)
    assert credentials.access_key_id.startswith("ASIA")
    assert len(credentials.access_key_id) == 20
    assert len(credentials.secret_access_key) == 40
    assert session.secret_access_key == credentials.secret_access_key
    assert session.principal_arn == "arn:aws:sts::123456789012:assumed-role/task/0123"
    assert session.user_id == "AROAEXAMPLE:0123"
    assert session.is_limited
    assert (session.policies, session.policy_arns) == (
        ('{"Statement": []}',),
        ("arn:aws:iam::aws:policy/ReadOnlyAccess",),
    )


def test_a_users_session_acts_as_the_user():
    user = "arn:aws:iam::123456789012:user/ada"
    credentials = sessions.mint_for_caller(
        KEYRING, principal_arn=user, user_id="AIDAEXAMPLE", expires_at=NOW + 1, entropy=os.urandom
    )
    session = read(credentials)
    assert (session.principal_arn, session.user_id, session.is_limited) == (user, "AIDAEXAMPLE", False)


def test_a_token_ends_when_it_says():
    credentials = minted()
    read(credentials, now=NOW + 59.9)
    with pytest.raises(sessions.ExpiredTokenError, match="The security token included in the request is expired"):
        read(credentials, now=NOW + 60)


@given(st.data())
def test_a_changed_token_is_none(data):
    credentials = minted(entropy=Counter())
    key_id, _, text = credentials.session_token.partition(".")
    raw = bytearray(base64.urlsafe_b64decode(text))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    token = f"{key_id}.{base64.urlsafe_b64encode(raw).decode()}"
    with pytest.raises(sessions.SessionTokenError, match="The security token included in the request is invalid"):
        sessions.read(KEYRING, credentials.access_key_id, token, now=NOW)


@given(st.text())
def test_no_other_text_is_a_token(text):
    with pytest.raises(sessions.SessionTokenError):
        sessions.read(KEYRING, "ASIA", text, now=NOW)


def test_a_token_belongs_to_its_access_key_id_and_to_this_installation():
    one, other = minted(), minted()
    with pytest.raises(sessions.SessionTokenError):
        sessions.read(KEYRING, one.access_key_id, other.session_token, now=NOW)
    with pytest.raises(sessions.SessionTokenError):
        read(one, keyring=Keyring({"00000001": bytes(31) + b"\x01"}, entropy=os.urandom))


def test_no_secret_shows():
    credentials = minted()
    shown = repr(credentials) + repr(read(credentials))
    assert credentials.secret_access_key not in shown
    assert credentials.session_token not in shown


@given(st.integers(min_value=0, max_value=10**12 - 1), st.binary(min_size=4, max_size=4))
def test_an_access_key_id_tells_its_account(account, noise):
    key_id = access_key_id("AKIA", f"{account:012}", lambda size: noise[:size])
    assert len(key_id) == 20
    assert account_of(key_id) == f"{account:012}"


@pytest.mark.parametrize(
    "key_id",
    [
        *("", "AKIA", "wherry", "AKIA" + "7" * 16, "AKIAÄ", "AKIA1111111111111111"),
        *("AKIAAAAAAAAAAAAAAAAA", "AKIAIOSFODNN7EXAMPLE"),
    ],
)
def test_what_is_no_access_key_id_has_no_account(key_id):
    assert account_of(key_id) is None


def test_a_unique_id_has_21_characters():
    assert len(unique_id("AROA", os.urandom)) == 21
