"""Where the transcripts of ECS Exec go."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import a_container_definition

from wherry.model import exec_logging
from wherry.model.errors import InvalidParameterException
from wherry.model.taskdef import LogConfiguration

OVERRIDE = {"logging": "OVERRIDE", "logConfiguration": {"cloudWatchLogGroupName": "/exec"}}
LOGGED = a_container_definition(
    log_configuration=LogConfiguration(log_driver="awslogs", options={"awslogs-group": "/own"})
)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({}, {"logging": "DEFAULT"}),
        ({"logging": "NONE"}, {"logging": "NONE"}),
        (OVERRIDE, OVERRIDE),
        ({**OVERRIDE, "logConfiguration": OVERRIDE["logConfiguration"] | {"s3EncryptionEnabled": False}}, OVERRIDE),
    ],
)
def test_what_is_asked_for_is_kept(asked: dict[str, Any], kept: dict[str, Any]) -> None:
    assert exec_logging.check(asked) == kept


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kmsKeyId": "key"}, "kmsKeyId is not available"),
        ({"logging": "SOME"}, "NONE,DEFAULT,OVERRIDE"),
        ({"logging": "OVERRIDE"}, "cloudWatchLogGroupName"),
        ({"logging": "OVERRIDE", "logConfiguration": {"s3BucketName": "bucket"}}, "s3BucketName is not available"),
        ({"logConfiguration": {"cloudWatchLogGroupName": "/exec"}}, "only valid when logging is OVERRIDE"),
        ({"logging": "OVERRIDE", "logConfiguration": {"cloudWatchLogGroupName": "a b"}}, "not the name of a log group"),
        (
            {
                "logging": "OVERRIDE",
                "logConfiguration": {"cloudWatchLogGroupName": "/exec", "cloudWatchEncryptionEnabled": True},
            },
            "cloudWatchEncryptionEnabled is not available",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_what_to_do(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterException, match=said):
        exec_logging.check(asked)


@pytest.mark.parametrize(
    ("configuration", "group"),
    [(None, "/own"), ({"logging": "DEFAULT"}, "/own"), ({"logging": "NONE"}, None), (OVERRIDE, "/exec")],
)
def test_the_log_group_is_the_clusters_choice(configuration: dict[str, Any] | None, group: str | None) -> None:
    assert exec_logging.log_group(configuration, LOGGED) == group


@pytest.mark.parametrize("logs", [None, LogConfiguration(log_driver="json-file", options={"awslogs-group": "/own"})])
def test_a_container_that_does_not_log_by_awslogs_has_no_transcripts_by_default(logs: LogConfiguration | None) -> None:
    assert exec_logging.log_group(None, a_container_definition(log_configuration=logs)) is None
