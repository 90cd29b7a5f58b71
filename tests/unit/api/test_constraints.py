"""Constraints of the models in AWS's words."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.api import constraints
from wherry.model.call import Call, Principal
from wherry.model.errors import ValidationException


def said(service: str, operation: str, **params: Any) -> str:
    call = Call(
        service=service,
        operation=operation,
        params=params,
        principal=Principal(account_id="", arn="", access_key_id=""),
        region="",
        request_id="",
    )
    try:
        constraints.check(call)
    except ValidationException as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("service", "operation", "params", "message"),
    [
        ("secretsmanager", "GetSecretValue", {"SecretId": "a", "VersionStage": None}, ""),
        (
            "secretsmanager",
            "GetSecretValue",
            {"SecretId": "a", "VersionId": "short"},
            (
                "1 validation error detected: Value 'short' at 'versionId' failed to satisfy constraint: "
                "Member must have length greater than or equal to 32"
            ),
        ),
        (
            "secretsmanager",
            "ListSecrets",
            {"MaxResults": 101, "SortOrder": "up"},
            (
                "2 validation errors detected: Value '101' at 'maxResults' failed to satisfy constraint: Member must "
                "have value less than or equal to 100; Value 'up' at 'sortOrder' failed to satisfy constraint: Member "
                "must satisfy enum value set: [asc, desc]"
            ),
        ),
        (
            "ssm",
            "GetParameters",
            {"Names": [str(number) for number in range(11)]},
            (
                "1 validation error detected: Value '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]' at 'names' failed to satisfy "
                "constraint: Member must have length less than or equal to 10"
            ),
        ),
        (
            "ssm",
            "AddTagsToResource",
            {"ResourceType": "Parameter", "ResourceId": "a", "Tags": [{"Key": "", "Value": "x"}]},
            (
                "1 validation error detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: Member "
                "must have length greater than or equal to 1"
            ),
        ),
    ],
)
def test_every_violation_is_named(service: str, operation: str, params: dict[str, Any], message: str) -> None:
    assert said(service, operation, **params) == message


@pytest.mark.parametrize("member", ["SecretString", "SecretBinary"])
def test_what_is_sensitive_is_not_quoted(member: str) -> None:
    value = "hunter2" * 10_000
    message = said(
        "secretsmanager", "CreateSecret", Name="a", **{member: value if "S" in member[6:] else value.encode()}
    )
    assert f"Value at '{member[0].lower() + member[1:]}' failed" in message
    assert "hunter2" not in message


def test_a_long_value_is_cut() -> None:
    assert len(said("ssm", "GetParameter", Name="x" * 100_000)) < 1000
