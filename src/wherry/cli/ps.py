"""`wherry ps`: clusters, services and tasks as a table, live while somebody watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from wherry.cli.client import asking, connect
from wherry.cli.options import ClientOptions, decode
from wherry.settings import Settings

_COLOURS = {
    "RUNNING": "green",
    "ACTIVE": "green",
    "HEALTHY": "green",
    "COMPLETED": "green",
    "STOPPED": "dim",
    "INACTIVE": "dim",
    "FAILED": "red",
    "UNHEALTHY": "red",
    "UNKNOWN": "dim",
}
_LEAST = {"TASK": 8, "STATUS": 9, "ADDRESS": 15, "ROLLOUT": 11}
_REFRESH_SECONDS = 1.0
_WIDTH_OF_A_PIPE = 200
"""What is piped on is not cut to the width of a screen."""


def ps(
    *,
    client: ClientOptions | None = None,
    once: Annotated[bool, Parameter(help="Print once instead of keeping the table up to date.")] = False,
) -> None:
    """Show clusters, services and tasks; live in a terminal until Ctrl-C."""
    settings, console = decode(client), Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_A_PIPE)
    with asking(settings):
        show(settings, watch=console.is_terminal and not once, console=console)


def show(settings: Settings, *, watch: bool, console: Console) -> None:
    """Print the tables once, or keep them up to date until Ctrl-C."""
    client = connect(settings, "ecs")
    if not watch:
        console.print(render(client))
        return
    with Live(render(client), console=console, screen=False, auto_refresh=False) as live:
        while True:
            time.sleep(_REFRESH_SECONDS)
            live.update(render(client), refresh=True)


def render(client: Any) -> RenderableType:
    """Ask the API and draw what it says; raises botocore's errors."""
    parts: list[RenderableType] = []
    for cluster in _clusters(client):
        parts.append(_cluster_line(cluster))
        services = _services(client, cluster["clusterArn"])
        tasks = _tasks(client, cluster["clusterArn"])
        if services:
            parts.append(_service_table(services))
        if tasks:
            parts.append(_task_table(tasks))
    return Group(*parts) if parts else Text("No clusters. Create one: aws ecs create-cluster --cluster-name NAME")


def _clusters(client: Any) -> list[dict[str, Any]]:
    arns = list(_pages(client, "list_clusters", "clusterArns"))
    found: list[dict[str, Any]] = []
    for batch in _batches(arns, 100):
        found += client.describe_clusters(clusters=batch)["clusters"]
    return sorted(found, key=lambda cluster: str(cluster["clusterName"]))


def _services(client: Any, cluster: str) -> list[dict[str, Any]]:
    arns = list(_pages(client, "list_services", "serviceArns", cluster=cluster))
    found: list[dict[str, Any]] = []
    for batch in _batches(arns, 10):
        found += client.describe_services(cluster=cluster, services=batch)["services"]
    return found


def _tasks(client: Any, cluster: str) -> list[dict[str, Any]]:
    arns = list(_pages(client, "list_tasks", "taskArns", cluster=cluster))
    found: list[dict[str, Any]] = []
    for batch in _batches(arns, 100):
        found += client.describe_tasks(cluster=cluster, tasks=batch)["tasks"]
    return sorted(found, key=lambda task: (str(task.get("group")), str(task["taskArn"])))


def _pages(client: Any, operation: str, member: str, **parameters: str) -> Iterator[str]:
    for page in client.get_paginator(operation).paginate(**parameters):
        yield from page[member]


def _batches(arns: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(arns), size):
        yield arns[start : start + size]


def _cluster_line(cluster: dict[str, Any]) -> Text:
    text = Text.assemble(("● ", _COLOURS.get(cluster["status"], "yellow")), (cluster["clusterName"], "bold"))
    services, running, pending = (
        cluster[name] for name in ("activeServicesCount", "runningTasksCount", "pendingTasksCount")
    )
    text.append(f"  services: {services}, tasks running: {running}, pending: {pending}", "dim")
    return text


def _service_table(services: list[dict[str, Any]]) -> Table:
    table = _table("SERVICE", "STATUS", "DESIRED", "RUNNING", "PENDING", "TASK DEFINITION", "ROLLOUT")
    for service in services:
        rollouts = [deployment.get("rolloutState", "") for deployment in service.get("deployments", [])]
        table.add_row(
            service["serviceName"],
            _status(service["status"]),
            str(service["desiredCount"]),
            str(service["runningCount"]),
            str(service["pendingCount"]),
            service.get("taskDefinition", "").rsplit("/", 1)[-1],
            _status(rollouts[0] if rollouts else ""),
        )
    return table


def _task_table(tasks: list[dict[str, Any]]) -> Table:
    table = _table("TASK", "GROUP", "TASK DEFINITION", "STATUS", "HEALTH", "ADDRESS", "ZONE")
    for task in tasks:
        table.add_row(
            task["taskArn"].rsplit("/", 1)[-1],
            task.get("group", ""),
            task["taskDefinitionArn"].rsplit("/", 1)[-1],
            _status(task["lastStatus"]),
            _status(task.get("healthStatus", "UNKNOWN")),
            address(task),
            task.get("availabilityZone", ""),
        )
    return table


def _table(*titles: str) -> Table:
    """Make a table without broken words: where the screen is narrow, long names are cut and statuses are not."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True, min_width=_LEAST.get(title))
    return table


def address(task: dict[str, Any]) -> str:
    """Find the private address of a described task; empty while it has none."""
    for attachment in task.get("attachments", []):
        for detail in attachment.get("details", []):
            if detail["name"] == "privateIPv4Address":
                return str(detail["value"])
    return ""


def _status(status: str) -> Text:
    return Text(status, _COLOURS.get(status, "yellow"))
