"""Who is believed: the listener's trust, and the protection of a believing listener from browsers."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache

import msgspec

from wherry.model.call import Principal
from wherry.wire.errors import WireError
from wherry.wire.sigv4 import Secret

Credentials = Callable[[str, str | None], Awaitable[Secret | None]]
"""Looks up an access key id with the session token that came along; None for who is a stranger.

Raises `SignatureError` for a key that should be known here and is not, or that has ended.
"""

Headers = Iterable[tuple[str, str]]
"""Header names in lower case with their values."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What a listener believes. `listen` is the host name or address that it is bound to.

    A loopback listener believes everyone unless it is `strict`, but for keys that `credentials` knows as those of a
    user or role: who calls with one acts as such. Every other one verifies, and needs `credentials`.
    `hosts` are further names by which a loopback listener may be called.
    """

    listen: str
    strict: bool = False
    credentials: Credentials | None = None
    hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.verifies and self.credentials is None:
            raise ValueError(
                f"A listener on {self.listen} verifies signatures and has no credentials to verify them with: "
                "configure an access key, or listen on 127.0.0.1."
            )

    @property
    def verifies(self) -> bool:
        """Whether a request must prove who sent it."""
        return self.strict or not is_loopback(self.listen)


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine: `localhost`, a name under it, or a loopback address."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


@lru_cache(maxsize=256)
def administrator(account_id: str, access_key_id: str) -> Principal:
    """Whom a believing listener takes every caller for."""
    return Principal(account_id=account_id, arn=f"arn:aws:iam::{account_id}:root", access_key_id=access_key_id)


def refuse_browsers(headers: Headers, trust: Trust) -> None:
    """Refuse what a web page can make a browser send; raises `AccessDeniedException` with status 403.

    For every protocol and for websockets. Browsers put `Origin` on every cross-origin POST and on every websocket, and
    `Sec-Fetch-Site` on every request to this machine, navigation included; no AWS client sends either.
    The `Host` rule is for names that an attacker's DNS points at a loopback listener.
    """
    hosts = []
    for name, value in headers:
        if name in ("origin", "sec-fetch-site"):
            raise _denied(f"Requests from browsers are refused: the header {name} is set.")
        if name == "host":
            hosts.append(value)
    if not is_loopback(trust.listen):
        return
    if len(hosts) != 1:
        raise _denied("The request needs exactly one Host header.")
    host = host_name(hosts[0])
    if not is_loopback(host) and host not in {trust.listen.lower(), *trust.hosts}:
        raise _denied(f"This endpoint is not called {host[:255]!r}: use localhost or 127.0.0.1.")


def host_name(host: str) -> str:
    """The name or address of a `Host` header, without port and brackets, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _denied(message: str) -> WireError:
    return WireError("AccessDeniedException", message, status=403)
