"""The table of members against the service model: nothing is accepted and ignored."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from wherry.api.ecs import tags
from wherry.api.ecs.taskdef_view import view
from wherry.model.arn import Scope
from wherry.model.errors import ClientException
from wherry.model.problem import Path, Source
from wherry.model.taskdef_draft import draft
from wherry.model.taskdef_fields import FIELDS, ROOT, Honoured, Refused, refusals
from wherry.model.taskdef_rules import check, problems

SCOPE = Scope(region="us-east-1", account_id="000000000000")
MODEL = botocore.session.get_session().get_service_model("ecs")

# Two definitions that are valid and differ in every member that Wherry honours.
ONE: dict[str, Any] = {
    "family": "one",
    "enableFaultInjection": True,
    "taskRoleArn": "one",
    "executionRoleArn": "arn:aws:iam::000000000000:role/one",
    "networkMode": "bridge",
    "pidMode": "host",
    "ephemeralStorage": {"sizeInGiB": 21},
    "ipcMode": "task",
    "requiresCompatibilities": ["EC2"],
    "cpu": "512",
    "memory": "1024",
    "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    "tags": [{"key": "team", "value": "blue"}],
    "volumes": [
        {"name": "data", "host": {"sourcePath": "/srv/one"}},
        {
            "name": "cache",
            "dockerVolumeConfiguration": {
                "scope": "shared",
                "autoprovision": True,
                "driver": "local",
                "driverOpts": {"type": "tmpfs"},
                "labels": {"a": "1"},
            },
        },
        {
            "name": "files",
            "efsVolumeConfiguration": {
                "fileSystemId": "fs-00000001",
                "rootDirectory": "/",
                "transitEncryption": "ENABLED",
                "authorizationConfig": {"accessPointId": "fsap-00000001"},
            },
        },
        {"name": "disk", "configuredAtLaunch": True},
    ],
    "containerDefinitions": [
        {
            "name": "app",
            "image": "nginx:1",
            "cpu": 10,
            "memory": 100,
            "memoryReservation": 50,
            "portMappings": [
                {"containerPort": 80, "hostPort": 8080, "protocol": "tcp", "name": "web", "appProtocol": "http"},
                {"containerPortRange": "9000-9010"},
            ],
            "essential": True,
            "repositoryCredentials": {"credentialsParameter": "registry-one"},
            "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60},
            "disableNetworking": True,
            "entryPoint": ["/entry"],
            "command": ["serve"],
            "environment": [{"name": "A", "value": "1"}],
            "environmentFiles": [{"value": "arn:aws:s3:::one/app.env", "type": "s3"}],
            "secrets": [{"name": "KEY", "valueFrom": "/one"}],
            "linuxParameters": {
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["CHOWN"]},
                "devices": [{"hostPath": "/dev/fuse", "containerPath": "/dev/one", "permissions": ["read"]}],
                "initProcessEnabled": True,
                "sharedMemorySize": 64,
                "tmpfs": [{"containerPath": "/run", "size": 16, "mountOptions": ["rw"]}],
                "maxSwap": 100,
                "swappiness": 10,
            },
            "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
            "volumesFrom": [{"sourceContainer": "db", "readOnly": True}],
            "dependsOn": [{"containerName": "db", "condition": "START"}],
            "startTimeout": 30,
            "stopTimeout": 20,
            "versionConsistency": "enabled",
            "hostname": "one",
            "user": "root",
            "workingDirectory": "/srv",
            "privileged": True,
            "readonlyRootFilesystem": True,
            "dnsServers": ["10.0.0.2"],
            "dnsSearchDomains": ["one.example"],
            "extraHosts": [{"hostname": "peer", "ipAddress": "10.0.0.3"}],
            "dockerSecurityOptions": ["no-new-privileges"],
            "interactive": True,
            "pseudoTerminal": True,
            "dockerLabels": {"a": "1"},
            "ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/one", "awslogs-region": "us-east-1", "mode": "blocking"},
                "secretOptions": [{"name": "tag", "valueFrom": "/one/tag"}],
            },
            "firelensConfiguration": {"type": "fluentd", "options": {"enable-ecs-log-metadata": "true"}},
            "healthCheck": {
                "command": ["CMD", "true"],
                "interval": 10,
                "timeout": 3,
                "retries": 2,
                "startPeriod": 1,
            },
            "systemControls": [{"namespace": "net.core.somaxconn", "value": "1"}],
        },
        {"name": "db", "image": "postgres:17", "healthCheck": {"command": ["CMD", "true"]}},
    ],
}
TWO: dict[str, Any] = {
    "family": "two",
    "enableFaultInjection": False,
    "taskRoleArn": "arn:aws:iam::000000000000:role/two",
    "executionRoleArn": "two",
    "networkMode": "none",
    "pidMode": "task",
    "ephemeralStorage": {"sizeInGiB": 200},
    "ipcMode": "none",
    "requiresCompatibilities": ["EXTERNAL"],
    "cpu": "1024",
    "memory": "2048",
    "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
    "tags": [{"key": "crew", "value": "red"}],
    "volumes": [
        {"name": "data2", "host": {"sourcePath": "/srv/two"}},
        {
            "name": "cache2",
            "dockerVolumeConfiguration": {
                "scope": "task",
                "autoprovision": False,
                "driver": "other",
                "driverOpts": {"size": "2"},
                "labels": {"a": "2"},
            },
        },
        {
            "name": "files2",
            "efsVolumeConfiguration": {
                "fileSystemId": "fs-00000002",
                "rootDirectory": "/two",
                "transitEncryption": "DISABLED",
                "authorizationConfig": {"accessPointId": "fsap-00000002"},
            },
        },
        {"name": "disk2", "configuredAtLaunch": True},
    ],
    "containerDefinitions": [
        {
            "name": "app2",
            "image": "nginx:2",
            "cpu": 11,
            "memory": 101,
            "memoryReservation": 51,
            "portMappings": [
                {"containerPort": 81, "hostPort": 8081, "protocol": "udp", "name": "web2", "appProtocol": "grpc"},
                {"containerPortRange": "9001-9011"},
            ],
            "essential": False,
            "repositoryCredentials": {"credentialsParameter": "registry-two"},
            "restartPolicy": {"enabled": False, "ignoredExitCodes": [1], "restartAttemptPeriod": 90},
            "disableNetworking": False,
            "entryPoint": [],
            "command": ["serve", "2"],
            "environment": [{"name": "B", "value": "2"}],
            "environmentFiles": [{"value": "arn:aws:s3:::two/app.env", "type": "s3"}],
            "secrets": [{"name": "TOKEN", "valueFrom": "/two"}],
            "linuxParameters": {
                "capabilities": {"add": ["SYS_TIME"], "drop": ["KILL"]},
                "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/two", "permissions": ["write"]}],
                "initProcessEnabled": False,
                "sharedMemorySize": 65,
                "tmpfs": [{"containerPath": "/tmp", "size": 17, "mountOptions": ["ro"]}],
                "maxSwap": 0,
                "swappiness": 0,
            },
            "mountPoints": [{"sourceVolume": "data2", "containerPath": "/data2", "readOnly": False}],
            "volumesFrom": [{"sourceContainer": "other", "readOnly": False}],
            "dependsOn": [{"containerName": "other", "condition": "HEALTHY"}],
            "startTimeout": 31,
            "stopTimeout": 21,
            "versionConsistency": "disabled",
            "hostname": "two",
            "user": "1000:1000",
            "workingDirectory": "/",
            "privileged": False,
            "readonlyRootFilesystem": False,
            "dnsServers": ["10.0.0.4"],
            "dnsSearchDomains": ["two.example"],
            "extraHosts": [{"hostname": "peer2", "ipAddress": "10.0.0.5"}],
            "dockerSecurityOptions": ["label:disable"],
            "interactive": False,
            "pseudoTerminal": False,
            "dockerLabels": {"a": "2"},
            "ulimits": [{"name": "core", "softLimit": 11, "hardLimit": 21}],
            "logConfiguration": {
                "logDriver": "gelf",
                "options": {"gelf-address": "udp://10.0.0.9:12201"},
                "secretOptions": [{"name": "tag", "valueFrom": "/two/tag"}],
            },
            "firelensConfiguration": {"type": "fluentbit", "options": {"enable-ecs-log-metadata": "false"}},
            "healthCheck": {
                "command": ["CMD-SHELL", "false"],
                "interval": 11,
                "timeout": 4,
                "retries": 4,
                "startPeriod": 0,
            },
            "systemControls": [{"namespace": "net.ipv4.ip_forward", "value": "0"}],
        },
    ],
}

# What has one value only, so that changing it shows nothing.
UNCHANGEABLE = {
    ("RuntimePlatform", "operatingSystemFamily"),
    ("EnvironmentFile", "type"),
    ("Volume", "configuredAtLaunch"),  # false is what everybody has who says nothing
}


def structures(params: dict[str, Any], shape: str = ROOT, path: Path = ()) -> Iterator[tuple[str, Path]]:
    """Where in `params` the structures of the honoured shapes stand, in their order."""
    yield shape, path
    for name, verdict in FIELDS[shape].items():
        if isinstance(verdict, Honoured) and verdict.shape is not None and name in at(params, path):
            value = at(params, (*path, name))
            places = (
                [(*path, name, index) for index in range(len(value))] if isinstance(value, list) else [(*path, name)]
            )
            for place in places:
                yield from structures(params, verdict.shape, place)


def at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def put(params: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(params)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def echo(params: dict[str, Any]) -> dict[str, Any]:
    made = draft(params, tags.check(params["tags"])).revision(7, scope=SCOPE, now=1.0, registered_by="me")
    return view(made) | {"tags": tags.view(made.tags)}


STRUCTURES = list(structures(ONE))
PLACES = dict(reversed(STRUCTURES))
LEAVES = [
    (shape, name)
    for shape, members in FIELDS.items()
    for name, verdict in members.items()
    if isinstance(verdict, Honoured) and verdict.shape is None
]
REFUSED = [
    (shape, name)
    for shape, members in FIELDS.items()
    for name, verdict in members.items()
    if isinstance(verdict, Refused)
]


def place(shape: str, name: str) -> Path:
    """Where in ONE a member stands, or would stand."""
    having = (path for found, path in STRUCTURES if found == shape and name in at(ONE, path))
    return (*next(having, PLACES[shape]), name)


def model_shape(path: Path) -> Any:
    shape = MODEL.operation_model("RegisterTaskDefinition").input_shape
    for step in path:
        shape = shape.member if isinstance(step, int) else shape.members[step]
    return shape


def something(shape: Any) -> Any:
    """A value of that shape which asks for something."""
    match shape.type_name:
        case "structure":
            return {name: something(member) for name, member in shape.members.items()}
        case "list":
            return [something(shape.member)]
        case "map":
            return {"key": something(shape.value)}
        case "string":
            return [word for word in shape.enum or ["x"] if word != "DISABLED"][-1]
        case "boolean":
            return True
        case _:
            return 3


def nothing(shape: Any) -> Any:
    return {"structure": {}, "list": [], "map": {}, "string": "", "boolean": False, "integer": 0}[shape.type_name]


@pytest.mark.parametrize("shape", FIELDS)
def test_every_member_of_the_model_is_in_the_table_and_no_other(shape: str) -> None:
    assert set(FIELDS[shape]) == set(model_shape(PLACES[shape]).members)


@pytest.mark.parametrize("shape", FIELDS)
def test_a_row_leads_to_the_structure_that_the_model_has_there(shape: str) -> None:
    assert model_shape(PLACES[shape]).name == shape
    for name, verdict in FIELDS[shape].items():
        member = model_shape((*PLACES[shape], name))
        inner = member.member if member.type_name == "list" else member
        if isinstance(verdict, Honoured):
            assert (inner.type_name == "structure") == (verdict.shape is not None)


def test_both_examples_are_accepted() -> None:
    check(ONE)
    two = copy.deepcopy(TWO)
    two["containerDefinitions"][0] |= {"portMappings": [], "essential": True, "dependsOn": [], "volumesFrom": []}
    two["volumes"][1]["dockerVolumeConfiguration"]["scope"] = "shared"
    two["volumes"][2]["efsVolumeConfiguration"]["authorizationConfig"] = {}
    check(two)


@pytest.mark.parametrize(("shape", "name"), LEAVES)
def test_an_honoured_member_reaches_the_stored_revision(shape: str, name: str) -> None:
    path = place(shape, name)
    first, second = at(ONE, path), at(TWO, path)
    assert (first != second) or (shape, name) in UNCHANGEABLE, "the examples must differ, or this test cannot fail"
    assert at(echo(ONE), path) == first
    assert at(echo(put(ONE, path, second)), path) == second


@pytest.mark.parametrize(("shape", "name"), REFUSED)
def test_a_refused_member_is_refused_with_a_sentence_that_names_it(shape: str, name: str) -> None:
    path = place(shape, name)
    asking = put(ONE, path, something(model_shape(path)))
    (refusal,) = refusals(asking)
    assert refusal.path == path
    assert refusal.source is Source.WHERRY
    assert refusal.message.count(name) >= 2, "it names the member, and says what to do with it"
    assert refusal in list(problems(asking))
    with pytest.raises(ClientException):
        check(asking)


@pytest.mark.parametrize(("shape", "name"), REFUSED)
def test_a_refused_member_that_asks_for_nothing_is_no_reason_to_refuse(shape: str, name: str) -> None:
    path = place(shape, name)
    assert list(refusals(put(ONE, path, nothing(model_shape(path))))) == []


@pytest.mark.parametrize(
    ("path", "value", "is_neutral"),
    [
        (("trustedExecutionConfiguration",), {"isolationMode": "SHARED"}, True),
        (("trustedExecutionConfiguration",), {"isolationMode": "ISOLATED_SANDBOX"}, False),
    ],
)
def test_a_default_spelled_out_asks_for_nothing(path: Path, value: Any, is_neutral: bool) -> None:
    assert (list(refusals(put(ONE, path, value))) == []) is is_neutral
