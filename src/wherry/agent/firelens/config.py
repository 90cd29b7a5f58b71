"""The configuration of a task's log router, fluentd's or Fluent Bit's, out of its containers' options. Pure.

The shape is the stock agent's: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/firelens-taskdef.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wherry.agent.spec import ContainerSpec, SecretTarget, Struct, TaskSpec

DRIVER = "awsfirelens"
SOCKET = "/var/run/fluent.sock"
PORT = 24224
_OWN_OPTIONS = frozenset({"log-driver-buffer-limit", "mode", "max-buffer-size", "include-pattern", "exclude-pattern"})
"""What is not the output's: the driver's options, and the filters before it."""


class Route(Struct, frozen=True):
    """Where the lines of a container go: `output` are the options of the router's plugin, `tag` begins theirs."""

    tag: str
    output: dict[str, str]
    include: str | None = None
    exclude: str | None = None


def concerns(container: ContainerSpec) -> bool:
    """Tell whether a container is a log router, or logs to one."""
    return container.firelens is not None or (container.logs is not None and container.logs.driver == DRIVER)


def tag(container: str, task: TaskSpec) -> str:
    """Name the records of a container."""
    return f"{container}-firelens-{task.task_id}"


def variable(option: str, task: TaskSpec, container: ContainerSpec) -> str:
    """Name the router's variable that holds the value of a secret option of a container."""
    return f"{option}_{task.containers.index(task.container(container.name))}"


def routes(task: TaskSpec, *, kind: str) -> list[Route]:
    """List the routes of the containers that log to the router; what is secret is named by a variable of its."""
    found = []
    for container in task.containers:
        if container.logs is None or container.logs.driver != DRIVER:
            continue
        options = container.logs.options
        secret = {
            s.name: _reference(variable(s.name, task, container), kind)
            for s in container.secrets
            if s.target is SecretTarget.LOG_DRIVER
        }
        output = {name: value for name, value in options.items() if name not in _OWN_OPTIONS} | secret
        include, exclude = options.get("include-pattern"), options.get("exclude-pattern")
        found.append(Route(tag=tag(container.name, task), output=output, include=include, exclude=exclude))
    return found


def _reference(name: str, kind: str) -> str:
    return f"${{{name}}}" if kind == "fluentbit" else f"\"#{{ENV['{name}']}}\""


def fluent_bit(task: TaskSpec, options: Mapping[str, str]) -> str:
    """Write Fluent Bit's configuration file."""
    sections = [
        _section("INPUT", {"Name": "forward", "unix_path": SOCKET}),
        _section("INPUT", {"Name": "forward", "Listen": "127.0.0.1", "Port": str(PORT)}),
    ]
    found = routes(task, kind="fluentbit")
    for route in found:
        for rule, pattern in (("Regex", route.include), ("Exclude", route.exclude)):
            if pattern is not None:
                sections.append(_section("FILTER", {"Name": "grep", "Match": f"{route.tag}*", rule: f"log {pattern}"}))
    if _adds_metadata(options):
        records = "".join(f"    Record {name} {value}\n" for name, value in _metadata(task).items())
        sections.append(_section("FILTER", {"Name": "record_modifier", "Match": "*"}) + records)
    if included := options.get("config-file-value"):
        sections.append(f"@INCLUDE {included}\n")
    sections += [_section("OUTPUT", {"Match": f"{r.tag}*"} | r.output) for r in found if r.output]
    return "\n".join(sections)


def fluentd(task: TaskSpec, options: Mapping[str, str]) -> str:
    """Write fluentd's configuration file."""
    parts = [
        _element("source", "", {"@type": "unix", "path": SOCKET}),
        _element("source", "", {"@type": "forward", "bind": "127.0.0.1", "port": str(PORT)}),
    ]
    found = routes(task, kind="fluentd")
    for route in found:
        for rule, pattern in (("regexp", route.include), ("exclude", route.exclude)):
            if pattern is not None:
                inner = _indented(_element(rule, "", {"key": "log", "pattern": pattern}))
                parts.append(_element("filter", f"{route.tag}**", {"@type": "grep"}, inner))
    if _adds_metadata(options):
        inner = _indented(_element("record", "", _metadata(task)))
        parts.append(_element("filter", "**", {"@type": "record_transformer"}, inner))
    if included := options.get("config-file-value"):
        parts.append(f"@include {included}\n")
    parts += [_element("match", f"{r.tag}**", r.output) for r in found if r.output]
    return "\n".join(parts)


def _adds_metadata(options: Mapping[str, str]) -> bool:
    return options.get("enable-ecs-log-metadata", "true") == "true"


def _metadata(task: TaskSpec) -> dict[str, str]:
    return {
        "ecs_cluster": task.cluster.rsplit("/", 1)[-1],
        "ecs_task_arn": task.arn,
        "ecs_task_definition": f"{task.family}:{task.version}",
    }


def _section(name: str, members: Mapping[str, str]) -> str:
    return f"[{name}]\n" + "".join(_lines(members))


def _element(name: str, pattern: str, members: Mapping[str, str], inner: str = "") -> str:
    opening = f"<{name} {pattern}>" if pattern else f"<{name}>"
    return f"{opening}\n{''.join(_lines(members))}{inner}</{name}>\n"


def _lines(members: Mapping[str, str]) -> Iterator[str]:
    yield from (f"    {name} {value}\n" for name, value in members.items())


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
