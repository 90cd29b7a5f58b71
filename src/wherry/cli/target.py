"""What SERVICE|TASK on a command line means: the tasks of a service, or one by its ARN, its id or the start of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wherry.cli.failure import CommandFailed

MOST_TASKS = 100


def tasks(client: Any, name: str, cluster: str) -> list[dict[str, Any]]:
    """Find the tasks that are meant, running ones before stopped ones; raises `CommandFailed` and botocore's errors."""
    if "/" not in name or ":service/" in name:
        described = client.describe_services(cluster=cluster, services=[name])["services"]
        if described and described[0]["status"] != "INACTIVE":
            return _of_service(client, described[0]["serviceName"], cluster)
    task_id = name.rsplit("/", 1)[-1]
    meant = [arn for arn in _arns(client, cluster) if arn.rsplit("/", 1)[-1].startswith(task_id)]
    if not meant:
        raise CommandFailed(
            f"The cluster {cluster} has no service and no task {name}.", "'wherry ps' shows what there is."
        )
    if len(meant) > 1:
        raise CommandFailed(f"{len(meant)} tasks begin with {name}.", "Write more of the id.")
    return _described(client, meant, cluster)


def _of_service(client: Any, service: str, cluster: str) -> list[dict[str, Any]]:
    return _described(client, list(_arns(client, cluster, serviceName=service))[:MOST_TASKS], cluster)


def _arns(client: Any, cluster: str, **filters: str) -> Iterator[str]:
    for status in ("RUNNING", "STOPPED"):
        for page in client.get_paginator("list_tasks").paginate(cluster=cluster, desiredStatus=status, **filters):
            yield from page["taskArns"]


def _described(client: Any, arns: list[str], cluster: str) -> list[dict[str, Any]]:
    described = client.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    return sorted(described, key=lambda task: arns.index(task["taskArn"]))
