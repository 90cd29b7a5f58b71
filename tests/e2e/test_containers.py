"""What a task definition says of a container is so inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.e2e.lab import Cluster, Wherry, address, container, eventually, fetch, inside, inspected, reach
from tests.e2e.pictures import bare, script, web

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def pair(cluster: Cluster) -> dict[str, Any]:
    """Run a task of two containers, one server each."""
    front = web("front", page="front", port=8081)
    return cluster.running(cluster.run(cluster.register("pair", web("back", page="back"), front)))


@pytest.mark.shows(
    "RegisterTaskDefinition.networkMode",
    "ContainerDefinition.portMappings",
    "PortMapping.containerPort",
    "PortMapping.protocol",
)
def test_a_task_is_reached_from_the_host_by_its_address(pair: dict[str, Any]) -> None:
    reach(address(pair), "back")
    reach(address(pair), "front", port=8081)


def test_containers_of_a_task_meet_on_localhost(pair: dict[str, Any]) -> None:
    reach(address(pair), "back")
    front = container(pair, "front")["runtimeId"]
    assert inside(front, "timeout", "5", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/") == "back"


def test_a_task_is_reached_from_another_task(pair: dict[str, Any], cluster: Cluster) -> None:
    reach(address(pair), "back")
    asks = f'[ "$(timeout 5 wget -q -O - http://{address(pair)}:8080/)" = back ]'
    task = cluster.stopped(cluster.run(cluster.register("caller", script("main", asks))))
    assert container(task, "main")["exitCode"] == 0


def test_the_interface_of_a_task_is_described(pair: dict[str, Any], shared: Wherry) -> None:
    (attachment,) = pair["attachments"]
    details = {detail["name"]: detail["value"] for detail in attachment["details"]}
    (found,) = shared.client("ec2").describe_network_interfaces(NetworkInterfaceIds=[details["networkInterfaceId"]])[
        "NetworkInterfaces"
    ]
    assert found["PrivateIpAddress"] == details["privateIPv4Address"]
    assert found["SubnetId"] == details["subnetId"]
    back = container(pair, "back")
    assert back["networkInterfaces"][0]["privateIpv4Address"] == address(pair)
    assert details["macAddress"] in inside(back["runtimeId"], "cat", "/sys/class/net/eth0/address")


def test_a_container_finds_its_names_and_its_resolver(pair: dict[str, Any]) -> None:
    back = container(pair, "back")["runtimeId"]
    hostname = f"ip-{address(pair).replace('.', '-')}"
    assert inside(back, "hostname").startswith(hostname)
    assert inside(back, "cat", "/etc/hostname").startswith(hostname)
    hosts = inside(back, "cat", "/etc/hosts").splitlines()
    assert "127.0.0.1 localhost" in hosts
    assert any(line.split()[0] == address(pair) and hostname in line for line in hosts)
    assert "127.0.0.11" not in inside(back, "cat", "/etc/resolv.conf")


def test_two_tasks_never_share_an_address(pair: dict[str, Any], cluster: Cluster) -> None:
    arns = [cluster.run(cluster.register("addresses", web(page="other"))) for _ in range(3)]
    tasks = [cluster.running(arn) for arn in arns]
    assert len({address(task) for task in [pair, *tasks]}) == 4
    for arn in arns:
        cluster.stop(arn)


@pytest.fixture(scope="module")
def dressed(cluster: Cluster) -> dict[str, Any]:
    """Run a task whose only container has every plain field set, and overrides on top."""
    definition = web(
        "main",
        entryPoint=["/server"],
        command=["an", "argument"],
        workingDirectory="/tmp",
        cpu=128,
        memory=64,
        memoryReservation=32,
        dockerLabels={"team": "blue", "wherry.instance": "forged"},
        ulimits=[{"name": "nofile", "softLimit": 1000, "hardLimit": 2000}],
        dnsServers=["192.0.2.53"],
        dnsSearchDomains=["example.internal"],
        systemControls=[{"namespace": "net.core.somaxconn", "value": "321"}],
        linuxParameters={"capabilities": {"drop": ["NET_RAW"]}},
    )
    arn = cluster.run(
        cluster.register("dressed", definition),
        overrides={
            "containerOverrides": [
                {
                    "name": "main",
                    "command": ["overridden"],
                    "environment": [{"name": "PAGE", "value": "overridden"}, {"name": "MORE", "value": "a b=c"}],
                }
            ]
        },
    )
    return cluster.running(arn)


def main_of(task: dict[str, Any]) -> str:
    return str(container(task, "main")["runtimeId"])


@pytest.mark.shows("ContainerDefinition.environment", "KeyValuePair")
def test_environment_is_the_images_then_the_definitions_then_the_overrides(dressed: dict[str, Any]) -> None:
    answer = eventually("the server", lambda: fetch(address(dressed), "/cgi-bin/env")) or ""
    variables = dict(line.split("=", 1) for line in answer.splitlines())
    assert variables["FROM_IMAGE"] == "yes"
    assert variables["PORT"] == "8080"
    assert variables["MORE"] == "a b=c"
    reach(address(dressed), "overridden")


@pytest.mark.shows(
    "ContainerDefinition.entryPoint", "ContainerDefinition.command", "ContainerDefinition.workingDirectory"
)
def test_entry_point_command_and_working_directory(dressed: dict[str, Any]) -> None:
    arguments = inside(main_of(dressed), "cat", "/proc/1/cmdline").split("\0")
    assert arguments[-3:] == ["/server", "overridden", ""]
    assert inspected(main_of(dressed))["Config"]["WorkingDir"] == "/tmp"


@pytest.mark.shows("ContainerDefinition.dockerLabels")
def test_labels_are_the_users_and_ours_where_they_clash(dressed: dict[str, Any], shared: Wherry) -> None:
    labels = inspected(main_of(dressed))["Config"]["Labels"]
    assert labels["team"] == "blue"
    assert labels["wherry.instance"] == shared.instance
    assert labels["com.amazonaws.ecs.task-arn"] == dressed["taskArn"]


@pytest.mark.shows(
    "ContainerDefinition.ulimits",
    "Ulimit",
    "ContainerDefinition.systemControls",
    "SystemControl",
    "ContainerDefinition.linuxParameters",
)
def test_ulimits_system_controls_and_capabilities_hold(dressed: dict[str, Any]) -> None:
    limits = inside(main_of(dressed), "cat", "/proc/1/limits").splitlines()
    assert next(line for line in limits if line.startswith("Max open files")).split()[3:5] == ["1000", "2000"]
    assert inside(main_of(dressed), "cat", "/proc/sys/net/core/somaxconn") == "321"
    status = inside(main_of(dressed), "cat", "/proc/1/status").splitlines()
    effective = int(next(line for line in status if line.startswith("CapEff")).split()[1], 16)
    assert not effective >> 13 & 1  # CAP_NET_RAW


@pytest.mark.shows("ContainerDefinition.dnsServers", "ContainerDefinition.dnsSearchDomains")
def test_the_resolver_is_the_definitions(dressed: dict[str, Any]) -> None:
    assert inside(main_of(dressed), "cat", "/etc/resolv.conf").splitlines() == [
        "search example.internal",
        "nameserver 192.0.2.53",
    ]


@pytest.mark.shows(
    "RegisterTaskDefinition.cpu",
    "RegisterTaskDefinition.memory",
    "ContainerDefinition.cpu",
    "ContainerDefinition.memory",
    "ContainerDefinition.memoryReservation",
)
def test_container_and_task_limits_are_in_the_cgroups(dressed: dict[str, Any]) -> None:
    host = inspected(main_of(dressed))["HostConfig"]
    assert (host["Memory"], host["MemoryReservation"], host["CpuShares"]) == (64 * MIB, 32 * MIB, 128)
    parent = Path("/sys/fs/cgroup")
    if (parent / "cgroup.controllers").exists():
        task = parent / host["CgroupParent"].lstrip("/")
        memory, (quota, period) = (task / "memory.max").read_text(), (task / "cpu.max").read_text().split()
    else:
        task = parent / "memory" / host["CgroupParent"].lstrip("/")
        memory = (task / "memory.limit_in_bytes").read_text()
        task = parent / "cpu" / host["CgroupParent"].lstrip("/")
        quota, period = (task / "cpu.cfs_quota_us").read_text(), (task / "cpu.cfs_period_us").read_text()
    assert int(memory) == 512 * MIB
    assert int(quota) / int(period) == 0.25


@pytest.mark.shows("ContainerDefinition.user")
def test_the_user_is_the_definitions_and_may_listen_on_port_80(cluster: Cluster) -> None:
    command = "id -u; id -g; [ $(id -u):$(id -g) = 1234:5678 ] && exec httpd -f -p 80 -h /www"
    arn = cluster.run(cluster.register("user", script("main", command, user="1234:5678", stopTimeout=2)))
    task = cluster.running(arn)
    status = inside(main_of(task), "cat", "/proc/1/status").splitlines()
    assert next(line for line in status if line.startswith("Uid")).split()[1] == "1234"
    assert next(line for line in status if line.startswith("Gid")).split()[1] == "5678"
    cluster.stop(arn)


@pytest.mark.shows("ContainerDefinition.readonlyRootFilesystem")
@pytest.mark.parametrize(("read_only", "code"), [(True, 1), (False, 0)])
def test_a_read_only_root_cannot_be_written_to(cluster: Cluster, read_only: bool, code: int) -> None:
    writes = script("main", "echo x > /file", readonlyRootFilesystem=read_only)
    task = cluster.stopped(cluster.run(cluster.register(f"root-{read_only}", writes)))
    assert container(task, "main")["exitCode"] == code


@pytest.mark.shows("LinuxParameters.initProcessEnabled")
@pytest.mark.parametrize(("init", "code"), [(True, 143), (False, 137)])
def test_an_init_process_passes_the_stop_signal_on(cluster: Cluster, init: bool, code: int) -> None:
    """A program that is PID 1 takes no notice of TERM unless it asks for it; below an init process it does."""
    sleeper = bare("main", linuxParameters={"initProcessEnabled": init}, stopTimeout=2 if not init else 60)
    arn = cluster.run(cluster.register(f"init-{init}", sleeper))
    cluster.running(arn)
    assert container(cluster.stop(arn), "main")["exitCode"] == code


def test_a_task_definition_may_not_ask_fargate_for_a_tmpfs(cluster: Cluster) -> None:
    mount = {"containerPath": "/scratch", "size": 1}
    with pytest.raises(ClientError, match="do not support tmpfs"):
        cluster.register("tmpfs", bare("main", linuxParameters={"tmpfs": [mount]}))


@pytest.mark.shows("ContainerDefinition.interactive", "ContainerDefinition.pseudoTerminal")
def test_interactive_and_pseudo_terminal_reach_the_engine(cluster: Cluster) -> None:
    arn = cluster.run(cluster.register("terminal", web("main", interactive=True, pseudoTerminal=True)))
    config = inspected(main_of(cluster.running(arn)))["Config"]
    assert (config["OpenStdin"], config["Tty"]) == (True, True)
    cluster.stop(arn)
