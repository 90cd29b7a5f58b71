"""What comes in and goes out: one HTTP message each, frozen, and whole unless it is a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import msgspec

Protocol = Literal["json", "query", "ec2"]
"""The protocols that are spoken here, as botocore names them."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request as it was on the wire: `path` and `query` still percent-encoded, header names in lower case.

    Texts are UTF-8 with surrogate escapes for what is not, so that a signature sees the bytes that were sent. `client`
    is the address that it came from.
    """

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    client: str = ""

    def __repr__(self) -> str:
        """Without headers and body: they hold secrets, and tracebacks show variables."""
        return f"Request({self.method} {self.path}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("method", self.method), ("path", self.path), ("bytes", len(self.body))]

    def all(self, name: str) -> Iterator[str]:
        """Every value of the header `name`, in the order of the wire."""
        return (value for key, value in self.headers if key == name)

    def header(self, name: str) -> str | None:
        """The first value of the header `name`."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    @property
    def media_type(self) -> str:
        """The `Content-Type` without its parameters, in lower case; empty when there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer. One that goes on has a `stream`, which follows the body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    stream: AsyncIterator[bytes] | None = None
