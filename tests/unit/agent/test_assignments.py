"""From payload to assignment: understood exactly, or refused by name."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from wherry.agent.assignments.tasks import names_a_task, take_on
from wherry.agent.spec import (
    AsmAuth,
    Condition,
    Dependency,
    Device,
    Eni,
    HealthCheck,
    HostPath,
    LogConfiguration,
    ManagedVolume,
    Mount,
    NetworkFileSystem,
    PortMapping,
    RestartPolicy,
    Secret,
    SecretTarget,
    SharedVolume,
    TaskVolume,
    Tmpfs,
    Ulimit,
    VolumesFrom,
)
from wherry.model.host_rules import HostRules
from wherry.model.protocol.container import (
    AsmAuthData,
    DockerConfig,
    PayloadContainer,
    PayloadDependency,
    PayloadEnvironmentFile,
    PayloadFirelens,
    PayloadPort,
    PayloadRestartPolicy,
    PayloadSecret,
    RegistryAuthentication,
)
from wherry.model.protocol.task import Ipv4Assignment, PayloadEni, PayloadTask
from wherry.model.protocol.volume import (
    EBS,
    PayloadAttachment,
    PayloadDockerVolume,
    PayloadEfsAuthorization,
    PayloadEfsVolume,
    PayloadHostVolume,
    PayloadMountPoint,
    PayloadProperty,
    PayloadVolume,
    PayloadVolumeFrom,
)
from wherry.model.task import DesiredStatus

EVERYTHING = HostRules(paths=("/",), privileged=True, namespaces=True, devices=("/dev",), capabilities=("ALL",))
ARN = "arn:aws:ecs:us-east-1:000000000000:task/default/0123"


def a_payload_container(*, config=None, host=None, **members) -> PayloadContainer:
    docker = DockerConfig(
        version="1.41",
        config=msgspec.json.encode(config or {}).decode(),
        host_config=msgspec.json.encode(host or {}).decode(),
    )
    whole = {"name": "app", "image": "app", "essential": True, "cpu": 0, "memory": 0, "overrides": "{}"}
    return PayloadContainer(**{**whole, "docker_config": docker, **members})


def a_payload(*containers: PayloadContainer, **members) -> PayloadTask:
    return PayloadTask(
        **{"arn": ARN, "desired_status": "RUNNING", "overrides": "{}", "containers": containers, **members}
    )


def container_of(payload: PayloadContainer):
    assignment = take_on(a_payload(payload), stop_timeout=30, host_rules=EVERYTHING)
    assert assignment.fault is None, assignment.fault
    return assignment.spec.containers[0]


def test_everything_of_a_container_is_understood() -> None:
    found = container_of(
        a_payload_container(
            container_arn="arn:aws:ecs:us-east-1:000000000000:container/1",
            cpu=256,
            memory=64,
            command=("serve",),
            entry_point=("/bin/sh",),
            environment={"A": "1"},
            firelens_configuration=PayloadFirelens(type="fluentbit", options={"enable-ecs-log-metadata": "false"}),
            environment_files=(PayloadEnvironmentFile(value="arn:aws:s3:::bucket/app.env"),),
            registry_authentication=RegistryAuthentication(
                type="asm", asm_auth_data=AsmAuthData(credentials_parameter="registry", region="us-east-1")
            ),
            secrets=(PayloadSecret(name="KEY", value_from="/key", provider="ssm", target="LOG_DRIVER"),),
            port_mappings=(PayloadPort(container_port=80, host_port=80, protocol="tcp"),),
            start_timeout=10,
            stop_timeout=20,
            restart_policy=PayloadRestartPolicy(enabled=True, ignored_exit_codes=(0,), restart_attempt_period=60),
            health_check_type="docker",
            config={
                "User": "nobody",
                "WorkingDir": "/srv",
                "Labels": {"team": "red"},
                "OpenStdin": True,
                "Tty": True,
                "NetworkDisabled": True,
                "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000, "Retries": 2},
            },
            host={
                "MemoryReservation": 32 * 2**20,
                "MemorySwap": 128 * 2**20,
                "MemorySwappiness": 60,
                "Privileged": True,
                "ReadonlyRootfs": True,
                "Init": True,
                "ShmSize": 1024,
                "Dns": ["10.0.0.2"],
                "DnsSearch": ["example.org"],
                "ExtraHosts": ["six:fd00::1"],
                "SecurityOpt": ["no-new-privileges"],
                "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
                "Sysctls": {"net.core.somaxconn": "9"},
                "CapAdd": ["NET_ADMIN"],
                "CapDrop": ["ALL"],
                "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/f", "CgroupPermissions": "r"}],
                "Tmpfs": {"/tmp/x": "size=64m,noexec"},
                "LogConfig": {"Type": "awslogs", "Config": {"awslogs-group": "/web"}},
            },
        )
    )
    assert found.registry_auth == AsmAuth(credentials_parameter="registry")
    assert found.logs == LogConfiguration(driver="awslogs", options={"awslogs-group": "/web"})
    assert found.secrets == (Secret(name="KEY", value_from="/key", target=SecretTarget.LOG_DRIVER),)
    assert found.memory == 64 * 2**20
    assert (found.cpu_shares, found.command, found.entry_point) == (256, ("serve",), ("/bin/sh",))
    assert found.ports == (PortMapping(container_port=80, host_port=80),)
    assert found.health_check == HealthCheck(command=("CMD", "true"), interval=5, retries=2)
    assert (found.start_timeout, found.stop_timeout) == (10, 20)
    assert found.tmpfs == (Tmpfs(container_path="/tmp/x", size_mib=64, options=("noexec",)),)
    assert found.restart_policy == RestartPolicy(ignored_exit_codes=(0,), attempt_period=60)
    assert found.devices == (Device(host_path="/dev/fuse", container_path="/dev/f", permissions="r"),)
    assert found.ulimits == (Ulimit(name="nofile", soft=1, hard=2),)
    assert found.extra_hosts == {"six": "fd00::1"}
    defaults = {field.name: field.default for field in msgspec.structs.fields(found)}
    assert [name for name, default in defaults.items() if getattr(found, name) == default and name != "essential"] == [
        "hostname",
        "depends_on",
        "mounts",
        "volumes_from",
        "host_binds",
    ]


def test_what_nobody_set_has_the_defaults_of_ecs() -> None:
    found = container_of(a_payload_container(config={"User": None}))

    assert (found.memory, found.cpu_shares, found.stop_timeout, found.health_check) == (None, 2, 30, None)


def test_volumes_and_what_mounts_them_are_understood() -> None:
    docker = PayloadDockerVolume(scope="shared", autoprovision=True, driver_opts={"a": "b"}, labels={"c": "d"})
    efs = PayloadEfsVolume(
        file_system_id="fs-12345678",
        transit_encryption="ENABLED",
        authorization_config=PayloadEfsAuthorization(access_point_id="fsap-12345678"),
    )
    container = a_payload_container(
        mount_points=(PayloadMountPoint(source_volume="own", container_path="/own", read_only=True),),
        volumes_from=(PayloadVolumeFrom(source_container="side", read_only=True),),
    )
    spec = take_on(
        a_payload(
            container,
            a_payload_container(name="side"),
            volumes=(
                PayloadVolume(name="own", type="host", host=PayloadHostVolume()),
                PayloadVolume(name="path", type="host", host=PayloadHostVolume(source_path="/srv")),
                PayloadVolume(name="shared", type="docker", docker_volume_configuration=docker),
                PayloadVolume(name="files", type="efs", efs_volume_configuration=efs),
            ),
        ),
        stop_timeout=30,
    ).spec
    assert {volume.name: volume.source for volume in spec.volumes} == {
        "own": TaskVolume(),
        "path": HostPath(path="/srv"),
        "shared": SharedVolume(autoprovision=True, options={"a": "b"}, labels={"c": "d"}),
        "files": NetworkFileSystem(id="fsap-12345678", encrypted=True),
    }
    app = spec.containers[0]
    assert app.mounts == (Mount(volume="own", path="/own", read_only=True),)
    assert app.volumes_from == (VolumesFrom(container="side", read_only=True),)
    assert app.depends_on == (Dependency(container="side", condition=Condition.CREATED),)


SHARED = {
    "type": "docker",
    "docker_volume_configuration": PayloadDockerVolume(scope="shared", autoprovision=True, driver="local"),
}


@pytest.mark.parametrize(
    ("volume", "mount", "text"),
    [
        ({"type": "fsxWindowsFileServer"}, {}, "does not know the type 'fsxWindowsFileServer'"),
        ({"host": PayloadHostVolume(source_path="/a:/etc")}, {}, "is not an absolute path"),
        ({"host": PayloadHostVolume(source_path="named-volume")}, {}, "is not an absolute path"),
        ({}, {"container_path": "/x/../etc"}, "is not an absolute path"),
        ({}, {"source_volume": "other"}, "there is no volume 'other' to mount"),
        (
            {"type": "efs", "efs_volume_configuration": PayloadEfsVolume(file_system_id="fs-1", root_directory="/..")},
            {},
            "is not an absolute path",
        ),
        ({"name": "/etc"} | SHARED, {"source_volume": "/etc"}, "'/etc' is not the name of a volume"),
        ({"name": "a/../b"} | SHARED, {"source_volume": "a/../b"}, "'a/../b' is not the name of a volume"),
        ({"name": "a:b"} | SHARED, {"source_volume": "a:b"}, "'a:b' is not the name of a volume"),
        ({"name": "a\n"} | SHARED, {"source_volume": "a\n"}, "is not the name of a volume"),
    ],
)
def test_volumes_that_cannot_be_understood_fail_the_task(volume, mount, text) -> None:
    wanted = PayloadVolume(**{"name": "data", "type": "host"} | volume)
    mounted = PayloadMountPoint(**{"source_volume": "data", "container_path": "/data"} | mount)
    found = take_on(a_payload(a_payload_container(mount_points=(mounted,)), volumes=(wanted,)), stop_timeout=30)
    assert found.fault is not None
    assert found.fault.name == "UnrecognizedTaskError"
    assert text in found.fault.message


@pytest.mark.parametrize(
    ("members", "setting"),
    [
        ({"host": {"Privileged": True}}, "WHERRY_HOST_PRIVILEGED"),
        ({"host": {"SecurityOpt": ["apparmor:unconfined"]}}, "WHERRY_HOST_PRIVILEGED"),
        ({"host": {"CapAdd": ["SYS_ADMIN"]}}, "WHERRY_HOST_CAPABILITIES"),
        ({"host": {"CapAdd": ["ALL"]}}, "WHERRY_HOST_CAPABILITIES"),
        ({"host": {"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda"}]}}, "WHERRY_HOST_DEVICES"),
        ({"task": {"pid_mode": "host"}}, "WHERRY_HOST_NAMESPACES"),
        ({"task": {"ipc_mode": "host"}}, "WHERRY_HOST_NAMESPACES"),
        ({"task": {"network_mode": "host"}}, "WHERRY_HOST_NAMESPACES"),
        ({"volume": {"type": "host", "host": PayloadHostVolume(source_path="/etc")}}, "WHERRY_HOST_PATHS"),
        (
            {
                "volume": {
                    "type": "docker",
                    "docker_volume_configuration": PayloadDockerVolume(
                        driver_opts={"type": "nfs", "o": "rw,bind", "device": "/etc"}
                    ),
                }
            },
            "WHERRY_HOST_PATHS",
        ),
    ],
)
@pytest.mark.parametrize("launch_type", ["EC2", "FARGATE"])
def test_this_host_refuses_what_its_own_rules_do_not_allow(members, setting, launch_type) -> None:
    container = a_payload_container(host=members.get("host"))
    volumes = (PayloadVolume(name="data", **members["volume"]),) if "volume" in members else ()
    task = a_payload(container, volumes=volumes, launch_type=launch_type, **members.get("task", {}))
    refused = take_on(task, stop_timeout=30).fault
    assert refused is not None
    assert refused.name == "HostConfigError"
    assert refused.message.endswith(f"is not allowed by the host rules: the setting {setting} decides.")
    allowed = take_on(task, stop_timeout=30, host_rules=EVERYTHING).fault
    assert allowed == (None if launch_type == "EC2" else refused)


def test_a_task_that_has_been_running_is_not_judged_again() -> None:
    task = a_payload(a_payload_container(host={"Privileged": True}), started=True)
    assert take_on(task, stop_timeout=30).fault is None


def test_only_a_health_check_of_the_task_definition_counts() -> None:
    check = {"Healthcheck": {"Test": ["CMD", "true"]}}

    assert container_of(a_payload_container(config=check)).health_check is None
    off = {"Healthcheck": {"Test": ["NONE"]}}
    assert container_of(a_payload_container(config=off, health_check_type="docker")).health_check is None


def test_the_command_of_a_stock_override_wins() -> None:
    assert container_of(a_payload_container(command=("a",), overrides='{"command":["b"]}')).command == ("b",)


def test_the_network_interface_and_the_limits_of_the_task() -> None:
    eni = PayloadEni(
        attachment_arn="arn:attachment",
        ec2_id="eni-1",
        mac_address="02:00:00:00:00:01",
        ipv4_addresses=(
            Ipv4Assignment(primary=False, private_address="172.31.0.9"),
            Ipv4Assignment(primary=True, private_address="172.31.0.5"),
        ),
        subnet_gateway_ipv4_address="172.31.0.1/20",
    )
    payload = a_payload(
        a_payload_container(), elastic_network_interfaces=(eni,), cpu=0.25, memory=512, network_mode="awsvpc"
    )
    spec = take_on(payload, stop_timeout=30).spec

    assert spec.eni == Eni(
        id="eni-1",
        attachment_arn="arn:attachment",
        mac_address="02:00:00:00:00:01",
        ipv4_address="172.31.0.5",
        gateway_cidr="172.31.0.1/20",
    )
    assert (spec.cpu, spec.memory_mib, spec.network_mode) == (0.25, 512, "awsvpc")


def test_dependencies_keep_their_conditions() -> None:
    app = a_payload_container(name="b", depends_on=(PayloadDependency(container_name="a", condition="SUCCESS"),))
    assignment = take_on(a_payload(a_payload_container(name="a"), app), stop_timeout=30)

    assert assignment.spec.container("b").depends_on == (Dependency(container="a", condition=Condition.SUCCESS),)


def _an_eni(address: str = "172.31.0.4", gateway: str = "172.31.0.1/20", mac: str = "02:00:00:00:00:01") -> PayloadEni:
    return PayloadEni(
        attachment_arn="arn:attachment",
        ec2_id="eni-1",
        mac_address=mac,
        ipv4_addresses=(Ipv4Assignment(primary=True, private_address=address),),
        subnet_gateway_ipv4_address=gateway,
    )


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"host": {"PidsLimit": 5}}, "container app: dockerConfig.hostConfig: this agent does not honour `PidsLimit`"),
        ({"config": {"User": 5}}, "container app: dockerConfig.config: Expected `str | null`, got `int` - at `$.User`"),
        ({"docker_config": DockerConfig(version="", config="{", host_config="{}")}, "is not JSON"),
        ({"host": {"Tmpfs": {"/t": "noexec"}}}, "tmpfs /t has no size in MiB"),
        ({"host": {"ExtraHosts": ["nothing"]}}, "extraHosts entry 'nothing' is not NAME:ADDRESS"),
        ({"depends_on": (PayloadDependency(container_name="a", condition="MAYBE"),)}, "condition 'MAYBE' is not known"),
        ({"docker_config": DockerConfig(version="", config='{"a":' * 9999, host_config="{}")}, "is not JSON"),
        ({"name": "../app"}, "'../app' is not the name of a container"),
        ({"essential": False}, "at least one container of a task is essential"),
    ],
)
def test_what_cannot_be_understood_is_a_task_that_failed_with_a_reason(part, why) -> None:
    assignment = take_on(a_payload(a_payload_container(**part)), stop_timeout=30)

    assert assignment.fault is not None
    assert assignment.fault.reason.startswith("UnrecognizedTaskError: Error loading task - ")
    assert why in assignment.fault.reason
    assert assignment.stopping


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"cpu": 1e300}, "no host has cpu 1e+300"),
        ({"cpu": -1}, "no host has cpu -1"),
        ({"memory": -5}, "memory -5"),
        ({"elastic_network_interfaces": (_an_eni(address="172.31.0.256"),)}, "172.31.0.256"),
        ({"elastic_network_interfaces": (_an_eni(gateway="somewhere"),)}, "somewhere"),
        ({"elastic_network_interfaces": (_an_eni(mac="\n"),)}, "is not a MAC address"),
    ],
)
def test_what_no_host_can_give_is_refused(members, why) -> None:
    assignment = take_on(a_payload(a_payload_container(), **members), stop_timeout=30)

    assert assignment.fault is not None
    assert why in assignment.fault.reason


@pytest.mark.parametrize("arn", ["", "..", ARN + "/..", ARN + "/../x", "task/default/0123", ARN + "\n", ARN + "."])
def test_what_is_not_the_arn_of_a_task_names_none(arn) -> None:
    assert names_a_task(ARN)
    assert names_a_task("arn:aws-cn:ecs:cn-north-1:000000000000:task/0123")
    assert not names_a_task(arn)


def test_a_malformed_task_keeps_its_interface_so_that_it_can_be_given_back() -> None:
    eni = PayloadEni(
        attachment_arn="arn:attachment",
        ec2_id="eni-1",
        mac_address="",
        ipv4_addresses=(),
        subnet_gateway_ipv4_address="",
    )
    assignment = take_on(a_payload(elastic_network_interfaces=(eni,)), stop_timeout=30)

    assert assignment.fault is not None
    assert assignment.spec.eni.attachment_arn == "arn:attachment"


def test_whatever_is_not_to_run_is_to_stop() -> None:
    stopped = replace(a_payload(a_payload_container()), desired_status="STOPPED")

    assert take_on(stopped, stop_timeout=30).desired is DesiredStatus.STOPPED


@pytest.mark.parametrize("secret", [{"target": "NOBODY"}, {"type": "MOUNT_POINT"}, {"value_from": "arn:aws:s3:::x"}])
def test_a_secret_that_cannot_be_fetched_fails_the_task(secret) -> None:
    whole = {"name": "KEY", "value_from": "/key", "provider": "ssm", **secret}
    taken = take_on(a_payload(a_payload_container(secrets=(PayloadSecret(**whole),))), stop_timeout=30)
    assert taken.fault is not None
    assert "secret KEY" in taken.fault.message


def test_what_logs_to_the_router_waits_for_it() -> None:
    logs = {"LogConfig": {"Type": "awsfirelens", "Config": {}}}
    router = a_payload_container(name="router", firelens_configuration=PayloadFirelens(type="fluentd"))
    app, other = a_payload_container(name="app", host=logs), a_payload_container(name="other")
    spec = take_on(a_payload(app, router, other), stop_timeout=30).spec
    waits = {container.name: container.depends_on for container in spec.containers}
    start = (Dependency(container="router", condition=Condition.START),)
    assert waits == {"app": start, "router": (), "other": ()}


def test_a_router_of_an_unknown_kind_fails_the_task() -> None:
    router = a_payload_container(firelens_configuration=PayloadFirelens(type="logstash"))
    taken = take_on(a_payload(router), stop_timeout=30)
    assert taken.fault is not None
    assert "firelensConfiguration 'logstash'" in taken.fault.message


def a_disk(**changes: str) -> PayloadAttachment:
    said = {"volumeId": "vol-0123456789abcdef0", "volumeName": "data", "volumeSizeGib": "7"} | changes
    properties = tuple(PayloadProperty(name=name, value=value) for name, value in said.items() if value)
    return PayloadAttachment(attachment_arn="arn:x", attachment_type=EBS, attachment_properties=properties)


def disks_of(*attachments: PayloadAttachment):
    data = PayloadVolume(name="data", type="attachment")
    task = a_payload(a_payload_container(), volumes=(data,), attachments=attachments)
    return take_on(task, stop_timeout=30)


def test_a_disk_is_read_off_the_attachments():
    other = PayloadAttachment(attachment_arn="arn:y", attachment_type="servicediscovery")
    [disk] = disks_of(other, a_disk()).spec.managed_volumes
    assert disk == ManagedVolume(id="vol-0123456789abcdef0", size_gib=7, file_system="xfs", keep=False)
    [disk] = disks_of(a_disk(fileSystem="ext3", deleteOnTermination="false")).spec.managed_volumes
    assert (disk.file_system, disk.keep) == ("ext3", True)


@pytest.mark.parametrize(
    ("attachments", "text"),
    [
        ((), "does not know the type 'attachment'"),
        ((a_disk(volumeId="vol-../../etc"),), "'vol-../../etc' is not the id of a volume"),
        ((a_disk(volumeSizeGib="-1"),), "'-1' is not a size in GiB"),
        ((a_disk(volumeSizeGib=""),), "'' is not a size in GiB"),
        ((a_disk(fileSystem="ntfs"),), "does not make the file system 'ntfs'"),
    ],
)
def test_a_disk_that_cannot_be_is_refused_by_name(attachments, text):
    fault = disks_of(*attachments).fault
    assert fault is not None
    assert text in fault.message
