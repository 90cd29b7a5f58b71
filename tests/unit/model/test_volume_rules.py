"""What is wrong with volumes, in AWS's words where they are known."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.api.ecs.taskdef_view import view
from wherry.model.arn import Scope
from wherry.model.filesystems import FileSystem, parse
from wherry.model.taskdef_draft import draft
from wherry.model.taskdef_rules import problems

SCOPE = Scope(region="us-east-1", account_id="000000000000")


def definition(*volumes: dict[str, Any], fargate: bool = False, **container: Any) -> dict[str, Any]:
    return {
        "family": "web",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE" if fargate else "EC2"],
        "cpu": "256",
        "memory": "512",
        "volumes": list(volumes),
        "containerDefinitions": [{"name": "app", "image": "app"} | container, {"name": "side", "image": "side"}],
    }


def said(params: dict[str, Any]) -> list[str]:
    return [problem.message for problem in problems(params)]


EFS = {"fileSystemId": "fs-0123abcd"}


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        ({}, "Volume.name should not be null or empty."),
        ({"name": "a b"}, "Volume.name contains invalid characters."),
        ({"name": "v", "host": {"sourcePath": ""}}, "host.sourcePath should not be blank."),
        (
            {"name": "v", "host": {"sourcePath": "srv/../etc"}},
            "host.sourcePath should be an absolute path without '..' and ':', not 'srv/../etc'.",
        ),
        (
            {"name": "v", "host": {}, "dockerVolumeConfiguration": {}},
            "The volume 'v' can have one of host and dockerVolumeConfiguration only.",
        ),
        (
            {"name": "v", "host": {}, "configuredAtLaunch": True},
            "The volume 'v' can have one of host and configuredAtLaunch only.",
        ),
        (
            {"name": "v", "dockerVolumeConfiguration": {"autoprovision": False}},
            "When 'scope' parameter is 'task', 'autoprovision' must either not be specified or set to 'True'.",
        ),
        (
            {"name": "v", "dockerVolumeConfiguration": {"scope": "world"}},
            "scope should be one of [task, shared], not 'world'.",
        ),
        ({"name": "v", "efsVolumeConfiguration": {"fileSystemId": "x"}}, "The EFS file system id 'x' is not valid."),
        (
            {"name": "v", "efsVolumeConfiguration": EFS | {"authorizationConfig": {"accessPointId": "fsap-0123abcd"}}},
            "Transit encryption must be enabled when an EFS access point is specified.",
        ),
        (
            {
                "name": "v",
                "efsVolumeConfiguration": EFS
                | {
                    "rootDirectory": "/x",
                    "transitEncryption": "ENABLED",
                    "authorizationConfig": {"accessPointId": "fsap-0123abcd"},
                },
            },
            "When an EFS access point is specified, the root directory must either be omitted or set to '/'.",
        ),
    ],
)
def test_a_volume_that_cannot_be(volume: dict[str, Any], text: str) -> None:
    assert text in said(definition(volume))


def test_names_are_unique() -> None:
    assert said(definition({"name": "v"}, {"name": "v"})) == [
        "The volume name 'v' must be unique within a Task Definition."
    ]


@pytest.mark.parametrize(
    ("mounts", "text"),
    [
        ([{"sourceVolume": "w", "containerPath": "/w"}], "Unknown volume 'w'."),
        ([{"containerPath": "/w"}], "Unknown volume 'null'."),
        (
            [{"sourceVolume": "v", "containerPath": "/"}],
            "containerPath should be an absolute path other than / without '..' and ':', not '/'.",
        ),
        (
            [{"sourceVolume": "v", "containerPath": "/a"}, {"sourceVolume": "v", "containerPath": "/a/"}],
            "The container path '/a/' is mounted more than once.",
        ),
    ],
)
def test_a_mount_point_that_cannot_be(mounts: list[dict[str, Any]], text: str) -> None:
    assert said(definition({"name": "v"}, mountPoints=mounts)) == [text]


@pytest.mark.parametrize("name", ["other", "app"])
def test_volumes_come_from_another_container_of_the_task(name: str) -> None:
    text = f"Invalid 'volumesFrom' setting. Unknown container: '{name}'."
    assert text in said(definition(volumesFrom=[{"sourceContainer": name}]))


def test_volumes_from_makes_an_order_that_may_not_be_a_circle() -> None:
    params = definition(volumesFrom=[{"sourceContainer": "side"}])
    assert said(params) == []
    params["containerDefinitions"][1]["dependsOn"] = [{"containerName": "app", "condition": "START"}]
    assert "circular" in said(params)[0]


@pytest.mark.parametrize("kind", ["sourcePath", "dockerVolumeConfiguration"])
def test_fargate_has_no_paths_of_a_host_and_no_docker_volumes(kind: str) -> None:
    volume = {"host": {"sourcePath": "/srv"}} if kind == "sourcePath" else {kind: {"scope": "task"}}
    params = definition({"name": "v"} | volume, fargate=True)
    assert said(params) == [f"Fargate compatible task definitions do not support {kind}"]


def test_fargate_has_volumes_of_the_task_and_file_systems() -> None:
    assert said(definition({"name": "v"}, {"name": "w", "efsVolumeConfiguration": EFS}, fargate=True)) == []


def test_a_volume_of_which_only_the_name_is_said_is_shown_as_an_empty_host_volume() -> None:
    made = draft(definition({"name": "v"})).revision(1, scope=SCOPE, now=0, registered_by="me")
    assert view(made)["volumes"] == [{"name": "v", "host": {}}]


def test_file_systems_are_read_from_a_setting() -> None:
    assert parse("") == {}
    assert parse("fs-12345678=/srv/efs/, fsap-0123abcd=nfs://nas.local/export/app") == {
        "fs-12345678": FileSystem(path="/srv/efs"),
        "fsap-0123abcd": FileSystem(path="/export/app", server="nas.local"),
    }
    assert parse("fs-12345678=nfs://10.0.0.5")["fs-12345678"] == FileSystem(path="/", server="10.0.0.5")


@pytest.mark.parametrize("text", ["fs-12345678", "data=/srv", "fs-12345678=srv", "fs-12345678=/srv/../etc"])
def test_what_is_no_mapping_of_file_systems_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is n"):
        parse(text)


def test_one_volume_of_a_definition_can_be_configured_at_launch() -> None:
    first, second = ({"name": name, "configuredAtLaunch": True} for name in "ab")
    plain = {"name": "c", "configuredAtLaunch": False, "host": {}}
    assert said(definition(first, plain, fargate=True)) == []
    assert said(definition(first, second)) == ["A task definition can have one volume that is configuredAtLaunch only."]
