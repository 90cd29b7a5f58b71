"""Whom a listener believes, and what it refuses from browsers."""

import pytest

from wherry.wire.errors import WireError
from wherry.wire.trust import Trust, administrator, is_loopback, refuse_browsers


async def nobody(_access_key_id, _session_token):
    return None


LOCAL = Trust(listen="127.0.0.1")
PUBLIC = Trust(listen="0.0.0.0", credentials=nobody)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "ecs.localhost", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"]
)
def test_names_that_can_only_be_this_machine_are_loopback(host):
    assert is_loopback(host)
    assert not Trust(listen=host).verifies


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com", "127.0.0.1.nip.io"]
)
def test_every_other_listener_verifies(host):
    assert not is_loopback(host)
    assert Trust(listen=host, credentials=nobody).verifies


def test_strict_verifies_everywhere():
    assert Trust(listen="127.0.0.1", strict=True, credentials=nobody).verifies


@pytest.mark.parametrize("options", [{"listen": "0.0.0.0"}, {"listen": "localhost", "strict": True}])
def test_a_verifying_listener_without_credentials_cannot_be_made(options):
    with pytest.raises(ValueError, match="no credentials"):
        Trust(**options)


def test_the_administrator_is_the_accounts_root():
    principal = administrator("123456789012", "AK")
    assert principal.arn == "arn:aws:iam::123456789012:root"
    assert (principal.account_id, principal.access_key_id) == ("123456789012", "AK")


@pytest.mark.parametrize("trust", [LOCAL, PUBLIC])
@pytest.mark.parametrize(
    "header",
    [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:4566"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "none"),
    ],
)
def test_what_only_browsers_send_is_refused_everywhere(trust, header):
    with pytest.raises(WireError) as caught:
        refuse_browsers([("host", "localhost:4566"), header], trust)
    assert (caught.value.code, caught.value.status) == ("AccessDeniedException", 403)


@pytest.mark.parametrize(
    "host", ["localhost:4566", "127.0.0.1", "[::1]:4566", "ecs.localhost:80", "WHERRY:1", "127.0.0.1:"]
)
def test_a_loopback_listener_answers_to_loopback_names_and_to_its_own(host):
    refuse_browsers([("host", host)], Trust(listen="127.0.0.1", hosts=frozenset({"wherry"})))


@pytest.mark.parametrize("hosts", [[], ["evil.example"], ["10.0.0.1:4566"], ["localhost", "localhost"], ["[::1"], [""]])
def test_a_loopback_listener_answers_to_no_other_name(hosts):
    headers = [("host", host) for host in hosts]
    if hosts == ["[::1"]:
        refuse_browsers(headers, LOCAL)  # no browser can be brought to send it, and it means this machine
        return
    with pytest.raises(WireError):
        refuse_browsers(headers, LOCAL)


def test_another_listener_answers_to_any_name_because_the_signature_covers_it():
    refuse_browsers([("host", "ecs.example.com")], PUBLIC)
