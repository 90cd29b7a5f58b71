"""What ECS demands of one container definition, whatever the launch type (ECS API reference, ContainerDefinition).

Values have the types of the model already; texts that AWS is known to use are AWS's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from wherry.model.problem import Path, Problem, Source

Member = Mapping[str, Any]

Rule = Callable[[Member, Path, str], Iterator[Problem]]
"""Looks at one member of the container at a path, in a task of a network mode."""

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_IMAGE = re.compile(r"[A-Za-z0-9_\-:./#@]+")
_PORT_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
_SYSCTL = re.compile(
    r"net\.[\w.\-/]+|fs\.mqueue\.\w+|kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)"
)

ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice"),
    *("nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
)
_FILE = re.compile(r"arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^\x00]+\.env")
_MOST_FILES = 10
_MOST_RANGES = 100
CONDITIONS = ("START", "COMPLETE", "SUCCESS", "HEALTHY")


def one_of(value: Any, allowed: Iterable[str], path: Path) -> Iterator[Problem]:
    """Object to a `value` that is none of the `allowed` ones; absent is fine."""
    if value is not None and value not in (names := list(allowed)):
        yield Problem(path, f"{path[-1]} should be one of [{', '.join(names)}], not '{value}'.", invalid=True)


def problems(container: Member, path: Path, network_mode: str) -> Iterator[Problem]:
    """Find all that is wrong with `container`, which stands at `path`."""
    yield from _identity(container, path)
    yield from _resources(container, path)
    for member, rule in _RULES:
        if container.get(member) is not None:
            yield from rule(container, path, network_mode)


def environment_files(files: Sequence[Member], path: Path) -> Iterator[Problem]:
    """Find what is wrong with the environmentFiles of a container or of an override."""
    if len(files) > _MOST_FILES:
        yield Problem(path, f"environmentFiles can have up to {_MOST_FILES} files.", invalid=True)
    for position, file in enumerate(files):
        yield from one_of(file.get("type"), ("s3",), (*path, position, "type"))
        value = file.get("value") or ""
        if not _FILE.fullmatch(value):
            text = f"An environment file is the ARN of an object in S3 whose name ends with .env, not '{value}'."
            yield Problem((*path, position, "value"), text)


def _identity(container: Member, path: Path) -> Iterator[Problem]:
    name, image = container.get("name"), container.get("image")
    if not name:
        yield Problem(path if name is None else (*path, "name"), "Container.name should not be null or empty.")
    elif not NAME.fullmatch(name):
        yield Problem((*path, "name"), "Container.name contains invalid characters.")
    if not image:
        yield Problem(path if image is None else (*path, "image"), "Container.image should not be null or empty.")
    elif not _IMAGE.fullmatch(image):
        yield Problem((*path, "image"), "Container.image contains invalid characters.")
    elif len(image.partition("@")[0]) > 255:
        yield Problem((*path, "image"), "Container.image is longer than 255 characters.")


def _resources(container: Member, path: Path) -> Iterator[Problem]:
    name, memory, reservation = container.get("name"), container.get("memory"), container.get("memoryReservation")
    for member, value, least in (("cpu", container.get("cpu"), 0), ("memory", memory, 4)):
        if value is not None and value < least:
            yield Problem(
                (*path, member),
                f"Invalid '{member}' setting for container '{name}'. The least is {least}.",
                invalid=True,
            )
    if reservation is not None and reservation < 4:
        text = f"Invalid 'memoryReservation' setting for container '{name}'. The least is 4."
        yield Problem((*path, "memoryReservation"), text, invalid=True)
    elif memory is not None and reservation is not None and memory < reservation:
        text = f"Invalid setting for container '{name}'. The 'memory' must be at least the 'memoryReservation'."
        yield Problem((*path, "memoryReservation"), text)


def _ports(container: Member, path: Path, network_mode: str) -> Iterator[Problem]:
    for position, port in enumerate(container["portMappings"]):
        yield from _port(port, (*path, "portMappings", position), network_mode)
    yield from _ports_together(container, path, network_mode)


def _port(port: Member, path: Path, network_mode: str) -> Iterator[Problem]:
    inside, outside = port.get("containerPort"), port.get("hostPort")
    yield from _port_range(port, path, network_mode)
    if inside is None and not port.get("containerPortRange"):
        yield Problem(path, "A port mapping must have a containerPort.")
    if inside is not None and not 1 <= inside <= 65535:
        yield Problem((*path, "containerPort"), f"Invalid container port: {inside}. It is 1 to 65535.", invalid=True)
    if outside is not None and not 0 <= outside <= 65535:
        yield Problem((*path, "hostPort"), f"Invalid host port: {outside}. It is 0 to 65535.", invalid=True)
    if network_mode in ("awsvpc", "host") and inside is not None and outside not in (None, inside):
        text = f"When networkMode={network_mode}, the host ports and container ports in port mappings must match."
        yield Problem((*path, "hostPort"), text)
    yield from one_of(port.get("protocol"), ("tcp", "udp"), (*path, "protocol"))
    yield from one_of(port.get("appProtocol"), ("http", "http2", "grpc"), (*path, "appProtocol"))
    name = port.get("name")
    if name is not None and not _PORT_NAME.fullmatch(name):
        text = (
            f"The port name '{name}' is invalid. Use up to 64 lower-case letters, digits, '_' and '-', not '-' first."
        )
        yield Problem((*path, "name"), text)


def port_range(text: str) -> range | None:
    """Read "8000-8010" as the ports it means; None if it means none."""
    first, dash, last = text.partition("-")
    if not (dash and first.isascii() and first.isdecimal() and last.isascii() and last.isdecimal()):
        return None
    ports = range(int(first), int(last) + 1)
    return ports if ports and ports[0] >= 1 and ports[-1] <= 65535 else None


def _port_range(port: Member, path: Path, network_mode: str) -> Iterator[Problem]:
    text = port.get("containerPortRange")
    if text is None:
        return
    here = (*path, "containerPortRange")
    if network_mode not in ("awsvpc", "bridge"):
        yield Problem(here, f"containerPortRange is not supported when networkMode={network_mode}.")
    if port_range(text) is None:
        yield Problem(here, f"Invalid containerPortRange: '{text}'. It is FIRST-LAST, with ports of 1 to 65535.")
    if port.get("containerPort") is not None or port.get("hostPort") is not None:
        yield Problem(path, "A port mapping has either a containerPort or a containerPortRange, without a hostPort.")


def _ports_together(container: Member, path: Path, network_mode: str) -> Iterator[Problem]:
    if container["portMappings"] and network_mode == "none":
        yield Problem((*path, "portMappings"), "Port mappings are not supported when networkMode=none.")
    protocols: dict[int, str] = {}
    for position, port in enumerate(container["portMappings"]):
        here, number, protocol = (
            (*path, "portMappings", position),
            port.get("containerPort"),
            port.get("protocol") or "tcp",
        )
        if number is not None and protocols.setdefault(number, protocol) != protocol:
            yield Problem(here, f"Container port {number} cannot be exposed for multiple protocols.")
    yield from _ranges_apart(container["portMappings"], (*path, "portMappings"))


def _ranges_apart(ports: Sequence[Member], path: Path) -> Iterator[Problem]:
    ranges = [(index, port_range(port.get("containerPortRange") or "")) for index, port in enumerate(ports)]
    known = [(index, span) for index, span in ranges if span is not None]
    if len(known) > _MOST_RANGES:
        yield Problem(path, f"A container can have up to {_MOST_RANGES} containerPortRanges.")
    for place, (index, span) in enumerate(known):
        single = any(port.get("containerPort") in span for port in ports if port.get("containerPort") is not None)
        if single or any(span[0] <= other[-1] and other[0] <= span[-1] for _, other in known[:place]):
            text = f"The ports of containerPortRange {span[0]}-{span[-1]} are mapped more than once."
            yield Problem((*path, index, "containerPortRange"), text)


def _hostname(container: Member, path: Path, network_mode: str) -> Iterator[Problem]:
    if container["hostname"] and network_mode == "awsvpc":
        text = "hostname is not supported on container when networkMode=awsvpc."
        yield Problem((*path, "hostname"), text)


def _links(container: Member, path: Path, network_mode: str) -> Iterator[Problem]:
    if container["links"] and network_mode != "bridge":
        yield Problem((*path, "links"), f"Links are not supported when networkMode={network_mode}.")


def _extra_hosts(container: Member, path: Path, network_mode: str) -> Iterator[Problem]:
    if container["extraHosts"] and network_mode == "awsvpc":
        yield Problem((*path, "extraHosts"), "Extra hosts are not supported when networkMode=awsvpc.")


def _timeout(member: str) -> Rule:
    def rule(container: Member, path: Path, _: str) -> Iterator[Problem]:
        if (value := container[member]) < 0:
            yield Problem((*path, member), f"Invalid '{member}': {value}. It is a number of seconds.", invalid=True)

    return rule


def _restart_policy(container: Member, path: Path, _: str) -> Iterator[Problem]:
    policy, here = container["restartPolicy"], (*path, "restartPolicy")
    codes, period = policy.get("ignoredExitCodes") or (), policy.get("restartAttemptPeriod")
    if len(codes) > 50:
        yield Problem((*here, "ignoredExitCodes"), "ignoredExitCodes can have up to 50 exit codes.", invalid=True)
    if period is not None and not 60 <= period <= 1800:
        text = f"Invalid 'restartAttemptPeriod': {period}. It is 60 to 1800 seconds."
        yield Problem((*here, "restartAttemptPeriod"), text, invalid=True)


_HEALTH_RANGES = (("interval", 5, 300), ("timeout", 2, 60), ("retries", 1, 10), ("startPeriod", 0, 300))


def _health_check(container: Member, path: Path, _: str) -> Iterator[Problem]:
    check, here = container["healthCheck"], (*path, "healthCheck")
    command = check.get("command") or [""]
    if command[0] == "NONE":
        text = "Remove healthCheck: only the task definition's check counts, an image's own is never run."
        yield Problem((*here, "command"), text, Source.WHERRY)
    elif command[0] not in ("CMD", "CMD-SHELL") or len(command) < 2:
        text = "The healthCheck command must begin with CMD or CMD-SHELL, and a command must follow."
        yield Problem((*here, "command"), text)
    for member, least, most in _HEALTH_RANGES:
        value = check.get(member)
        if value is not None and not least <= value <= most:
            yield Problem(
                (*here, member), f"Invalid healthCheck {member}: {value}. It is {least} to {most}.", invalid=True
            )


def _ulimits(container: Member, path: Path, _: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for position, ulimit in enumerate(container["ulimits"]):
        here, name = (*path, "ulimits", position), ulimit.get("name")
        yield from one_of(name, ULIMITS, (*here, "name"))
        soft, hard = ulimit.get("softLimit"), ulimit.get("hardLimit")
        # -1 is "unlimited", which is above every number.
        if soft is not None and hard is not None and hard != -1 and (soft > hard or soft == -1):
            yield Problem(here, f"The softLimit of ulimit '{name}' is above its hardLimit.")
        if name in seen:
            yield Problem(here, f"The ulimit '{name}' is set twice.")
        seen.add(str(name))


def _linux_parameters(container: Member, path: Path, _: str) -> Iterator[Problem]:
    linux, where = container["linuxParameters"], (*path, "linuxParameters")
    for member, least, most in (("sharedMemorySize", 1, None), ("maxSwap", 0, None), ("swappiness", 0, 100)):
        value = linux.get(member)
        if value is not None and (value < least or (most is not None and value > most)):
            allowed = f"{least} to {most}" if most is not None else f"at least {least}"
            yield Problem((*where, member), f"Invalid '{member}': {value}. It is {allowed}.", invalid=True)
    for position, device in enumerate(linux.get("devices") or ()):
        yield from _device(device, (*where, "devices", position))
    for position, mount in enumerate(linux.get("tmpfs") or ()):
        here = (*where, "tmpfs", position)
        if not str(mount.get("containerPath") or "").startswith("/"):
            yield Problem(here, "The containerPath of a tmpfs must be an absolute path.")
        if (mount.get("size") or 0) < 1:
            yield Problem(here, "The size of a tmpfs must be at least 1 MiB.", invalid=True)
    if linux.get("maxSwap") is not None and container.get("memory") is None:
        text = "maxSwap counts from the container's own memory limit: give the container a memory, or remove maxSwap."
        yield Problem((*where, "maxSwap"), text, Source.WHERRY)


def _device(device: Member, path: Path) -> Iterator[Problem]:
    for member in ("hostPath", "containerPath"):
        value = device.get(member)
        if value is not None and (not value.startswith("/") or ".." in value.split("/")):
            yield Problem((*path, member), f"{member} of a device should be an absolute path, not '{value}'.")
    for index, permission in enumerate(device.get("permissions") or ()):
        for problem in one_of(permission, ("read", "write", "mknod"), (*path, "permissions")):
            yield msgspec.structs.replace(problem, path=(*path, "permissions", index))


def _system_controls(container: Member, path: Path, network_mode: str) -> Iterator[Problem]:
    for position, control in enumerate(container["systemControls"]):
        here, namespace = (*path, "systemControls", position), control.get("namespace") or ""
        if not _SYSCTL.fullmatch(namespace) or control.get("value") is None:
            text = f"The systemControl '{namespace}' must be a namespaced one (net.*, fs.mqueue.*, …) with a value."
            yield Problem(here, text)
        elif namespace.startswith("net.") and network_mode == "host":
            yield Problem(here, f"The systemControl '{namespace}' is not supported when networkMode=host.")


def _security_options(container: Member, path: Path, _: str) -> Iterator[Problem]:
    for position, option in enumerate(container["dockerSecurityOptions"]):
        if option not in ("no-new-privileges", "no-new-privileges:true") and not option.startswith(
            ("apparmor:", "label:")
        ):
            text = f"The dockerSecurityOption '{option}' must be no-new-privileges, apparmor:PROFILE or label:VALUE."
            yield Problem((*path, "dockerSecurityOptions", position), text)


def _version_consistency(container: Member, path: Path, _: str) -> Iterator[Problem]:
    yield from one_of(container["versionConsistency"], ("enabled", "disabled"), (*path, "versionConsistency"))


def _environment_files(container: Member, path: Path, _: str) -> Iterator[Problem]:
    yield from environment_files(container["environmentFiles"], (*path, "environmentFiles"))


def _environment(container: Member, path: Path, _: str) -> Iterator[Problem]:
    for position, variable in enumerate(container["environment"]):
        if not variable.get("name"):
            yield Problem((*path, "environment", position), "Environment variable name should not be null or empty.")


_RULES: tuple[tuple[str, Rule], ...] = (
    ("portMappings", _ports),
    ("hostname", _hostname),
    ("links", _links),
    ("extraHosts", _extra_hosts),
    ("startTimeout", _timeout("startTimeout")),
    ("stopTimeout", _timeout("stopTimeout")),
    ("restartPolicy", _restart_policy),
    ("healthCheck", _health_check),
    ("ulimits", _ulimits),
    ("linuxParameters", _linux_parameters),
    ("systemControls", _system_controls),
    ("dockerSecurityOptions", _security_options),
    ("versionConsistency", _version_consistency),
    ("environmentFiles", _environment_files),
    ("environment", _environment),
)
"""The rules of members that a container may do without, in the order in which their problems are said."""
