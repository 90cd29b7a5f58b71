"""Short ways to make the nouns of ECS in tests: keyword-only, with defaults that hang together."""

from __future__ import annotations

import os
from typing import Any

from wherry.keyring import Keyring
from wherry.model.arn import FARGATE_POOL, Scope
from wherry.model.cluster import Cluster
from wherry.model.instance import ContainerInstance
from wherry.model.network import NetworkInterface, SecurityGroup, Subnet, Vpc
from wherry.model.service import Deployment, Service
from wherry.model.task import (
    Attachment,
    AwsvpcConfiguration,
    Container,
    NetworkConfiguration,
    Task,
)
from wherry.model.taskdef import ContainerDefinition, TaskDefinition
from wherry.store.logs import LogStore

SCOPE = Scope(region="us-east-1", account_id="000000000000")
NOW = 1_700_000_000.0
NO_LOGS = LogStore.in_memory()
"""For all tests that are not about logs."""
KEYRING = Keyring({"00000001": bytes(32)}, entropy=os.urandom)
DIGEST = "sha256:" + "ab" * 32


class Counter:
    """Entropy that repeats itself in every run and never within one."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(8, "big").rjust(size, b"\x01")[-size:]


def a_cluster(*, name: str = "default", **changes: Any) -> Cluster:
    return Cluster(**{"cluster_arn": SCOPE.cluster(name), "cluster_name": name, "created_at": NOW} | changes)


def a_container_definition(*, name: str = "app", **changes: Any) -> ContainerDefinition:
    return ContainerDefinition(**{"name": name, "image": f"example/{name}:1"} | changes)


def a_task_definition(*, family: str = "web", revision: int = 1, **changes: Any) -> TaskDefinition:
    return TaskDefinition(
        **{
            "task_definition_arn": SCOPE.task_definition(family, revision),
            "family": family,
            "revision": revision,
            "container_definitions": (a_container_definition(),),
            "network_mode": "awsvpc",
            "requires_compatibilities": ("FARGATE",),
            "compatibilities": ("EC2", "FARGATE"),
            "cpu": "256",
            "memory": "512",
            "registered_at": NOW,
        }
        | changes
    )


def a_container(*, name: str = "app", **changes: Any) -> Container:
    arn = SCOPE.container("default", "0" * 32, f"00000000-0000-4000-8000-{name[:12].encode().hex():0>12}")
    return Container(**{"container_arn": arn, "name": name, "image": f"example/{name}:1"} | changes)


def a_network_configuration(*, subnets: tuple[str, ...] = ("subnet-a",), **changes: Any) -> NetworkConfiguration:
    return NetworkConfiguration(awsvpc_configuration=AwsvpcConfiguration(subnets=subnets, **changes))


def a_task(*, number: int = 1, cluster: str = "default", **changes: Any) -> Task:
    return Task(
        **{
            "task_arn": SCOPE.task(cluster, f"{number:032x}"),
            "cluster_arn": SCOPE.cluster(cluster),
            "task_definition_arn": SCOPE.task_definition("web", 1),
            "family": "web",
            "group": "family:web",
            "platform_version": "1.4.0",
            "platform_family": "Linux",
            "cpu": 256,
            "memory": 512,
            "containers": (a_container(),),
            "attachment": Attachment(id=f"00000000-0000-4000-9000-{number:012x}"),
            "network_configuration": a_network_configuration(),
            "created_at": NOW,
        }
        | changes
    )


def an_interface(task: Task, *, number: int = 1, **changes: Any) -> NetworkInterface:
    return NetworkInterface(
        **{
            "network_interface_id": f"eni-{number}",
            "subnet_id": "subnet-a",
            "vpc_id": "vpc-1",
            "availability_zone": "us-east-1a",
            "private_ip_address": f"172.31.0.{number}",
            "mac_address": "02:00:00:00:00:01",
            "security_group_ids": (),
            "task_arn": task.task_arn,
            "attachment_id": "" if task.attachment is None else task.attachment.id,
        }
        | changes
    )


def a_service(*, name: str = "web", cluster: str = "default", **changes: Any) -> Service:
    return Service(
        **{
            "service_arn": SCOPE.service(cluster, name),
            "service_name": name,
            "cluster_arn": SCOPE.cluster(cluster),
            "desired_count": 1,
            "task_definition": SCOPE.task_definition("web", 1),
            "platform_version": "1.4.0",
            "platform_family": "Linux",
            "network_configuration": a_network_configuration(),
            "created_at": NOW,
        }
        | changes
    )


def a_deployment(*, number: int = 1, service: str = "web", cluster: str = "default", **changes: Any) -> Deployment:
    return Deployment(
        **{
            "deployment_id": f"ecs-svc/{number:019d}",
            "service_deployment_arn": SCOPE.service_deployment(cluster, service, f"{number:021d}"),
            "service_arn": SCOPE.service(cluster, service),
            "cluster_arn": SCOPE.cluster(cluster),
            "service_revision_arn": SCOPE.service_revision(cluster, service, f"{number:019d}"),
            "task_definition": SCOPE.task_definition("web", number),
            "created_at": NOW,
            "updated_at": NOW,
        }
        | changes
    )


def an_instance(*, number: int = 1, **changes: Any) -> ContainerInstance:
    return ContainerInstance(
        **{
            "container_instance_arn": SCOPE.container_instance(FARGATE_POOL, f"{number:032x}"),
            "cluster_arn": SCOPE.cluster(FARGATE_POOL),
            "cpu": 2048,
            "memory": 4096,
            "agent_connected": True,
            "agent_connected_at": NOW,
            "registered_at": NOW,
        }
        | changes
    )


def a_vpc(**changes: Any) -> Vpc:
    return Vpc(**{"vpc_id": "vpc-1", "cidr_block": "172.31.0.0/16", "is_default": True} | changes)


def a_subnet(*, zone: str = "a", **changes: Any) -> Subnet:
    return Subnet(
        **{
            "subnet_id": f"subnet-{zone}",
            "vpc_id": "vpc-1",
            "cidr_block": f"172.31.{16 * (ord(zone) - ord('a'))}.0/20",
            "availability_zone": f"us-east-1{zone}",
            "default_for_az": True,
        }
        | changes
    )


def a_security_group(**changes: Any) -> SecurityGroup:
    return SecurityGroup(
        **{
            "group_id": "sg-1",
            "group_name": "default",
            "description": "default VPC security group",
            "vpc_id": "vpc-1",
        }
        | changes
    )
