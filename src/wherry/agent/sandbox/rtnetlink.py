"""The messages of rtnetlink that wire a task, written by hand: several go in one system call.

They are on the way of every task's start, a dozen of them, and there a general library takes longer for each than the
kernel does for all. Whatever is not on that way uses one.
Layouts and numbers: <linux/rtnetlink.h>, <linux/if_link.h>, <linux/neighbour.h>, <linux/if_addr.h>.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from ipaddress import IPv4Address, IPv4Network
from types import TracebackType
from typing import NamedTuple, Self

_REQUEST, _ACK = 0x01, 0x04
_REPLACE, _EXCL, _CREATE = 0x100, 0x200, 0x400
_ERROR = 2
_NEWLINK, _DELLINK, _SETLINK, _NEWADDR, _DELADDR = 16, 17, 19, 20, 21
_NEWROUTE, _DELROUTE, _GETROUTE, _NEWNEIGH = 24, 25, 26, 28

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, protocol, scope, type, flags
_ADDRESS = struct.Struct("=BBBBI")  # family, prefixlen, flags, scope, index
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type

_UP = 1
_PERMANENT = 0x80
_MAIN_TABLE, _STATIC = 254, 4
_UNIVERSE, _ON_LINK, _ANYWHERE = 0, 253, 255
_UNICAST, _UNREACHABLE = 1, 7
_FIB_MATCH = 0x2000
_BUFFER = 64 * 1024


class Message(NamedTuple):
    """A request to the kernel; `what` names it where it is refused."""

    what: str
    kind: int
    flags: int
    body: bytes


class Route(NamedTuple):
    """What the kernel says of a route; `device` is an index, 0 for one that has several."""

    network: IPv4Network
    device: int


class Netlink:
    """A socket of the network namespace that the calling thread is in; a context manager."""

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, *messages: Message) -> None:
        """Have all of them done, in their order; raises OSError for the first that was refused."""
        self._socket.sendall(b"".join(_encoded(number, message, _ACK) for number, message in enumerate(messages)))
        refused: dict[int, int] = {}
        answered = 0
        while answered < len(messages):
            for kind, number, body in _split(self._socket.recv(_BUFFER)):
                if kind == _ERROR:
                    answered += 1
                    if code := -_errno(body):
                        refused[number] = code
        if refused:
            first = min(refused)
            raise OSError(refused[first], f"netlink: {messages[first].what}: {os.strerror(refused[first])}")

    def route_to(self, address: str) -> Route:
        """Find the route that the host has for an address; raises OSError if it has none, or an unreachable one."""
        body = _ROUTE.pack(socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, _FIB_MATCH) + _of(1, _ipv4(address))
        asked = Message(f"the route to {address}", _GETROUTE, 0, body)
        self._socket.sendall(_encoded(0, asked, 0))
        ((kind, _, answer),) = _split(self._socket.recv(_BUFFER))
        if kind == _ERROR:
            code = -_errno(answer)
            raise OSError(code, f"netlink: {asked.what}: {os.strerror(code)}")
        length = _ROUTE.unpack_from(answer)[1]
        members = dict(_attributes(answer[_ROUTE.size :]))
        network = IPv4Network((members.get(1, bytes(4)), length))
        return Route(network, int.from_bytes(members.get(4, b""), sys.byteorder))


def veth(name: str, mac: str, peer: str, peer_mac: str, *, mtu: int, namespace: int) -> Message:
    """Make a pair of links, the `peer` in the namespace of that file descriptor."""
    other = _link(0) + _end(peer, peer_mac, mtu) + _of(28, _int(namespace))
    info = _of(18, _of(1, b"veth") + _of(2, _of(1, other)))
    return Message(f"making the link {name}", _NEWLINK, _CREATE | _EXCL, _link(0) + _end(name, mac, mtu) + info)


def up(index: int, *, alias: str | None = None) -> Message:
    """Switch a link on, and give it an alias."""
    named = b"" if alias is None else _of(20, alias.encode())
    return Message(f"switching link {index} on", _SETLINK, 0, _link(index, _UP) + named)


def removed(name: str) -> Message:
    """Remove a link, and the other end of its pair."""
    return Message(f"removing the link {name}", _DELLINK, 0, _link(0) + _of(3, name.encode() + b"\0"))


def address(index: int, value: str, *, label: str | None = None) -> Message:
    """Give a link an address, as a /32."""
    body = _addressing(index, value, label)
    return Message(f"giving link {index} the address {value}", _NEWADDR, _CREATE | _REPLACE, body)


def address_removed(index: int, value: str, *, label: str) -> Message:
    """Take an address from a link, if it has it under this label."""
    return Message(f"taking the address {value} from link {index}", _DELADDR, 0, _addressing(index, value, label))


def neighbour(index: int, address: str, mac: str) -> Message:
    """Say for good which link address an address beyond a link has."""
    body = _NEIGHBOUR.pack(socket.AF_INET, index, _PERMANENT, 0, 0) + _of(1, _ipv4(address)) + _of(2, _mac(mac))
    return Message(f"the neighbour {address}", _NEWNEIGH, _CREATE | _REPLACE, body)


def route(
    network: str, index: int, *, gateway: str | None = None, source: str | None = None, protocol: int = _STATIC
) -> Message:
    """Route a network to a link: what is behind it, or with a `gateway` what that knows the way to."""
    scope = _ON_LINK if gateway is None else _UNIVERSE
    body = _of(4, _int(index))
    body += b"" if gateway is None else _of(5, _ipv4(gateway))
    body += b"" if source is None else _of(7, _ipv4(source))
    return _routing(_NEWROUTE, network, protocol, scope=scope, type_=_UNICAST, more=body)


def unreachable(network: str, *, protocol: int) -> Message:
    """Have what is sent to a network refused, unless a more specific route leads there."""
    return _routing(_NEWROUTE, network, protocol, scope=_UNIVERSE, type_=_UNREACHABLE)


def reachable_again(network: str, *, protocol: int) -> Message:
    """Take back what `unreachable` said, if it was said with this `protocol`."""
    return _routing(_DELROUTE, network, protocol, scope=_ANYWHERE, type_=_UNREACHABLE)


def _addressing(index: int, value: str, label: str | None) -> bytes:
    body = _ADDRESS.pack(socket.AF_INET, 32, 0, 0, index) + _of(1, _ipv4(value)) + _of(2, _ipv4(value))
    return body if label is None else body + _of(3, label.encode() + b"\0")


def _routing(kind: int, network: str, protocol: int, *, scope: int, type_: int, more: bytes = b"") -> Message:
    parsed = IPv4Network(network)
    body = _ROUTE.pack(socket.AF_INET, parsed.prefixlen, 0, 0, _MAIN_TABLE, protocol, scope, type_, 0)
    destination = _of(1, parsed.network_address.packed) if parsed.prefixlen else b""
    flags = _CREATE | _REPLACE if kind == _NEWROUTE else 0
    return Message(f"the route of {network}", kind, flags, body + destination + more)


def _encoded(number: int, message: Message, flags: int) -> bytes:
    length = _HEADER.size + len(message.body)
    header = _HEADER.pack(length, message.kind, message.flags | flags | _REQUEST, number, 0)
    return header + message.body + bytes(-length % 4)


def _split(data: bytes) -> list[tuple[int, int, bytes]]:
    """Take the messages out of what was received: type, sequence number and body of each."""
    found, at = [], 0
    while at < len(data):
        length, kind, _, number, _ = _HEADER.unpack_from(data, at)
        found.append((kind, number, data[at + _HEADER.size : at + length]))
        at += length + -length % 4
    return found


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        found.append((kind, data[at + _ATTRIBUTE.size : at + length]))
        at += length + -length % 4
    return found


def _errno(body: bytes) -> int:
    return int.from_bytes(body[:4], sys.byteorder, signed=True)


def _of(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _link(index: int, flags: int = 0) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, flags)


def _end(name: str, mac: str, mtu: int) -> bytes:
    return _of(3, name.encode() + b"\0") + _of(1, _mac(mac)) + _of(4, _int(mtu))


def _int(value: int) -> bytes:
    return struct.pack("=I", value)


def _ipv4(address: str) -> bytes:
    return IPv4Address(address).packed


def _mac(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))
