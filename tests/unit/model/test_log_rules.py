"""What is demanded of a logConfiguration, in AWS's words where they are known."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.model.log_rules import fargate_problems, problems
from wherry.model.problem import Problem

HERE = ("containerDefinitions", 0)
GOOD = {"awslogs-group": "/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}


def found(driver: str = "awslogs", secrets: list[dict[str, str]] | None = None, **changes: str | None) -> list[Problem]:
    given = (GOOD if driver == "awslogs" else {}) | {name.replace("_", "-"): value for name, value in changes.items()}
    options = {name: value for name, value in given.items() if value is not None}
    configuration: dict[str, Any] = {"logDriver": driver, "options": options}
    if secrets is not None:
        configuration["secretOptions"] = secrets
    return list(problems({"name": "app", "logConfiguration": configuration}, HERE))


def said(driver: str = "awslogs", **changes: Any) -> list[str]:
    return [problem.message for problem in found(driver, **changes)]


def on_fargate(driver: str, options: dict[str, str], role: str | None = "role") -> list[str]:
    container = {"name": "app", "logConfiguration": {"logDriver": driver, "options": options}}
    return [problem.message for problem in fargate_problems(container, HERE, execution_role=role)]


@pytest.mark.parametrize(
    "driver", ["awslogs", "fluentd", "gelf", "json-file", "journald", "syslog", "splunk", "awsfirelens"]
)
def test_every_driver_of_ecs_is_taken(driver: str) -> None:
    assert found(driver) == []


def test_a_container_without_log_configuration_is_fine() -> None:
    assert list(problems({"name": "app"}, HERE)) == []
    assert list(fargate_problems({"name": "app"}, HERE, execution_role=None)) == []


def test_an_unknown_driver_is_an_invalid_parameter() -> None:
    (problem,) = found("local")
    assert problem.invalid
    assert "logDriver should be one of [json-file, syslog" in problem.message


@pytest.mark.parametrize("option", ["awslogs-group", "awslogs-region"])
def test_awslogs_needs_its_group_and_region(option: str) -> None:
    assert said(**{option: None}) == [f"Log driver awslogs requires options: {option}"]


def test_a_date_format_and_a_pattern_exclude_each_other() -> None:
    (message,) = said(awslogs_datetime_format="%Y", awslogs_multiline_pattern="^A")
    assert "at the same time" in message


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("mode", "sometimes"),
        ("max-buffer-size", "much"),
        ("awslogs-group", "no spaces"),
        ("awslogs-stream-prefix", "a:b"),
        ("awslogs-create-group", "maybe"),
        ("awslogs-force-flush-interval-seconds", "0"),
    ],
)
def test_values_have_their_forms(option: str, value: str) -> None:
    (problem,) = found(**{option: value})
    assert problem.invalid
    assert problem.path == (*HERE, "logConfiguration", "options", option)


@pytest.mark.parametrize("size", ["10m", "512k", "1g", "4096", "25MB"])
def test_sizes_of_the_buffer_as_the_engine_writes_them(size: str) -> None:
    assert found(max_buffer_size=size) == []


def test_a_buffer_is_for_the_mode_that_has_one() -> None:
    (message,) = said(mode="blocking", max_buffer_size="1m")
    assert "only supported when 'mode' is 'non-blocking'" in message


@pytest.mark.parametrize("option", ["awslogs-endpoint", "awslogs-stream", "awslogs-credentials-endpoint"])
def test_what_the_agent_sets_nobody_else_does(option: str) -> None:
    assert said(**{option: "x"}) == [
        f"Log driver option '{option}' is set by the agent. Remove it from container 'app'."
    ]


def test_an_option_that_the_driver_does_not_know_is_named() -> None:
    assert said(**{"awslogs-colour": "red"}) == ["Log driver awslogs disallows options: awslogs-colour"]


def test_secret_options_have_names_of_their_own_and_lead_somewhere() -> None:
    assert found(secrets=[{"name": "tag", "valueFrom": "/tag"}]) == []
    assert len(found(secrets=[{"name": "awslogs-group", "valueFrom": "/group"}])) == 1
    assert len(found(secrets=[{"name": "tag", "valueFrom": "arn:aws:s3:::x"}])) == 1


def test_fargate_takes_fewer_drivers_and_wants_a_prefix_and_a_role() -> None:
    assert on_fargate("awslogs", GOOD) == []
    assert on_fargate("splunk", {}) == []
    assert on_fargate("gelf", {}) == ["Fargate compatible task definitions do not support log driver gelf"]
    assert on_fargate("awslogs", {**GOOD, "awslogs-stream-prefix": ""}) == [
        "Log driver awslogs requires options: awslogs-stream-prefix"
    ]
    assert on_fargate("awslogs", GOOD, role=None) == [
        "Fargate requires task definition to have execution role ARN to support log driver awslogs."
    ]
