"""What a task is made of at birth, and the arithmetic of its address and its provider."""

from __future__ import annotations

from collections import Counter as Tally
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import (
    DIGEST,
    NOW,
    SCOPE,
    Counter,
    a_container_definition,
    a_network_configuration,
    a_task_definition,
)

from wherry.model.birth import new_task, pinned, task_size
from wherry.model.cluster import CapacityProviderStrategyItem
from wherry.model.network import address_after, free_address, private_dns_name, usable_addresses
from wherry.model.strategy import next_provider
from wherry.model.task import AttachmentStatus, ContainerOverride, DesiredStatus, Task, TaskOverride, TaskStatus
from wherry.model.taskdef import TaskDefinition


def born(definition: TaskDefinition, **changes: object) -> Task:
    common = {
        "scope": SCOPE,
        "cluster_arn": SCOPE.cluster("default"),
        "now": NOW,
        "entropy": Counter(),
        "group": "family:web",
        "launch_type": "FARGATE",
        "platform_version": "1.4.0",
        "network_configuration": a_network_configuration(),
        "overrides": TaskOverride(),
        "tags": (),
    }
    return new_task(definition, **common | changes)


def test_a_new_task_waits_for_a_host() -> None:
    task = born(a_task_definition())
    assert (task.last_status, task.desired_status) == (TaskStatus.PROVISIONING, DesiredStatus.RUNNING)
    assert task.container_instance_arn is None
    assert task.attachment.status is AttachmentStatus.PRECREATED
    assert task.containers[0].container_arn.startswith(SCOPE.container("default", task.task_id, ""))
    assert (task.cpu, task.memory) == (256, 512)


def test_overrides_win_over_the_definition() -> None:
    override = ContainerOverride(name="app", cpu=64, memory=256)
    task = born(
        a_task_definition(), overrides=TaskOverride(container_overrides=(override,), cpu=".5 vCPU", memory="1 GB")
    )
    assert (task.cpu, task.memory) == (512, 1024)
    assert (task.containers[0].cpu, task.containers[0].memory) == ("64", "256")


def test_a_task_without_a_size_reserves_what_its_containers_ask() -> None:
    containers = (
        a_container_definition(name="a", cpu=100, memory=300, memory_reservation=100),
        a_container_definition(name="b", cpu=28, memory=200),
    )
    assert task_size(a_task_definition(cpu=None, memory=None, container_definitions=containers), TaskOverride()) == (
        128,
        300,
    )


def test_an_image_is_pinned_to_the_digest_of_its_revision() -> None:
    task = born(a_task_definition(), image_digests={"app": DIGEST})
    assert task.containers[0].image == f"example/app@{DIGEST}"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nginx", f"nginx@{DIGEST}"),
        ("registry:5000/team/app:1.2", f"registry:5000/team/app@{DIGEST}"),
        ("registry:5000/app", f"registry:5000/app@{DIGEST}"),
        ("app@sha256:00", "app@sha256:00"),
    ],
)
def test_a_pinned_image_keeps_its_repository(image: str, expected: str) -> None:
    assert pinned(image, DIGEST) == expected


@given(st.integers(20, 28), st.data())
def test_addresses_go_round_before_one_comes_again(prefix: int, data: st.DataObject) -> None:
    cidr = f"172.31.0.0/{prefix}"
    usable = usable_addresses(cidr)
    start = data.draw(st.integers(0, usable))
    given_out: list[str] = []
    for _ in range(min(usable, 40)):
        address = free_address(cidr, set().__contains__, start=start)
        assert address is not None
        assert IPv4Address(address) in IPv4Network(cidr)
        given_out.append(address)
        start = address_after(cidr, address)
    assert len(set(given_out)) == len(given_out)


def test_a_full_subnet_has_no_address() -> None:
    cidr = "172.31.0.0/28"
    taken: set[str] = set()
    for _ in range(usable_addresses(cidr)):
        taken.add(str(free_address(cidr, taken.__contains__)))
    assert len(taken) == 11
    assert free_address(cidr, taken.__contains__) is None


def test_the_private_name_is_that_of_ec2() -> None:
    assert private_dns_name("172.31.0.4", "us-east-1") == "ip-172-31-0-4.ec2.internal"
    assert private_dns_name("172.31.0.4", "eu-west-1") == "ip-172-31-0-4.eu-west-1.compute.internal"


def test_the_base_of_a_strategy_comes_first_and_then_the_ratio() -> None:
    strategy = (
        CapacityProviderStrategyItem(capacity_provider="FARGATE", base=2, weight=1),
        CapacityProviderStrategyItem(capacity_provider="FARGATE_SPOT", weight=3),
    )
    counts: Tally[str] = Tally()
    order = []
    for _ in range(10):
        order.append(next_provider(strategy, counts))
        counts[order[-1]] += 1
    assert order[:2] == ["FARGATE", "FARGATE"]
    assert counts == {"FARGATE": 4, "FARGATE_SPOT": 6}


def test_a_strategy_of_one_provider_needs_no_weight() -> None:
    assert next_provider((CapacityProviderStrategyItem(capacity_provider="FARGATE"),), {"FARGATE": 5}) == "FARGATE"
