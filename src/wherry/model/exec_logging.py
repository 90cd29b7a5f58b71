"""Where the transcripts of ECS Exec go: `executeCommandConfiguration` of a cluster, checked and applied. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wherry.model.errors import InvalidParameterException
from wherry.model.taskdef import ContainerDefinition

LOGGING = ("NONE", "DEFAULT", "OVERRIDE")

_WHERE = "configuration.executeCommandConfiguration"
_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_REFUSED: Mapping[str, str] = {
    "s3BucketName": "Wherry keeps transcripts in CloudWatch Logs only. Remove the members that begin with s3.",
    "s3KeyPrefix": "Wherry keeps transcripts in CloudWatch Logs only. Remove the members that begin with s3.",
    "s3EncryptionEnabled": "Wherry keeps transcripts in CloudWatch Logs only. Remove the members that begin with s3.",
    "cloudWatchEncryptionEnabled": "Wherry does not encrypt log groups. Remove it or set it to false.",
}


def check(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration as it is kept; raises InvalidParameterException for what cannot be honoured."""
    if configuration.get("kmsKeyId"):
        raise InvalidParameterException(
            f"{_WHERE}.kmsKeyId is not available: the data channel is as secure as the connection that carries it, "
            "and is not encrypted once more. Remove it, and serve Wherry over TLS."
        )
    logging = configuration.get("logging") or "DEFAULT"
    if logging not in LOGGING:
        raise InvalidParameterException(f"logging should be one of [{','.join(LOGGING)}]")
    chosen = configuration.get("logConfiguration") or {}
    for name, sentence in _REFUSED.items():
        if chosen.get(name):
            raise InvalidParameterException(f"{_WHERE}.logConfiguration.{name} is not available: {sentence}")
    group = chosen.get("cloudWatchLogGroupName")
    if logging == "OVERRIDE" and not group:
        raise InvalidParameterException(
            f"{_WHERE}.logConfiguration is required when logging is OVERRIDE. Name a cloudWatchLogGroupName."
        )
    if logging != "OVERRIDE" and group:
        raise InvalidParameterException(f"{_WHERE}.logConfiguration is only valid when logging is OVERRIDE.")
    if group and not _GROUP.fullmatch(group):
        raise InvalidParameterException(f"'{group[:512]}' is not the name of a log group.")
    kept: dict[str, Any] = {"logging": logging}
    return kept | ({"logConfiguration": {"cloudWatchLogGroupName": group}} if group else {})


def log_group(configuration: Mapping[str, Any] | None, container: ContainerDefinition | None) -> str | None:
    """Name the log group of a container's transcripts, None if none are kept.

    DEFAULT, which a cluster without a configuration has too, is the container's own if it logs by awslogs.
    """
    chosen = configuration or {}
    match chosen.get("logging", "DEFAULT"):
        case "NONE":
            return None
        case "OVERRIDE":
            return str(chosen["logConfiguration"]["cloudWatchLogGroupName"])
        case _:
            logs = container.log_configuration if container is not None else None
            return logs.options.get("awslogs-group") if logs is not None and logs.log_driver == "awslogs" else None
