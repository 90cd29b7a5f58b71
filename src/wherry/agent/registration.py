"""What an agent says of its host when it registers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wherry.agent.link.base import UnreachableError
from wherry.agent.runtime.base import Capacity
from wherry.agent.spec import Struct
from wherry.model.instance import EXECUTE_COMMAND

POOL = "wherry.pool"
ZONES = "wherry.availability-zones"
"""Ours: which pool the host joins, and the zones in which it stands."""

RESERVED_TCP_PORTS = ("22", "2375", "2376", "51678", "51679")
LOG_DRIVERS = ("awslogs", "fluentd", "gelf", "journald", "json-file", "splunk", "syslog")
_ECS = "ecs.capability."
_COM = "com.amazonaws.ecs.capability."
_CAPABILITIES = (
    f"{_ECS}task-eni",
    f"{_ECS}task-cpu-mem-limit",
    f"{_ECS}container-health-check",
    f"{_ECS}container-ordering",
    f"{_ECS}execute-command",
    f"{_ECS}full-sync",
    f"{_ECS}private-registry-authentication.secretsmanager",
    f"{_ECS}execution-role-ecr-pull",
    f"{_COM}ecr-auth",
    f"{_COM}privileged-container",
    f"{_ECS}execution-role-awslogs",
    f"{_ECS}secrets.asm.bootstrap.log-driver",
    f"{_ECS}secrets.ssm.bootstrap.log-driver",
    *(f"{_COM}logging-driver.{driver}" for driver in LOG_DRIVERS),
    EXECUTE_COMMAND,
    *(f"{_COM}docker-remote-api.1.{minor}" for minor in range(17, 42)),
)


class Host(Struct, frozen=True):
    """What is offered: CPU in units (1024 a core), memory in MiB, after whatever is kept back."""

    cpu: int
    memory: int
    architecture: str
    engine_version: str


def host(capacity: Capacity, *, cpu: int | None, memory: int | None, reserved_memory: int) -> Host:
    """Offer what the engine has, or what was configured instead, less `reserved_memory` (MiB)."""
    whole = capacity.memory_mib if memory is None else memory
    return Host(
        cpu=capacity.cpu if cpu is None else cpu,
        memory=max(0, whole - reserved_memory),
        architecture=_ARCHITECTURES.get(capacity.architecture, capacity.architecture),
        engine_version=capacity.engine_version,
    )


def request(
    offered: Host, *, cluster: str, version: str, instance_arn: str | None, zones: tuple[str, ...]
) -> dict[str, Any]:
    """Write the parameters of RegisterContainerInstance; `instance_arn` is that of an earlier registration."""
    attributes = {
        POOL: "FARGATE",
        "ecs.os-type": "linux",
        "ecs.cpu-architecture": offered.architecture,
    } | ({ZONES: ",".join(zones)} if zones else {})
    parameters: dict[str, Any] = {
        "cluster": cluster,
        "totalResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": offered.cpu},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": offered.memory},
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": list(RESERVED_TCP_PORTS)},
            {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
        ],
        "versionInfo": {
            "agentVersion": version,
            "agentHash": "wherry",
            "dockerVersion": docker_version(offered),
        },
        "attributes": [
            *({"name": name, "value": value} for name, value in attributes.items()),
            *({"name": name} for name in _CAPABILITIES),
        ],
    }
    return parameters | ({"containerInstanceArn": instance_arn} if instance_arn else {})


def instance_arn(answer: Mapping[str, Any]) -> str:
    """Read who we are out of the answer; raises `UnreachableError` for one that does not say so."""
    instance = answer.get("containerInstance")
    arn = instance.get("containerInstanceArn") if isinstance(instance, dict) else None
    if not isinstance(arn, str) or _INSTANCE_ARN.fullmatch(arn) is None:
        raise UnreachableError(f"RegisterContainerInstance was answered without a container instance: {arn!r}")
    return arn


def endpoint(answer: Mapping[str, Any], name: str) -> str:
    """Read an address out of the answer of DiscoverPollEndpoint; raises `UnreachableError` if it is not there."""
    url = answer.get(name)
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise UnreachableError(f"DiscoverPollEndpoint was answered with {name} {url!r}")
    return url


def docker_version(offered: Host) -> str:
    """The engine's version as agents write it."""
    return f"DockerVersion: {offered.engine_version}"


_INSTANCE_ARN = re.compile(r"arn:[a-z-]+:ecs:[a-z0-9-]*:[0-9]*:container-instance/[A-Za-z0-9_.-]+/[A-Za-z0-9-]+")
_ARCHITECTURES = {"amd64": "x86_64", "aarch64": "arm64"}
