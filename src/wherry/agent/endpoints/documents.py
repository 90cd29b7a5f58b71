"""The JSON of the metadata endpoints, versions 3 and 4 (reference 14.2). Pure.

What the engine says of a container comes in its own shape, that of GET /containers/{id}/json.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from wherry.agent.memory import Assignment
from wherry.agent.progress import ContainerView, Phase, View
from wherry.agent.runtime.base import Storage
from wherry.agent.sandbox.clock import ClockDrift
from wherry.agent.spec import ContainerSpec, Eni, TaskSpec

Inspected = Mapping[str, Any]
Document = dict[str, Any]

OWN_LABELS = ("wherry.",)
"""How the labels begin that an agent knows its containers by; they are nobody else's business."""
OWN_LOG_OPTIONS = frozenset({"awslogs-endpoint", "awslogs-credentials-endpoint"})
"""Log options that lead back to the agent."""
OWN_MOUNTS = frozenset({"/etc/hosts", "/etc/resolv.conf"})
_MIB = 1024 * 1024


def container(view: View, one: ContainerView, inspected: Inspected | None, *, version: int) -> Document:
    """Describe a container; `inspected` is None while the engine has none of it."""
    task, spec = view.assignment.spec, one.spec
    said: Inspected = inspected or {}
    state: Inspected = said.get("State", {})
    config: Inspected = said.get("Config", {})
    limits = {"CPU": spec.cpu_shares, "Memory": None if spec.memory is None else spec.memory // _MIB}
    document = {
        "DockerId": one.memory.runtime_id or "",
        "Name": spec.name,
        "DockerName": str(said.get("Name", "")).removeprefix("/"),
        "Image": spec.image,
        "ImageID": said.get("Image", ""),
        "Ports": _ports(spec),
        "Labels": {
            name: value for name, value in (config.get("Labels") or {}).items() if not name.startswith(OWN_LABELS)
        },
        "DesiredStatus": _desired(view.assignment),
        "KnownStatus": _phase(one, state).name.replace("NEW", "NONE"),
        "ExitCode": one.memory.end.code if one.memory.end is not None else None,
        "Limits": _present(limits),
        "CreatedAt": _time(said.get("Created")),
        "StartedAt": _time(state.get("StartedAt")),
        "FinishedAt": _time(state.get("FinishedAt")),
        "Type": "NORMAL",
        "Health": _health(one, state),
        "Volumes": _volumes(said.get("Mounts") or ()),
        "Networks": [network(task, version=version)] if task.eni is not None else [],
    }
    if version >= 4:
        log = said.get("HostConfig", {}).get("LogConfig", {})
        options = {name: text for name, text in (log.get("Config") or {}).items() if name not in OWN_LOG_OPTIONS}
        document |= {
            "LogDriver": log.get("Type"),
            "LogOptions": options,
            "ContainerARN": spec.arn,
            "RestartCount": None if spec.restart_policy is None else one.memory.restarts,
        }
    return _without_empty(document, keep={"DockerId", "DockerName", "ImageID", "Limits"})


def task(
    view: View,
    containers: Iterable[Document],
    *,
    version: int,
    storage: Storage | None = None,
    drift: ClockDrift | None = None,
) -> Document:
    """Describe a task with its containers; what is known of the host's disk and clock is for Fargate alone."""
    assignment, spec = view.assignment, view.assignment.spec
    facts = [one.memory for one in view.containers]
    ends = [one.end.at for one in facts if one.end is not None and one.end.at is not None]
    document: Document = {
        # On Fargate the cluster is an ARN, on an instance the agent's own word for it: its name.
        "Cluster": spec.cluster if spec.launch_type == "FARGATE" else spec.cluster.rsplit("/", 1)[-1],
        "TaskARN": spec.arn,
        "Family": spec.family,
        "Revision": spec.version,
        "DesiredStatus": _desired(assignment),
        "KnownStatus": _known(view),
        "Limits": _present({"CPU": spec.cpu, "Memory": spec.memory_mib}),
        "PullStartedAt": _rfc3339(min(filter(None, (one.pull_started_at for one in facts)), default=None)),
        "PullStoppedAt": _rfc3339(max(filter(None, (one.pull_stopped_at for one in facts)), default=None)),
        "ExecutionStoppedAt": _rfc3339(min(ends, default=None)) if view.stopped else None,
        "AvailabilityZone": spec.availability_zone,
        "Containers": list(containers),
    }
    if version >= 4:
        document |= {
            "LaunchType": spec.launch_type,
            "VPCID": spec.vpc_id,
            "ServiceName": spec.service_name,
            "Group": spec.group,
        }
        if spec.launch_type == "FARGATE":
            document |= {"ClockDrift": _drift(drift), "EphemeralStorageMetrics": _storage(storage)}
    document = _without_empty(document)
    return document | {"FaultInjectionEnabled": spec.fault_injection} if version >= 4 else document


def network(task: TaskSpec, *, version: int) -> Document:
    """Describe the network that the containers of a task share."""
    if task.eni is None:
        return {"NetworkMode": task.network_mode}
    document: Document = {"NetworkMode": task.network_mode, "IPv4Addresses": [task.eni.ipv4_address]}
    return document | _interface(task.eni) if version >= 4 else document


def _interface(eni: Eni) -> Document:
    return {"AttachmentIndex": 0} | _without_empty(
        {
            "MACAddress": eni.mac_address,
            "IPv4SubnetCIDRBlock": str(ipaddress.ip_interface(eni.gateway_cidr).network),
            "DomainNameServers": list(eni.dns_servers),
            "DomainNameSearchList": list(eni.dns_search),
            "PrivateDNSName": eni.private_dns_name,
            "SubnetGatewayIpv4Address": eni.gateway_cidr,
        }
    )


def _ports(spec: ContainerSpec) -> list[Document]:
    # In awsvpc a container's port is the task's.
    return [
        {"ContainerPort": port.container_port, "Protocol": port.protocol, "HostPort": port.container_port}
        for port in spec.ports
    ]


def _volumes(mounts: Iterable[Inspected]) -> list[Document]:
    return [
        _without_empty(
            {"DockerName": mount.get("Name"), "Source": mount["Source"], "Destination": mount["Destination"]}
        )
        for mount in mounts
        if mount["Destination"] not in OWN_MOUNTS
    ]


def _health(one: ContainerView, state: Inspected) -> Document | None:
    if one.spec.health_check is None:
        return None
    results = (state.get("Health") or {}).get("Log") or []
    last = results[-1] if results else {}
    return _without_empty(
        {
            "status": one.health.value,
            "statusSince": _rfc3339(one.health_since),
            "exitCode": last.get("ExitCode"),
            "output": str(last.get("Output", "")).strip(),
        }
    )


def _storage(storage: Storage | None) -> Document | None:
    return None if storage is None else {"Utilized": storage.utilized, "Reserved": storage.reserved}


def _drift(drift: ClockDrift | None) -> Document | None:
    if drift is None:
        return None
    return {
        "ClockErrorBound": drift.error_bound,
        "ReferenceTimestamp": _rfc3339(drift.at),
        "ClockSynchronizationStatus": "SYNCHRONIZED" if drift.synchronized else "NOT_SYNCHRONIZED",
    }


def _desired(assignment: Assignment) -> str:
    return "STOPPED" if assignment.stopping else "RUNNING"


def _phase(one: ContainerView, state: Inspected) -> Phase:
    """Place a container; one that has just started may ask before its agent has heard of it."""
    return Phase.RUNNING if state.get("Running") and one.phase < Phase.RUNNING else one.phase


def _known(view: View) -> str:
    if view.stopped:
        return "STOPPED"
    return min((one.phase for one in view.containers), default=Phase.NEW).name.replace("NEW", "NONE")


def _present(limits: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in limits.items() if value}


def _time(text: str | None) -> str | None:
    """Pass on what the engine writes as RFC 3339 with nanoseconds; the year 1 is its way to say never."""
    return None if text is None or text.startswith("0001-") else text


def _rfc3339(at: float | None) -> str | None:
    """Write epoch seconds as Go does: UTC, and no more decimals than there are."""
    if at is None:
        return None
    text = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "Z"


def _without_empty(document: Document, keep: Iterable[str] = ()) -> Document:
    """Leave out what says nothing, as the stock agent does; zero and False say something."""
    return {
        name: value for name, value in document.items() if name in keep or not (value is None or value in ("", [], {}))
    }
