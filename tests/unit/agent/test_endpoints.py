"""Tokens, buckets, statistics and documents of the endpoints: what needs no server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.agent import environment
from wherry.agent.endpoints import documents
from wherry.agent.endpoints.callers import BURST, RATE, RateLimit
from wherry.agent.endpoints.protection import protection
from wherry.agent.endpoints.statistics import Sample, compared
from wherry.agent.endpoints.tokens import Tokens
from wherry.agent.memory import Assignment, ContainerMemory, End
from wherry.agent.progress import look
from wherry.agent.runtime.base import ContainerState, Health, Observed, Storage
from wherry.agent.runtime.fake.documents import inspected
from wherry.agent.sandbox import clock
from wherry.agent.sandbox.clock import ClockDrift
from wherry.agent.spec import ContainerSpec, Eni, HealthCheck, PortMapping, RestartPolicy, TaskSpec

ARN = "arn:aws:ecs:us-east-1:000000000000:task/default/" + "1" * 32
CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
names = st.text(st.characters(codec="ascii", exclude_characters="\n"), min_size=1)


def a_task(*containers: ContainerSpec, **members) -> TaskSpec:
    return TaskSpec(
        **{
            "arn": ARN,
            "cluster": CLUSTER,
            "family": "web",
            "version": "3",
            "containers": containers or (ContainerSpec(name="app", image="fake/app"),),
            "eni": Eni(
                id="eni-1",
                attachment_arn="arn:aws:ecs:us-east-1:000000000000:attachment/1",
                mac_address="02:00:00:00:00:01",
                ipv4_address="172.31.0.5",
                gateway_cidr="172.31.0.1/20",
                private_dns_name="ip-172-31-0-5.ec2.internal",
            ),
            "cpu": 0.25,
            "memory_mib": 512,
            "availability_zone": "us-east-1b",
            "vpc_id": "vpc-1",
            **members,
        }
    )


def described(task: TaskSpec, memory: ContainerMemory, observed: Observed | None, *, version: int = 4):
    view = look(Assignment(spec=task, containers={"app": memory}), [observed] if observed else [])
    one = view.container("app")
    said = None if observed is None else inspected(observed, one.spec)
    return documents.container(view, one, said, version=version)


def running(**members) -> Observed:
    return Observed(
        **{
            "runtime_id": "c0ffee",
            "task_arn": ARN,
            "name": "app",
            "state": ContainerState.RUNNING,
            "created_at": 1_700_000_000.0,
            "started_at": 1_700_000_001.5,
            **members,
        }
    )


@given(names, names, names, names)
def test_tokens_differ_unless_task_and_container_are_the_same(one_arn, one, other_arn, other):
    tokens = Tokens(b"k" * 32)
    same = (one_arn, one) == (other_arn, other)
    assert (tokens.container(one_arn, one) == tokens.container(other_arn, other)) is same
    assert tokens.container(one_arn, one) != tokens.logs(one_arn, one)


def test_tokens_outlive_the_agent_and_are_another_agents_secret(tmp_path):
    path = tmp_path / "state" / "endpoints.key"
    first = Tokens.open(path).container(ARN, "app")
    assert path.stat().st_mode & 0o777 == 0o600
    assert Tokens.open(path).container(ARN, "app") == first
    assert Tokens.open(tmp_path / "other.key").container(ARN, "app") != first
    assert first not in repr(Tokens.open(path))


def test_a_key_that_a_full_disk_cut_short_is_made_anew(tmp_path):
    path = tmp_path / "endpoints.key"
    path.write_bytes(b"")
    Tokens.open(path)
    assert len(path.read_bytes()) == 32


def test_a_task_may_ask_so_often_and_no_more():
    now = 0.0
    limit = RateLimit(lambda: now)
    assert [limit.admits("a") for _ in range(int(BURST))] == [True] * int(BURST)
    assert not limit.admits("a")
    assert limit.admits("b")
    now = 1.0
    assert sum(limit.admits("a") for _ in range(100)) == int(RATE)


def test_who_is_refused_does_not_wait_longer_for_asking_on():
    now = 0.0
    limit = RateLimit(lambda: now)
    for tick in range(1000):
        now = tick / 1000
        limit.admits("a")
    now = 2.0
    assert sum(limit.admits("a") for _ in range(100)) >= int(RATE)


def test_a_running_container_is_described_as_on_aws():
    spec = ContainerSpec(
        name="app",
        image="fake/app",
        arn="arn:aws:ecs:us-east-1:000000000000:container/1",
        cpu_shares=10,
        memory=128 * 2**20,
        ports=(PortMapping(container_port=80, host_port=0),),
        labels={"team": "red", "wherry.instance": "1"},
        health_check=HealthCheck(command=("CMD", "true")),
    )
    observed = running(health=Health.HEALTHY, health_since=1_700_000_002.25)
    assert described(a_task(spec), ContainerMemory(runtime_id="c0ffee"), observed) == {
        "DockerId": "c0ffee",
        "Name": "app",
        "DockerName": "app",
        "Image": "fake/app",
        "ImageID": inspected(observed, spec)["Image"],
        "Ports": [{"ContainerPort": 80, "Protocol": "tcp", "HostPort": 80}],
        "Labels": {"team": "red"},
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 10, "Memory": 128},
        "CreatedAt": "2023-11-14T22:13:20.000000Z",
        "StartedAt": "2023-11-14T22:13:21.500000Z",
        "Type": "NORMAL",
        "Health": {"status": "HEALTHY", "statusSince": "2023-11-14T22:13:22.25Z"},
        "Networks": [
            {
                "NetworkMode": "awsvpc",
                "IPv4Addresses": ["172.31.0.5"],
                "AttachmentIndex": 0,
                "MACAddress": "02:00:00:00:00:01",
                "IPv4SubnetCIDRBlock": "172.31.0.0/20",
                "PrivateDNSName": "ip-172-31-0-5.ec2.internal",
                "SubnetGatewayIpv4Address": "172.31.0.1/20",
            }
        ],
        "LogDriver": "json-file",
        "ContainerARN": "arn:aws:ecs:us-east-1:000000000000:container/1",
    }


def test_only_a_container_with_a_restart_policy_counts_its_restarts():
    memory = ContainerMemory(runtime_id="c0ffee", restarts=2)
    spec = ContainerSpec(name="app", image="fake/app", restart_policy=RestartPolicy())
    assert described(a_task(spec), memory, running())["RestartCount"] == 2
    assert "RestartCount" not in described(a_task(), memory, running())


def test_version_3_has_what_version_2_had():
    found = described(a_task(), ContainerMemory(runtime_id="c0ffee"), running(), version=3)
    assert found["Networks"] == [{"NetworkMode": "awsvpc", "IPv4Addresses": ["172.31.0.5"]}]
    assert found.keys() & {"LogDriver", "ContainerARN"} == set()


def test_a_container_that_has_just_started_runs_whatever_its_agent_has_heard_of():
    view = look(Assignment(spec=a_task()), [running(state=ContainerState.CREATED)])
    one = view.container("app")
    assert documents.container(view, one, inspected(running(), one.spec), version=4)["KnownStatus"] == "RUNNING"


def test_what_leads_back_to_the_agent_is_not_shown():
    view = look(Assignment(spec=a_task()), [running()])
    one = view.container("app")
    said = inspected(running(), one.spec)
    options = {
        "awslogs-group": "g",
        "awslogs-endpoint": "http://169.254.170.2/logs/secret",
        "awslogs-credentials-endpoint": "/v2/credentials/secret",
    }
    said["HostConfig"] = {"LogConfig": {"Type": "awslogs", "Config": options}}
    said["Mounts"] = [
        {"Source": "/var/lib/wherry/hosts", "Destination": "/etc/hosts"},
        {"Source": "/srv", "Destination": "/data"},
    ]
    found = documents.container(view, one, said, version=4)
    assert (found["LogDriver"], found["LogOptions"]) == ("awslogs", {"awslogs-group": "g"})
    assert found["Volumes"] == [{"Source": "/srv", "Destination": "/data"}]
    assert "secret" not in str(found)


def test_a_task_is_described_as_on_aws():
    memory = ContainerMemory(runtime_id="c0ffee", pull_started_at=1_700_000_000.0, pull_stopped_at=1_700_000_000.125)
    spec = a_task(service_name="shop", group="service:shop")
    view = look(Assignment(spec=spec, containers={"app": memory}), [running()])
    drift = ClockDrift(error_bound=0.5, synchronized=True, at=1_700_000_000.0)
    assert documents.task(view, [{"Name": "app"}], version=4, storage=Storage(utilized=1, reserved=9), drift=drift) == {
        "Cluster": CLUSTER,
        "TaskARN": ARN,
        "Family": "web",
        "Revision": "3",
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 0.25, "Memory": 512},
        "PullStartedAt": "2023-11-14T22:13:20Z",
        "PullStoppedAt": "2023-11-14T22:13:20.125Z",
        "AvailabilityZone": "us-east-1b",
        "Containers": [{"Name": "app"}],
        "LaunchType": "FARGATE",
        "VPCID": "vpc-1",
        "ServiceName": "shop",
        "Group": "service:shop",
        "ClockDrift": {
            "ClockErrorBound": 0.5,
            "ReferenceTimestamp": "2023-11-14T22:13:20Z",
            "ClockSynchronizationStatus": "SYNCHRONIZED",
        },
        "EphemeralStorageMetrics": {"Utilized": 1, "Reserved": 9},
        "FaultInjectionEnabled": False,
    }


def test_a_task_on_an_instance_names_its_cluster_and_no_storage():
    view = look(Assignment(spec=a_task(launch_type="EC2")), [running()])
    found = documents.task(view, [], version=4, storage=Storage(utilized=1, reserved=9))
    assert found["Cluster"] == "default"
    assert "EphemeralStorageMetrics" not in found


def test_a_task_that_is_over_tells_when():
    memory = ContainerMemory(runtime_id="c0ffee", started_at=1.0, end=End(code=3, at=1_700_000_009.0))
    assignment = Assignment(spec=a_task(), containers={"app": memory})
    view = look(assignment, [running(state=ContainerState.EXITED, exit_code=3)])
    found = documents.task(view, [], version=3)
    assert (found["KnownStatus"], found["DesiredStatus"]) == ("STOPPED", "STOPPED")
    assert found["ExecutionStoppedAt"] == "2023-11-14T22:13:29Z"
    assert documents.container(view, view.container("app"), None, version=4)["ExitCode"] == 3


def test_statistics_compare_two_samples():
    before = {"read": "then", "cpu_stats": {"n": 1}, "networks": {"eth0": {"rx_bytes": 100, "tx_bytes": 50}}}
    after = {"read": "now", "cpu_stats": {"n": 2}, "networks": {"eth0": {"rx_bytes": 300, "tx_bytes": 50}}}
    found = compared(Sample(stats=before, at=1.0), Sample(stats=after, at=3.0))
    assert (found["preread"], found["precpu_stats"], found["cpu_stats"]) == ("then", {"n": 1}, {"n": 2})
    assert found["network_rate_stats"] == {"rx_bytes_per_sec": 100.0, "tx_bytes_per_sec": 0.0}


def test_an_answer_about_protection_is_passed_on_in_the_agents_words():
    protected = {"taskArn": ARN, "protectionEnabled": True, "expirationDate": 1_700_000_000.5}
    assert protection({"protectedTasks": [protected], "failures": []}, ARN) == {
        "protection": {"ExpirationDate": "2023-11-14T22:13:20Z", "ProtectionEnabled": True, "TaskArn": ARN}
    }
    failure = {"arn": ARN, "reason": "TASK_NOT_VALID", "detail": "not a service's"}
    assert protection({"protectedTasks": [], "failures": [failure]}, ARN) == {
        "failure": {"Arn": ARN, "Reason": "TASK_NOT_VALID", "Detail": "not a service's"}
    }


@pytest.mark.parametrize("answer", [{}, {"failures": [{}, {}]}, {"protectedTasks": [{}, {}]}])
def test_an_answer_that_is_not_about_one_task_is_an_error(answer):
    with pytest.raises(Exception, match="Unexpected error occurred"):
        protection(answer, ARN)


def test_only_a_task_with_a_role_is_told_where_its_credentials_are():
    plain = environment.injected(a_task(), token="t")
    assert plain == {
        "ECS_CONTAINER_METADATA_URI": "http://169.254.170.2/v3/t",
        "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/t",
        "ECS_AGENT_URI": "http://169.254.170.2/api/t",
    }
    told = environment.injected(a_task(task_credentials_id="id"), token="t")
    assert told == plain | {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/id"}


def test_the_kernel_tells_how_far_the_clock_may_be_off():
    found = clock.drift()
    assert 0 <= found.error_bound < 60_000
