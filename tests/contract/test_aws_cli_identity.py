"""`aws iam` and `aws sts` as their users type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.contract.test_aws_cli import Cli
from tests.contract.whole import ACCOUNT

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    ],
}
READ_ONLY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecs:List*", "Resource": "*"}]}


@pytest.fixture
def aws(endpoint: str, tmp_path: Path) -> Cli:
    (tmp_path / "trust.json").write_text(json.dumps(TRUST))
    (tmp_path / "read-only.json").write_text(json.dumps(READ_ONLY))
    return Cli(endpoint, tmp_path)


def test_a_role_is_made_assumed_and_limited(aws: Cli, endpoint: str, tmp_path: Path) -> None:
    aws("iam", "create-role", "--role-name", "typed", "--assume-role-policy-document", "file://trust.json")
    policy = ("--policy-name", "read-only", "--policy-document", "file://read-only.json")
    aws("iam", "put-role-policy", "--role-name", "typed", *policy)
    shown = aws("iam", "get-role", "--role-name", "typed", "--query", "Role.AssumeRolePolicyDocument")
    assert shown == TRUST
    role = f"arn:aws:iam::{ACCOUNT}:role/typed"
    given = aws("sts", "assume-role", "--role-arn", role, "--role-session-name", "cli")["Credentials"]

    assumed = Cli(endpoint, tmp_path)
    assumed.env |= {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/typed/cli"
    assert assumed("sts", "get-caller-identity", "--query", "Arn") == arn
    assert "clusterArns" in assumed("ecs", "list-clusters")
    done = assumed.run("ecs", "create-cluster", "--cluster-name", "forbidden")
    assert done.returncode != 0
    assert f"User: {arn} is not authorized to perform: ecs:CreateCluster" in done.stderr


def test_a_profile_with_a_role_needs_no_more_than_its_arn(aws: Cli) -> None:
    aws("iam", "create-role", "--role-name", "profiled", "--assume-role-policy-document", "file://trust.json")
    folder = aws.home / ".aws"
    folder.mkdir()
    (folder / "config").write_text(
        f"[profile base]\n[profile work]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/profiled\nsource_profile = base\n"
    )
    (folder / "credentials").write_text("[base]\naws_access_key_id = wherry\naws_secret_access_key = wherry\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del aws.env[name]
    arn = aws("--profile", "work", "sts", "get-caller-identity", "--query", "Arn")
    assert arn.startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/profiled/")
