"""What tasks may take of the host they run on: asked for by definitions, allowed by settings, nothing by default. Pure.

Both sides judge by these rules: the control plane when a definition is registered and when it is run, and each agent,
by its own settings, when a task comes to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from wherry.model.base import Value
from wherry.model.taskdef import ContainerDefinition, TaskDefinition
from wherry.model.taskdef_draft import Draft


class Kind(StrEnum):
    """What of the host is asked for; the value is the setting that decides."""

    PATH = "WHERRY_HOST_PATHS"
    PRIVILEGED = "WHERRY_HOST_PRIVILEGED"
    NAMESPACE = "WHERRY_HOST_NAMESPACES"
    DEVICE = "WHERRY_HOST_DEVICES"
    CAPABILITY = "WHERRY_HOST_CAPABILITIES"


class Demand(Value, frozen=True):
    """One thing of the host that a task asks for, in `what` by name: a path, a mode, a device, a capability."""

    kind: Kind
    what: str


class HostRules(Value, frozen=True):
    """What may be used. `paths` and `devices` allow what lies below them; `capabilities` may be ALL."""

    paths: tuple[str, ...] = ()
    privileged: bool = False
    namespaces: bool = False
    devices: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()

    def allow(self, demand: Demand) -> bool:
        """Tell whether the host gives what is asked for."""
        match demand.kind:
            case Kind.PATH:
                return is_below(demand.what, self.paths)
            case Kind.PRIVILEGED:
                return self.privileged
            case Kind.NAMESPACE:
                return self.namespaces
            case Kind.DEVICE:
                return is_below(demand.what, self.devices)
            case Kind.CAPABILITY:
                return "ALL" in self.capabilities or demand.what in self.capabilities


NOTHING = HostRules()
"""The rules by default."""


def read(*, paths: str, privileged: bool, namespaces: bool, devices: str, capabilities: str) -> HostRules:
    """Read the rules as settings have them: lists are separated by commas. ValueError names what cannot be meant."""
    for setting, text in ((Kind.PATH, paths), (Kind.DEVICE, devices)):
        for path in _words(text):
            if not path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"{setting}: {path!r} is not an absolute path")
    return HostRules(
        paths=tuple(_words(paths)),
        privileged=privileged,
        namespaces=namespaces,
        devices=tuple(_words(devices)),
        capabilities=tuple(plain_capability(name) for name in _words(capabilities)),
    )


def objection(demands: Iterable[Demand], rules: HostRules) -> str | None:
    """Say which demand is not allowed, and by which setting it could be; None if all are."""
    refused = next((demand for demand in demands if not rules.allow(demand)), None)
    if refused is None:
        return None
    return f"{subject(refused)} is not allowed by the host rules: the setting {refused.kind} decides."


def subject(demand: Demand) -> str:
    """Begin a sentence about a demand."""
    match demand.kind:
        case Kind.PATH:
            return f"The path {demand.what} of the host"
        case Kind.DEVICE:
            return f"The device {demand.what} of the host"
        case Kind.CAPABILITY:
            return f"The capability {demand.what}"
        case Kind.PRIVILEGED | Kind.NAMESPACE:
            return demand.what


def demands(definition: Draft | TaskDefinition) -> Iterator[Demand]:
    """List what a task definition asks of the host."""
    yield from modes(definition.network_mode, definition.pid_mode, definition.ipc_mode)
    for volume in definition.volumes:
        if volume.host is not None and volume.host.source_path:
            yield Demand(kind=Kind.PATH, what=volume.host.source_path)
        if (docker := volume.docker_volume_configuration) is not None:
            yield from of_volume(docker.driver, docker.driver_opts)
    for container in definition.container_definitions:
        yield from _of_container(container)


def _of_container(container: ContainerDefinition) -> Iterator[Demand]:
    linux = container.linux_parameters
    added = linux.capabilities.add if linux is not None and linux.capabilities is not None else ()
    yield from of_container(
        privileged=bool(container.privileged),
        capabilities=added,
        devices=() if linux is None else tuple(device.host_path for device in linux.devices),
        security_options=container.docker_security_options,
    )


def of_container(
    *, privileged: bool, capabilities: Iterable[str], devices: Iterable[str], security_options: Iterable[str]
) -> Iterator[Demand]:
    """List what a container asks of the host; options that take its confinement away count as privileged."""
    if privileged:
        yield Demand(kind=Kind.PRIVILEGED, what="A privileged container")
    for option in security_options:
        if not option.startswith("no-new-privileges"):
            yield Demand(kind=Kind.PRIVILEGED, what=f"The security option {option}")
    for device in devices:
        yield Demand(kind=Kind.DEVICE, what=device)
    for capability in map(plain_capability, capabilities):
        if capability not in ORDINARY_CAPABILITIES:
            yield Demand(kind=Kind.CAPABILITY, what=capability)


def modes(network_mode: str | None, pid_mode: str | None, ipc_mode: str | None) -> Iterator[Demand]:
    """List the namespaces of the host that a task is to share."""
    for name, mode in (("networkMode", network_mode), ("pidMode", pid_mode), ("ipcMode", ipc_mode)):
        if mode == "host":
            yield Demand(kind=Kind.NAMESPACE, what=f"{name} host")


def of_volume(driver: str, options: Mapping[str, str]) -> Iterator[Demand]:
    """List the path of the host that a volume of the engine mounts, if its driver options name one.

    The local driver mounts whatever it is told to. Network file systems and tmpfs are none of the host's paths; of any
    other kind, such as a disk or an overlay, only who may mount the whole host may mount it.
    """
    if driver != "local" or not options:
        return
    flags = {flag.strip() for flag in options.get("o", "").split(",")}
    if flags & {"bind", "rbind"}:
        yield Demand(kind=Kind.PATH, what=options.get("device") or "/")
    elif options.get("type") not in _HARMLESS or "remount" in flags:
        yield Demand(kind=Kind.PATH, what="/")


def is_below(path: str, allowed: Iterable[str]) -> bool:
    """Tell whether a path is one of those that are allowed, or lies below one."""
    parts = _parts(path)
    return ".." not in parts and any(parts[: len(prefix)] == prefix for prefix in map(_parts, allowed))


def plain_capability(name: str) -> str:
    """Write a capability as ECS does: SYS_ADMIN."""
    return name.upper().removeprefix("CAP_")


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _words(text: str) -> Iterator[str]:
    return filter(None, (word.strip() for word in text.split(",")))


_HARMLESS = ("tmpfs", "nfs", "nfs4", "cifs")

ORDINARY_CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT", "SYS_PTRACE"),
    }
)
"""What containers have anyway, and what Fargate lets be added: it reaches the container's own processes only."""
