"""Tasks in the payload of ACS: with their containers, volumes, network interface and credentials."""

from __future__ import annotations

from typing import Any

from wherry.model.base import Value
from wherry.model.protocol.container import PayloadContainer
from wherry.model.protocol.members import Natural
from wherry.model.protocol.volume import PayloadAttachment, PayloadVolume


class Ipv4Assignment(Value, frozen=True):
    """An address of an interface."""

    primary: bool
    private_address: str


class PayloadEni(Value, frozen=True):
    """The elastic network interface of a task; `subnet_gateway_ipv4_address` carries the prefix: "172.31.0.1/20"."""

    attachment_arn: str
    ec2_id: str
    mac_address: str
    ipv4_addresses: tuple[Ipv4Assignment, ...]
    subnet_gateway_ipv4_address: str
    private_dns_name: str = ""
    domain_name: tuple[str, ...] = ()
    domain_name_servers: tuple[str, ...] = ()


class RoleCredentials(Value, frozen=True):
    """Temporary credentials of a role of a task; `expiration` as AWS writes it, "2026-11-26T12:00:00Z".

    `role_type` is TaskApplication (the task role) or TaskExecution. A task's credentials of one type keep their
    `credentials_id` when they are refreshed. No text shows what is secret in them.
    """

    credentials_id: str
    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: str
    role_arn: str
    role_type: str = ""

    def __repr__(self) -> str:
        return f"RoleCredentials({self.role_type} {self.role_arn})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("role_type", self.role_type), ("role_arn", self.role_arn)]


class PayloadTask(Value, frozen=True):
    """A task for an instance. `cpu` in vCPU, `memory` in MiB; absent when the task has no limit of its own.

    Wherry's own, which stock agents pass over: `started` tells that the task has been RUNNING, and so must not be
    begun; `availability_zone` and `vpc_id` are for the task's metadata.
    """

    arn: str
    desired_status: str
    overrides: str
    family: str = ""
    version: str = ""
    task_cluster_arn: str = ""
    containers: tuple[PayloadContainer, ...] = ()
    elastic_network_interfaces: tuple[PayloadEni, ...] = ()
    volumes: tuple[PayloadVolume, ...] = ()
    attachments: tuple[PayloadAttachment, ...] = ()
    ephemeral_storage_gib: Natural | None = None
    pid_mode: str | None = None
    ipc_mode: str | None = None
    cpu: float | None = None
    memory: Natural | None = None
    network_mode: str | None = None
    launch_type: str | None = None
    service_name: str | None = None
    group: str | None = None
    role_credentials: RoleCredentials | None = None
    execution_role_credentials: RoleCredentials | None = None
    enable_fault_injection: bool = False
    started: bool = False
    availability_zone: str = ""
    vpc_id: str = ""
