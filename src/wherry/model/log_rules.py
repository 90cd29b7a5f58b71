"""What ECS demands of a container's logConfiguration (ECS API reference, LogConfiguration).

The options of other drivers are the container engine's: it knows them, and objects when a container is created.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wherry.model.container_rules import one_of
from wherry.model.identity_rules import reference_problems
from wherry.model.problem import Path, Problem, Source

Member = Mapping[str, Any]

DRIVERS = ("json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "awsfirelens")
FARGATE_DRIVERS = ("awslogs", "splunk", "awsfirelens")
MODES = ("blocking", "non-blocking")

_GROUP = re.compile(r"[a-zA-Z0-9_./#-]{1,512}")
_STREAM_PREFIX = re.compile(r"[^:*\x00]+")
_REGION = re.compile(r"[a-z0-9-]+")
_BUFFER_SIZE = re.compile(r"[0-9]+[kmg]?b?", re.IGNORECASE)
_DURATION = re.compile(r"[1-9][0-9]{0,8}")

_AWSLOGS_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "awslogs-group": (_GROUP, "the name of a log group"),
    "awslogs-region": (_REGION, "a region"),
    "awslogs-stream-prefix": (_STREAM_PREFIX, "a text without ':' and '*'"),
    "awslogs-create-group": (re.compile("true|false"), "true or false"),
    "awslogs-force-flush-interval-seconds": (_DURATION, "a number of seconds"),
    "awslogs-max-buffered-events": (_DURATION, "a number of events"),
}
_AWSLOGS = (*_AWSLOGS_FORMS, "awslogs-datetime-format", "awslogs-multiline-pattern")
_GENERIC = ("mode", "max-buffer-size", "tag")
_CACHE = ("cache-disabled", "cache-max-size", "cache-max-file", "cache-compress")
_OURS = ("awslogs-stream", "awslogs-endpoint", "awslogs-credentials-endpoint")


def problems(container: Member, path: Path) -> Iterator[Problem]:
    """Find what is wrong with the logConfiguration of `container`, which stands at `path`."""
    configuration = container.get("logConfiguration")
    if configuration is None:
        return
    here = (*path, "logConfiguration")
    driver, options = configuration.get("logDriver"), configuration.get("options") or {}
    yield from one_of(driver, DRIVERS, (*here, "logDriver"))
    yield from _delivery(options, (*here, "options"))
    if driver == "awslogs":
        yield from _required(options, ("awslogs-group", "awslogs-region"), here)
        yield from _awslogs(container.get("name"), options, (*here, "options"))
    yield from _secret_options(configuration, here)


def fargate_problems(container: Member, path: Path, *, execution_role: str | None) -> Iterator[Problem]:
    """Find what Fargate objects to beyond that."""
    configuration = container.get("logConfiguration")
    if configuration is None:
        return
    here = (*path, "logConfiguration")
    driver, options = configuration.get("logDriver"), configuration.get("options") or {}
    if driver in DRIVERS and driver not in FARGATE_DRIVERS:
        text = f"Fargate compatible task definitions do not support log driver {driver}"
        yield Problem((*here, "logDriver"), text)
    if driver != "awslogs":
        return
    if not execution_role:
        text = "Fargate requires task definition to have execution role ARN to support log driver awslogs."
        yield Problem((*here, "logDriver"), text)
    yield from _required(options, ("awslogs-stream-prefix",), here)


def _delivery(options: Member, path: Path) -> Iterator[Problem]:
    """Check what every driver takes: how lines reach it."""
    yield from one_of(options.get("mode"), MODES, (*path, "mode"))
    size = options.get("max-buffer-size")
    if size is None:
        return
    if not _BUFFER_SIZE.fullmatch(size):
        text = f"Invalid max-buffer-size: '{size}'. It is a number of bytes, or one with k, m or g behind it."
        yield Problem((*path, "max-buffer-size"), text, invalid=True)
    if options.get("mode") == "blocking":
        text = "Log driver option 'max-buffer-size' is only supported when 'mode' is 'non-blocking'."
        yield Problem((*path, "max-buffer-size"), text)


def _awslogs(name: str | None, options: Member, path: Path) -> Iterator[Problem]:
    for option, value in options.items():
        pattern, form = _AWSLOGS_FORMS.get(option, (None, ""))
        if option in _OURS:
            text = f"Log driver option '{option}' is set by the agent. Remove it from container '{name}'."
            yield Problem((*path, option), text, Source.WHERRY)
        elif option not in (*_AWSLOGS, *_GENERIC, *_CACHE):
            yield Problem((*path, option), f"Log driver awslogs disallows options: {option}")
        elif value and pattern is not None and not pattern.fullmatch(value):
            yield Problem((*path, option), f"Invalid {option}: '{value}'. It is {form}.", invalid=True)
    if options.get("awslogs-datetime-format") and options.get("awslogs-multiline-pattern"):
        text = "You cannot configure log opt 'awslogs-datetime-format' and 'awslogs-multiline-pattern' at the same time"
        yield Problem(path, text)


def _secret_options(configuration: Member, path: Path) -> Iterator[Problem]:
    taken = set(configuration.get("options") or ())
    for position, secret in enumerate(configuration.get("secretOptions") or ()):
        here, name = (*path, "secretOptions", position), secret.get("name")
        if not name:
            yield Problem(here, "The name of a secret option must not be empty.")
        elif name in taken:
            yield Problem(here, f"The log option '{name}' is set twice.")
        taken.add(name)
        yield from reference_problems(secret.get("valueFrom") or "", (*here, "valueFrom"))


def _required(options: Member, required: Iterable[str], path: Path) -> Iterator[Problem]:
    for option in required:
        if not options.get(option):
            yield Problem(path, f"Log driver awslogs requires options: {option}")
