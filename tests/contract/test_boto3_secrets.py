"""Secrets Manager and the Parameter Store by boto3 and the AWS CLI; nothing secret is on the disk in plain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.conftest import _client, refusal
from tests.contract.test_aws_cli import Cli
from tests.contract.whole import ACCOUNT, REGION, whole_wherry

SECRET = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wherry")


@pytest.fixture(scope="module")
def endpoint(directory: Path) -> Iterator[str]:
    """Run a whole Wherry whose data directory is known."""
    with whole_wherry(directory) as url:
        yield url


@pytest.fixture(scope="module")
def secretsmanager(endpoint: str) -> Iterator[Any]:
    yield from _client("secretsmanager", endpoint)


@pytest.fixture(scope="module")
def ssm(endpoint: str) -> Iterator[Any]:
    yield from _client("ssm", endpoint)


@pytest.fixture
def aws(endpoint: str, tmp_path: Path) -> Cli:
    return Cli(endpoint, tmp_path)


def test_a_secret_lives_from_creation_to_deletion(secretsmanager: Any) -> None:
    made = secretsmanager.create_secret(Name="prod/db", SecretString="one")
    assert made["ARN"].startswith(f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:prod/db-")
    secretsmanager.put_secret_value(SecretId="prod/db", SecretBinary=b"\x00two")
    found = secretsmanager.get_secret_value(SecretId=made["ARN"])
    assert found["SecretBinary"] == b"\x00two"
    assert found["CreatedDate"].tzinfo is not None
    previous = secretsmanager.get_secret_value(SecretId="prod/db", VersionStage="AWSPREVIOUS")
    assert (previous["SecretString"], previous["VersionId"]) == ("one", made["VersionId"])
    pages = secretsmanager.get_paginator("list_secrets").paginate(PaginationConfig={"PageSize": 1})
    assert "prod/db" in [secret["Name"] for page in pages for secret in page["SecretList"]]
    secretsmanager.delete_secret(SecretId="prod/db", RecoveryWindowInDays=7)
    assert refusal(secretsmanager.get_secret_value, SecretId="prod/db") == (
        "InvalidRequestException",
        "You can't perform this operation on the secret because it was marked for deletion.",
    )
    secretsmanager.delete_secret(SecretId="prod/db", ForceDeleteWithoutRecovery=True)
    assert refusal(secretsmanager.describe_secret, SecretId="prod/db") == (
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret.",
    )


def test_what_terraform_reads_of_a_secret_is_there(secretsmanager: Any) -> None:
    secretsmanager.create_secret(Name="terraformed", Tags=[{"Key": "a", "Value": "b"}])
    described = secretsmanager.describe_secret(SecretId="terraformed")
    assert described["Tags"] == [{"Key": "a", "Value": "b"}]
    assert "DeletedDate" not in described
    assert "ResourcePolicy" not in secretsmanager.get_resource_policy(SecretId="terraformed")


def test_rotation_is_refused_with_what_to_do(secretsmanager: Any) -> None:
    code, message = refusal(secretsmanager.rotate_secret, SecretId="terraformed")
    assert code == "InvalidRequestException"
    assert "Put new values with PutSecretValue" in message


def test_a_parameter_lives_from_creation_to_deletion(ssm: Any) -> None:
    assert ssm.put_parameter(Name="/app/db", Value="one", Type="SecureString")["Version"] == 1
    assert refusal(ssm.put_parameter, Name="/app/db", Value="two", Type="SecureString") == (
        "ParameterAlreadyExists",
        "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
    )
    ssm.put_parameter(Name="/app/db", Value="two", Overwrite=True)
    found = ssm.get_parameter(Name="/app/db", WithDecryption=True)["Parameter"]
    assert (found["Value"], found["Version"], found["Type"]) == ("two", 2, "SecureString")
    assert ssm.get_parameter(Name="/app/db:1", WithDecryption=True)["Parameter"]["Value"] == "one"
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/app", Recursive=True, WithDecryption=True)
    assert [parameter["Value"] for page in pages for parameter in page["Parameters"]] == ["two"]
    history = ssm.get_paginator("get_parameter_history").paginate(Name="/app/db", WithDecryption=True)
    assert [version["Value"] for page in history for version in page["Parameters"]] == ["one", "two"]
    ssm.delete_parameter(Name="/app/db")
    assert refusal(ssm.get_parameter, Name="/app/db")[0] == "ParameterNotFound"


def test_the_cli_does_the_same(aws: Cli) -> None:
    aws("secretsmanager", "create-secret", "--name", "typed", "--secret-string", '{"user":"admin"}')
    value = aws("secretsmanager", "get-secret-value", "--secret-id", "typed", "--query", "SecretString")
    assert json.loads(value) == {"user": "admin"}
    aws("secretsmanager", "update-secret", "--secret-id", "typed", "--description", "typed by hand")
    named = ("--filters", "Key=name,Values=typed", "--query", "SecretList[].Description")
    assert aws("secretsmanager", "list-secrets", *named) == ["typed by hand"]
    assert len(aws("secretsmanager", "get-random-password", "--query", "RandomPassword")) == 32
    aws("secretsmanager", "delete-secret", "--secret-id", "typed", "--force-delete-without-recovery")

    aws("ssm", "put-parameter", "--name", "/typed/a", "--value", "1", "--type", "SecureString")
    shown = ("--with-decryption", "--query", "Parameters[].Value")
    assert aws("ssm", "get-parameters-by-path", "--path", "/typed", *shown) == ["1"]
    aws("ssm", "label-parameter-version", "--name", "/typed/a", "--labels", "live")
    filters = ("--parameter-filters", "Key=Path,Values=/typed", "--query", "Parameters[].KeyId")
    assert aws("ssm", "describe-parameters", *filters) == ["alias/aws/ssm"]
    done = aws.run("ssm", "get-parameter", "--name", "/typed/nothing")
    assert done.returncode in {254, 255}
    assert "An error occurred (ParameterNotFound) when calling the GetParameter operation" in done.stderr


def test_nothing_secret_is_on_the_disk(directory: Path, secretsmanager: Any, ssm: Any) -> None:
    secretsmanager.create_secret(Name="hidden", SecretString=SECRET)
    secretsmanager.create_secret(Name="hidden-bytes", SecretBinary=SECRET.encode())
    secretsmanager.update_secret(SecretId="hidden", SecretString=f"{SECRET}-2")
    ssm.put_parameter(Name="/hidden", Value=SECRET, Type="SecureString")
    ssm.put_parameter(Name="/not-hidden", Value="in-plain-sight", Type="String")
    everything = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert {"wherry.db", "wherry.db-wal"} <= {path.name for path in everything}
    assert any(b"in-plain-sight" in content for content in everything.values())
    for path, content in everything.items():
        assert SECRET.encode() not in content, path
        assert b"Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZ" not in content, path
    assert secretsmanager.get_secret_value(SecretId="hidden")["SecretString"] == f"{SECRET}-2"
