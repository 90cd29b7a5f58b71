"""The rules, over a ledger and what was seen. Each yields a sentence for everything that breaks it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tests.e2e.chaos.ledger import Ledger, ServicePromise, Sighting

ORDER = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")
KILLED = 137
MINIMUM, MAXIMUM = 1.0, 2.0
"""Healthy percent of the services of the load, as shares."""


def never_back(seen: Mapping[str, Sighting]) -> Iterator[str]:
    """`lastStatus` only goes forward."""
    for arn, sighting in seen.items():
        places = [ORDER.index(status) for status in sighting.statuses]
        if places != sorted(places):
            yield f"{arn} went back: {sighting.statuses}"


def one_container_each(seen: Mapping[str, Sighting]) -> Iterator[str]:
    """A task has one container for its whole life."""
    for arn, sighting in seen.items():
        if len(sighting.containers) > 1:
            yield f"{arn} had several containers: {sorted(sighting.containers)}"


def everything_explained(ledger: Ledger, seen: Mapping[str, Sighting]) -> Iterator[str]:
    """No task ends without a reason: it was asked to, it ended by itself, or somebody killed it."""
    for arn, sighting in seen.items():
        task = sighting.latest
        if task.get("lastStatus") != "STOPPED" or arn in ledger.killed:
            continue
        run, code = ledger.run_of(arn), task.get("stopCode")
        if _engine_lost_track(ledger, task):
            continue
        if code == "ServiceSchedulerInitiated" and run is None:
            continue
        if code == "UserInitiated" and run is not None and run.stopped:
            continue
        if code == "EssentialContainerExited" and run is not None and run.exits is not None:
            exited = [container.get("exitCode") for container in task["containers"]]
            if exited == [run.exits] or (run.stopped and exited == [0]):
                continue
            yield f"{arn} should have exited with {run.exits}: {exited}, {task.get('stoppedReason')}"
            continue
        ends = [(container.get("exitCode"), container.get("reason")) for container in task["containers"]]
        whose = task.get("group"), task.get("startedBy")
        yield f"{arn} of {whose} stopped for no reason of ours: {code}, {task.get('stoppedReason')}, {ends}"


def _engine_lost_track(ledger: Ledger, task: Mapping[str, Any]) -> bool:
    """Say whether the engine was killed while only it knew of the task: in the middle of a start, or as it exited.

    It leaves half a container that it will not start any more, and tells an exit that it has missed as 255.
    """
    failed = task.get("stopCode") == "TaskFailedToStart"
    missed = any(container.get("exitCode") in {None, 255} for container in task["containers"])
    created, stopped = task["createdAt"].timestamp(), task["stoppedAt"].timestamp()
    return (failed or missed) and any(created < end and stopped > began for began, end in ledger.outages)


def all_runs_there(ledger: Ledger, started: Mapping[str, set[str]]) -> Iterator[str]:
    """Every acknowledged RunTask is there, once; `started` are the tasks by what started them."""
    for run in ledger.runs:
        if started[run.token] != set(run.arns):
            yield f"RunTask {run.token} promised {sorted(run.arns)}, there are {sorted(started[run.token])}"


def as_promised(promise: ServicePromise, service: Mapping[str, Any], tasks: list[Mapping[str, Any]]) -> Iterator[str]:
    """At rest a service is what the last acknowledged calls made it."""
    if promise.deleted:
        if service["status"] != "INACTIVE" or tasks:
            yield f"service {promise.name} was deleted, but is {service['status']} with {len(tasks)} tasks"
        return
    if service["desiredCount"] != promise.desired or len(tasks) != promise.desired:
        yield f"service {promise.name} is to have {promise.desired}: {service['desiredCount']}, {len(tasks)} run"
    others = {task["taskDefinitionArn"] for task in tasks} - {promise.definition}
    if others:
        yield f"service {promise.name} is to run {promise.definition}, not {others}"


def within_bounds(promise: ServicePromise, *, wanted: int, running: int) -> Iterator[str]:
    """Never more tasks that are to run than the ceiling; never fewer running than the floor unless some were killed."""
    ceiling = math.floor(promise.high * MAXIMUM)
    if wanted > ceiling:
        yield f"service {promise.name} has {wanted} tasks, more than {ceiling}"
    floor = math.ceil(promise.low * MINIMUM)
    if running < floor and not promise.hurt:
        yield f"service {promise.name} has {running} running tasks, fewer than {floor}"
