"""What is sealed is opened by its owner alone, and survives a change of keys."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.keyring import Keyring, KeyringError, SealError, add_key, keep_only, open_keyring

OLD, NEW = {"0000000a": bytes(32)}, {"0000000b": bytes([1] * 32)}
PARAMETER = "arn:aws:ssm:us-east-1:000000000000:parameter/a"


def ring(*keys: dict[str, bytes]) -> Keyring:
    return Keyring({name: key for one in keys for name, key in one.items()}, entropy=os.urandom)


@given(st.text())
def test_what_is_sealed_is_opened_again_and_shows_nothing(text: str) -> None:
    sealed = ring(OLD).seal(text, owner=PARAMETER)
    assert ring(NEW, OLD).open(sealed, owner=PARAMETER) == text
    assert len(text) < 8 or text not in sealed


def test_two_seals_of_one_text_differ() -> None:
    assert ring(OLD).seal("a", owner=PARAMETER) != ring(OLD).seal("a", owner=PARAMETER)


@pytest.mark.parametrize(
    "change",
    [
        lambda sealed: sealed[:-2] + ("AA" if sealed[-2:] != "AA" else "BB"),
        lambda sealed: sealed.replace("0000000a", "0000000b"),
        lambda sealed: sealed.replace("0000000a", "0000000c"),
        lambda _: "",
        lambda _: "0000000a.",
        lambda _: "0000000a.no base64",
    ],
)
def test_what_was_changed_is_not_opened(change) -> None:
    with pytest.raises(SealError):
        ring(NEW, OLD).open(change(ring(OLD).seal("a secret", owner=PARAMETER)), owner=PARAMETER)


def test_what_belongs_to_another_is_not_opened() -> None:
    with pytest.raises(SealError):
        ring(OLD).open(ring(OLD).seal("a", owner=PARAMETER), owner="arn:of:another")


def test_a_file_is_made_once_for_its_owner_alone(tmp_path) -> None:
    path = tmp_path / "data" / "secrets.key"
    sealed = open_keyring(path, entropy=os.urandom).seal("a", owner="b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_keyring(path, entropy=os.urandom).open(sealed, owner="b") == "a"


def test_keys_are_changed_in_three_steps(tmp_path) -> None:
    path = tmp_path / "secrets.key"
    old = open_keyring(path, entropy=os.urandom)
    sealed = old.seal("a", owner="b")
    add_key(path, entropy=os.urandom)
    both = open_keyring(path, entropy=os.urandom)
    assert not both.is_current(sealed)
    again = both.seal(both.open(sealed, owner="b"), owner="b")
    keep_only(path, both.newest)
    only = open_keyring(path, entropy=os.urandom)
    assert only.open(again, owner="b") == "a"
    with pytest.raises(SealError, match="not in the key file"):
        only.open(sealed, owner="b")


@pytest.mark.parametrize("text", ["\n", "nonsense", "0000000a AAAA", "0000000a not base64", "é"])
def test_a_damaged_file_is_refused(tmp_path, text: str) -> None:
    path = tmp_path / "secrets.key"
    path.write_text(text)
    with pytest.raises(KeyringError, match=r"secrets\.key"):
        open_keyring(path, entropy=os.urandom)


def test_every_key_has_others_derived_from_it() -> None:
    assert ring(NEW, OLD).derived("sessions")[1:] == ring(OLD).derived("sessions")
    assert ring(OLD).derived("sessions") != ring(OLD).derived("something else")
