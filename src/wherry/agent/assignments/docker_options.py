"""Docker's own options in a payload: JSON texts in the shape of the Engine API, and what they mean. Pure.

An option that is not honoured here is refused by name; a null says nothing.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from wherry.agent.assignments.malformed import MalformedTaskError
from wherry.agent.spec import Device, HealthCheck, LogConfiguration, Tmpfs, Ulimit
from wherry.model.protocol.members import Long

_NANOSECONDS = 1_000_000_000
_SIZE = re.compile(r"size=([0-9]{1,10})m")

T = TypeVar("T")


class _Docker(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """Base of Docker's structs: null and absent are the same, an unknown member is an error."""


class _Healthcheck(_Docker, frozen=True):
    test: Annotated[tuple[str, ...], Meta(min_length=1)]
    interval: Long = 30 * _NANOSECONDS
    timeout: Long = 5 * _NANOSECONDS
    retries: Long = 3
    start_period: Long = 0


class Config(_Docker, frozen=True):
    """`dockerConfig.config`."""

    user: str | None = None
    working_dir: str | None = None
    hostname: str | None = None
    labels: dict[str, str] | None = None
    open_stdin: bool | None = None
    tty: bool | None = None
    network_disabled: bool | None = None
    healthcheck: _Healthcheck | None = None


class _Ulimit(_Docker, frozen=True):
    name: str
    soft: Long
    hard: Long


class _LogConfig(_Docker, frozen=True):
    type: str
    config: dict[str, str] | None = None


class _Device(_Docker, frozen=True):
    path_on_host: str
    path_in_container: str
    cgroup_permissions: str = "rwm"


class HostConfig(_Docker, frozen=True):
    """`dockerConfig.hostConfig`."""

    memory_reservation: Long | None = None
    memory_swap: Long | None = None
    memory_swappiness: Long | None = None
    privileged: bool | None = None
    readonly_rootfs: bool | None = None
    init: bool | None = None
    shm_size: Long | None = None
    dns: tuple[str, ...] | None = None
    dns_search: tuple[str, ...] | None = None
    extra_hosts: tuple[str, ...] | None = None
    security_opt: tuple[str, ...] | None = None
    ulimits: tuple[_Ulimit, ...] | None = None
    sysctls: dict[str, str] | None = None
    cap_add: tuple[str, ...] | None = None
    cap_drop: tuple[str, ...] | None = None
    devices: tuple[_Device, ...] | None = None
    tmpfs: dict[str, str] | None = None
    log_config: _LogConfig | None = None


def decoded(text: str, shape: type[T], where: str) -> T:
    """Decode one of the JSON texts; members that are null say nothing and are dropped first."""
    try:
        members = msgspec.json.decode(text, type=dict[str, Any])
        return msgspec.convert({name: value for name, value in members.items() if value is not None}, shape)
    except msgspec.ValidationError as error:
        what = str(error).replace("Object contains unknown field", "this agent does not honour")
        raise MalformedTaskError(f"{where}: {what}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedTaskError(f"{where} is not JSON: {error}") from error


def health_check(config: Config) -> HealthCheck | None:
    """Tell how a container's health is found out; None if it is not, or if the check is there to switch off another."""
    check = config.healthcheck
    if check is None or check.test[0] == "NONE":
        return None
    return HealthCheck(
        command=check.test,
        interval=check.interval / _NANOSECONDS,
        timeout=check.timeout / _NANOSECONDS,
        retries=check.retries,
        start_period=check.start_period / _NANOSECONDS,
    )


def logs(host: HostConfig) -> LogConfiguration | None:
    """Tell where a container's output goes; None: where the engine has it."""
    chosen = host.log_config
    return None if chosen is None else LogConfiguration(driver=chosen.type, options=chosen.config or {})


def ulimits(host: HostConfig) -> tuple[Ulimit, ...]:
    """List the limits of resources."""
    return tuple(Ulimit(name=limit.name, soft=limit.soft, hard=limit.hard) for limit in host.ulimits or ())


def devices(host: HostConfig) -> tuple[Device, ...]:
    """List the devices of the host."""
    return tuple(
        Device(host_path=d.path_on_host, container_path=d.path_in_container, permissions=d.cgroup_permissions)
        for d in host.devices or ()
    )


def tmpfs(host: HostConfig, where: str) -> tuple[Tmpfs, ...]:
    """Read the options of each mount, "size=64m,noexec", as Docker writes them."""
    return tuple(_tmpfs(path, options, where) for path, options in (host.tmpfs or {}).items())


def _tmpfs(path: str, text: str, where: str) -> Tmpfs:
    options = [option for option in text.split(",") if option]
    sizes = [_SIZE.fullmatch(option) for option in options if option.startswith("size=")]
    if len(sizes) != 1 or sizes[0] is None:
        raise MalformedTaskError(f"{where}: tmpfs {path} has no size in MiB: {text!r}")
    return Tmpfs(
        container_path=path,
        size_mib=int(sizes[0][1]),
        options=tuple(option for option in options if not option.startswith("size=")),
    )


def extra_hosts(host: HostConfig, where: str) -> dict[str, str]:
    """Read the entries "NAME:ADDRESS"."""
    return dict(_extra_host(entry, where) for entry in host.extra_hosts or ())


def _extra_host(entry: str, where: str) -> tuple[str, str]:
    name, separator, address = entry.partition(":")
    if not separator or not name or not address:
        raise MalformedTaskError(f"{where}: extraHosts entry {entry!r} is not NAME:ADDRESS")
    return name, address
