"""From the body of a request to a fault: with the checks, and the words, of the stock agent. Pure."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from wherry.agent.faults.base import BlackholePort, Fault, Impairment, Kind, Networks
from wherry.agent.sandbox import names

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_ENDPOINTS = ip_network(names.ENDPOINTS_ADDRESS)
_MOST_MILLISECONDS = (2**32 - 1) * 64 // 1_000_000
"""What the kernel counts in: 32 bits of 64 nanoseconds."""

MOST_NETWORKS = 1000
"""Addresses and blocks in a list: each is a rule, or a filter, of the host's kernel."""

T = TypeVar("T")


class InvalidRequestError(ValueError):
    """The body asks for nothing that could be done; the text says why."""


class _Request(msgspec.Struct, frozen=True, rename="pascal"):
    """Base of the bodies: null and absent are the same, and what is not known is passed over, as by the stock agent."""

    sources_to_filter: tuple[str | None, ...] | None = None


class _BlackholePort(_Request, frozen=True, rename="pascal"):
    port: Annotated[int, Meta(ge=0, le=65535)] | None = None
    protocol: str | None = None
    traffic_type: str | None = None


class _Latency(_Request, frozen=True, rename="pascal"):
    delay_milliseconds: Count | None = None
    jitter_milliseconds: Count | None = None
    sources: tuple[str | None, ...] | None = None
    flows_percent: Count | None = None


class _PacketLoss(_Request, frozen=True, rename="pascal"):
    loss_percent: Count | None = None
    sources: tuple[str | None, ...] | None = None
    flows_percent: Count | None = None


def parse(kind: Kind, body: bytes) -> Fault:
    """Read the body of a request to start a fault; raises `InvalidRequestError`."""
    match kind:
        case Kind.BLACKHOLE_PORT:
            return _blackhole_port(_decoded(body, _BlackholePort))
        case Kind.LATENCY:
            return _latency(_decoded(body, _Latency))
        case Kind.PACKET_LOSS:
            return _packet_loss(_decoded(body, _PacketLoss))


def _blackhole_port(asked: _BlackholePort) -> BlackholePort:
    port = _required(asked.port, "Port")
    protocol, traffic = _required(asked.protocol, "Protocol"), _required(asked.traffic_type, "TrafficType")
    _one_of(protocol, ("tcp", "udp"), "Protocol")
    _one_of(traffic, ("ingress", "egress"), "TrafficType")
    spared = _networks(asked.sources_to_filter, "SourcesToFilter")
    if traffic == "egress" and port == 80 and _ENDPOINTS not in spared:
        # Else the task could not ask for the end of it.
        spared = (*spared, _ENDPOINTS)
    return BlackholePort(traffic=traffic, protocol=protocol, port=port, spared=spared)


def _latency(asked: _Latency) -> Impairment:
    delay = _required(asked.delay_milliseconds, "DelayMilliseconds")
    jitter = _required(asked.jitter_milliseconds, "JitterMilliseconds")
    _within(delay, 0, _MOST_MILLISECONDS, "DelayMilliseconds")
    _within(jitter, 0, _MOST_MILLISECONDS, "JitterMilliseconds")
    return Impairment(kind=Kind.LATENCY, delay=delay, jitter=jitter, **_reach(asked))


def _packet_loss(asked: _PacketLoss) -> Impairment:
    loss = _within(_required(asked.loss_percent, "LossPercent"), 1, 100, "LossPercent")
    return Impairment(kind=Kind.PACKET_LOSS, loss=loss, **_reach(asked))


def _reach(asked: _Latency | _PacketLoss) -> dict[str, Any]:
    """Read whom a fault concerns: never the endpoints, by which its end is asked for."""
    targets = _networks(_required(asked.sources, "Sources"), "Sources")
    spared = _networks(asked.sources_to_filter, "SourcesToFilter")
    flows = 100 if asked.flows_percent is None else _within(asked.flows_percent, 1, 100, "FlowsPercent")
    return {"targets": targets, "spared": (*spared, _ENDPOINTS), "flows": flows}


def _decoded(body: bytes, shape: type[T]) -> T:
    if not body.strip():
        raise InvalidRequestError("required request body is missing")
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise InvalidRequestError(str(error)) from error


def _required(value: T | None, name: str) -> T:
    # Zero is a value, an empty text or list is none.
    if value is None or value in ("", ()):
        raise InvalidRequestError(f"required parameter {name} is missing")
    return value


def _one_of(value: str, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        raise _invalid(value, name)


def _within(value: int, least: int, most: int, name: str) -> int:
    if not least <= value <= most:
        raise _invalid(value, name)
    return value


def _networks(values: tuple[str | None, ...] | None, name: str) -> Networks:
    if values is not None and len(values) > MOST_NETWORKS:
        raise InvalidRequestError(f"parameter {name} has more than {MOST_NETWORKS} entries")
    return tuple(_network(value or "", name) for value in values or ())


def _network(value: str, name: str) -> IPv4Network | IPv6Network:
    """Read an address or a block; neither a zone, "fe80::1%eth0", nor a mask, "10.0.0.0/255.0.0.0", is in either."""
    _, slash, length = value.partition("/")
    if "%" in value or (slash and not (length.isascii() and length.isdigit())):
        raise _invalid(value, name)
    try:
        return ip_network(value, strict=False)
    except ValueError:
        raise _invalid(value, name) from None


def _invalid(value: object, name: str) -> InvalidRequestError:
    return InvalidRequestError(f"invalid value {value} for parameter {name}")
