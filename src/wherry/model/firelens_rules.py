"""What ECS demands of a task's log router, and of the containers whose lines go to it (FireLens)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wherry.model.container_rules import one_of
from wherry.model.problem import Path, Problem, Source

Member = Mapping[str, Any]

TYPES = ("fluentd", "fluentbit")
OPTIONS = ("enable-ecs-log-metadata", "config-file-type", "config-file-value")
_PLUGIN = {"fluentd": "@type", "fluentbit": "Name"}


def problems(params: Member) -> Iterator[Problem]:
    """Find what is wrong with FireLens in the parameters of RegisterTaskDefinition."""
    containers = params.get("containerDefinitions") or ()
    routers = [position for position, one in enumerate(containers) if one.get("firelensConfiguration")]
    on_fargate = "FARGATE" in (params.get("requiresCompatibilities") or ())
    for position in routers:
        path = ("containerDefinitions", position, "firelensConfiguration")
        if position != routers[0]:
            yield Problem(path, "A task definition can have one container with a firelensConfiguration.")
        yield from _router(containers[position]["firelensConfiguration"], path, on_fargate=on_fargate)
    kind = containers[routers[0]]["firelensConfiguration"].get("type") if routers else None
    for position, container in enumerate(containers):
        logs = container.get("logConfiguration") or {}
        if logs.get("logDriver") == "awsfirelens":
            yield from _source(logs, ("containerDefinitions", position, "logConfiguration"), kind=kind)


def _router(firelens: Member, path: Path, *, on_fargate: bool) -> Iterator[Problem]:
    options = firelens.get("options") or {}
    yield from one_of(firelens.get("type"), TYPES, (*path, "type"))
    for name in options:
        yield from one_of(name, OPTIONS, (*path, "options"))
    here = (*path, "options", "enable-ecs-log-metadata")
    yield from one_of(options.get("enable-ecs-log-metadata"), ("true", "false"), here)
    file_type, file = options.get("config-file-type"), options.get("config-file-value")
    yield from one_of(file_type, ("s3", "file"), (*path, "options", "config-file-type"))
    if file_type == "s3" and on_fargate:
        yield Problem(path, "Fargate compatible task definitions only support the config-file-type file")
    elif file_type == "s3":
        text = "Wherry includes configuration files of the router's image. Set config-file-type to file."
        yield Problem(path, text, Source.WHERRY)
    if (file_type is None) != (file is None):
        yield Problem(path, "config-file-type and config-file-value must be given together.")
    if file is not None and ("\n" in file or (not file.startswith("/") and file_type == "file")):
        yield Problem(path, "config-file-value must be the full path of a file in the router's image.")


def _source(logs: Member, path: Path, *, kind: str | None) -> Iterator[Problem]:
    options = logs.get("options") or {}
    if kind is None:
        text = "A container with a firelensConfiguration is required where a logDriver is awsfirelens."
        yield Problem((*path, "logDriver"), text)
        return
    for name, value in options.items():
        if any(character in f"{name}{value}" for character in "\n\r"):
            yield Problem((*path, "options", name), f"The log option '{name}' must be one line.")
    plugin, own = _PLUGIN.get(kind, ""), ("log-driver-buffer-limit", "mode", "max-buffer-size")
    output = [n for n in options if n not in (*own, "include-pattern", "exclude-pattern")]
    if (output or logs.get("secretOptions")) and plugin and plugin not in options:
        text = f"The log options of awsfirelens need '{plugin}', which names the output of {kind}."
        yield Problem(path, text)
    limit = options.get("log-driver-buffer-limit")
    if limit is not None and not (limit.isascii() and limit.isdecimal() and int(limit) <= 536_870_912):
        yield Problem((*path, "options"), "log-driver-buffer-limit must be a number of bytes from 0 to 536870912.")
