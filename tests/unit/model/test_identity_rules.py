"""What ECS says about roles and secrets of a task definition."""

from __future__ import annotations

import pytest

from wherry.model import identity_rules

EXECUTION = {"executionRoleArn": "ecsTaskExecutionRole"}


def said(container: dict | None = None, **params) -> list[str]:
    definition = {"containerDefinitions": [{"name": "web", "image": "web", **(container or {})}], **params}
    return [problem.message for problem in identity_rules.problems(definition)]


@pytest.mark.parametrize(
    "role",
    ["web", "a+b=c,d.e@f-g_h", "arn:aws:iam::000000000000:role/web", "arn:aws-cn:iam::000000000000:role/a/b/web"],
)
def test_a_role_goes_by_its_name_or_its_arn(role: str) -> None:
    assert said(taskRoleArn=role, executionRoleArn=role) == []


@pytest.mark.parametrize(
    "role", ["a b", "role/web", "arn:aws:iam::1:role/web", "arn:aws:iam::000000000000:user/web", "a" * 65, "é"]
)
def test_anything_else_is_no_role(role: str) -> None:
    assert said(taskRoleArn=role) == ["Role is not valid"]


def test_secrets_need_an_execution_role() -> None:
    secrets = [{"name": "KEY", "valueFrom": "/key"}]
    [message] = said({"secrets": secrets})
    assert message.startswith("When you are specifying container secrets, you must also specify")
    assert said({"secrets": secrets}, **EXECUTION) == []


def test_the_secrets_of_a_log_driver_need_one_too() -> None:
    logs = {"logDriver": "splunk", "secretOptions": [{"name": "splunk-token", "valueFrom": "/key"}]}
    assert len(said({"logConfiguration": logs})) == 1
    assert said({"logConfiguration": logs}, **EXECUTION) == []


def test_a_variable_has_one_source() -> None:
    [message] = said(
        {"environment": [{"name": "KEY", "value": "v"}], "secrets": [{"name": "KEY", "valueFrom": "/key"}]}, **EXECUTION
    )
    assert message == (
        "The secret name must be unique and not shared with any new or existing environment variables set on the "
        "container, such as 'KEY'."
    )
    twice = [{"name": "KEY", "valueFrom": "/key"}, {"name": "KEY", "valueFrom": "/other"}]
    assert len(said({"secrets": twice}, **EXECUTION)) == 1


@pytest.mark.parametrize(
    ("name", "value_from"), [("", "/key"), ("A=B", "/key"), ("KEY", ""), ("KEY", "arn:aws:s3:::bucket")]
)
def test_what_cannot_be_fetched_is_refused_at_once(name: str, value_from: str) -> None:
    assert len(said({"secrets": [{"name": name, "valueFrom": value_from}]}, **EXECUTION)) == 1


def test_a_private_registry_needs_an_execution_role() -> None:
    credentials = {"repositoryCredentials": {"credentialsParameter": "registry"}}
    [message] = said(credentials)
    assert message == (
        "When you are specifying repositoryCredentials, you must also specify a value for 'executionRoleArn'."
    )
    assert said(credentials, **EXECUTION) == []


@pytest.mark.parametrize("parameter", ["", "a b", "arn:aws:ssm:us-east-1:000000000000:parameter/x"])
def test_the_credentials_of_a_registry_are_a_secret(parameter: str) -> None:
    credentials = {"repositoryCredentials": {"credentialsParameter": parameter}}
    [message] = said(credentials, **EXECUTION)
    assert message.startswith("Invalid 'credentialsParameter'")
