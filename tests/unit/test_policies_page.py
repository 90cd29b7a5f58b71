"""The page on policies against the code, so that it names all that is evaluated."""

from __future__ import annotations

import re
from pathlib import Path

from wherry.api.authorization.decide import DEMANDS
from wherry.model.iam.aws_managed import AWS_MANAGED
from wherry.model.iam.conditions import OPERATORS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/policies.md").read_text()
SOURCES = [*(ROOT / "src/wherry/api/authorization").glob("*.py"), *(ROOT / "src/wherry/api/iam").glob("permissions.py")]
KEY = re.compile(r'"((?:aws|ecs|iam|ssm|sts|secretsmanager):[A-Za-z-]+)(/?)[^":*]*"')


def named(section: str) -> set[str]:
    return set(re.findall(r"`([^` ]+)`", PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]))


def test_every_operator_is_named() -> None:
    assert named("Condition operators") - {"IfExists", "ForAllValues:", "ForAnyValue:"} == OPERATORS


def test_every_service_with_resources_is_named() -> None:
    assert set(DEMANDS) <= named("Actions and resources")


def test_every_policy_of_aws_is_named() -> None:
    assert {policy.policy_name for policy in AWS_MANAGED.values()} <= named("Policies of AWS")


def test_every_condition_key_that_the_code_makes_is_named() -> None:
    on_page = {key.lower().removesuffix("/key") for key in named("Condition keys")}
    actions = {"ecs:RunTask", "iam:PassRole", "secretsmanager:GetSecretValue", "secretsmanager:ListSecrets"}
    made = {key.lower() for source in SOURCES for key, _ in KEY.findall(source.read_text()) if key not in actions}
    assert made
    assert made <= on_page
