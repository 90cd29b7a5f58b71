"""What ECS says about log routers and the containers that log to them."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.model import firelens_rules
from wherry.model.problem import Source

ROUTER: dict[str, Any] = {"name": "router", "firelensConfiguration": {"type": "fluentbit"}}


def app(**options: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return {"name": "app", "logConfiguration": {"logDriver": "awsfirelens", "options": named}}


def said(*containers: dict[str, Any], **params: Any) -> list[str]:
    definition = {"networkMode": "awsvpc", "containerDefinitions": list(containers), **params}
    return [problem.message for problem in firelens_rules.problems(definition)]


def a_router(**options: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return {"name": "router", "firelensConfiguration": {"type": "fluentbit", "options": named}}


@pytest.mark.parametrize(
    "containers",
    [
        [],
        [{"name": "plain"}],
        [ROUTER],
        [ROUTER, app()],
        [ROUTER, app(Name="http", include_pattern="x")],
        [ROUTER, app(log_driver_buffer_limit="536870912", mode="non-blocking")],
        [a_router(enable_ecs_log_metadata="false", config_file_type="file", config_file_value="/a.conf"), app()],
    ],
)
def test_good_ones(containers: list[dict[str, Any]]) -> None:
    assert said(*containers) == []


@pytest.mark.parametrize(
    ("containers", "words"),
    [
        ([ROUTER, ROUTER | {"name": "b"}], "can have one container"),
        ([app()], "A container with a firelensConfiguration is required"),
        ([{"name": "r", "firelensConfiguration": {"type": "logstash"}}], "type should be one of"),
        ([a_router(colour="red")], "options should be one of"),
        ([a_router(enable_ecs_log_metadata="yes")], "should be one of [true, false]"),
        ([a_router(config_file_type="file")], "must be given together"),
        ([a_router(config_file_type="file", config_file_value="a.conf")], "must be the full path"),
        ([a_router(config_file_type="file", config_file_value="/a\nb")], "must be the full path"),
        ([ROUTER, app(Host="x")], "need 'Name'"),
        ([ROUTER, app(Name="x\n[OUTPUT]")], "must be one line"),
        ([ROUTER, app(log_driver_buffer_limit="536870913")], "from 0 to 536870912"),
        ([ROUTER, app(log_driver_buffer_limit="-1")], "from 0 to 536870912"),
    ],
)
def test_bad_ones(containers: list[dict[str, Any]], words: str) -> None:
    [message] = said(*containers)
    assert words in message


def test_fargate_takes_files_of_the_image_only_as_on_aws() -> None:
    router = a_router(config_file_type="s3", config_file_value="arn:aws:s3:::bucket/a.conf")
    assert said(router, requiresCompatibilities=["FARGATE"]) == [
        "Fargate compatible task definitions only support the config-file-type file"
    ]
    [problem] = firelens_rules.problems({"networkMode": "awsvpc", "containerDefinitions": [router]})
    assert problem.source is Source.WHERRY
