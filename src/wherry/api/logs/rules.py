"""What the members of requests must look like, in the words of AWS, and how a log group is named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from wherry.model.arn import Scope
from wherry.model.call import Call
from wherry.model.errors import InvalidParameterException, ResourceNotFoundException
from wherry.model.logs import nouns
from wherry.model.logs.nouns import LogGroup, LogStream
from wherry.store.logs import LogTx

NO_GROUP = "The specified log group does not exist."
NO_STREAM = "The specified log stream does not exist."


class Text(msgspec.Struct, frozen=True):
    """The constraints of a text, or of each text in a list."""

    shortest: int
    longest: int
    pattern: str = r"[^\x00]*"


class Number(msgspec.Struct, frozen=True):
    """The constraints of a number."""

    least: int
    most: int


_GROUP_NAME = Text(1, 512, r"[\.\-_/#A-Za-z0-9]+")
_STREAM_NAME = Text(1, 512, "[^:*]*")
_IDENTIFIER = Text(1, 2048, r"[\w#+=/:,.@-]*(?::\*)?")  # AWS's model has no :*, with which its own answers name groups
_TIME = Number(0, 2**63 - 1)

_RULES: Mapping[str, Text | Number] = {
    "logGroupName": _GROUP_NAME,
    "logGroupNames": _GROUP_NAME,
    "logGroupNamePrefix": _GROUP_NAME,
    "logGroupNamePattern": Text(0, 512, r"[\.\-_/#A-Za-z0-9]*"),
    "logGroupIdentifier": _IDENTIFIER,
    "logGroupIdentifiers": _IDENTIFIER,
    "logStreamName": _STREAM_NAME,
    "logStreamNames": _STREAM_NAME,
    "logStreamNamePrefix": _STREAM_NAME,
    "logStreamNamePrefixes": _STREAM_NAME,
    "resourceArn": Text(1, 1011, r"[\w+=/:,.@-]*(?::\*)?"),
    "filterPattern": Text(0, 1024),
    "logEventFilterPattern": Text(0, 1024),
    "queryString": Text(0, 10_000),
    "queryId": Text(1, 256),
    "nextToken": Text(1, 2048),
    "startTime": _TIME,
    "endTime": _TIME,
}


def checked(call: Call, **limits: Number) -> dict[str, Any]:
    """Return the parameters of a call; `limits` are the constraints of members whose name says too little.

    Raises `InvalidParameterException` for what AWS's model does not allow.
    """
    for name, value in call.params.items():
        match limits.get(name) or _RULES.get(name):
            case Text() as rule:
                for text in value if isinstance(value, list) else [value]:
                    _check_text(name, text, rule)
            case Number() as rule if not rule.least <= value <= rule.most:
                bound = (
                    f"less than or equal to {rule.most}"
                    if value > rule.most
                    else f"greater than or equal to {rule.least}"
                )
                raise violation(name, value, f"Member must have value {bound}")
    return call.params


def violation(name: str, value: object, constraint: str) -> InvalidParameterException:
    """Make AWS's error for a value that the model does not allow."""
    shown = str(value).encode(errors="replace").decode()[:1024]
    return InvalidParameterException(
        f"1 validation error detected: Value '{shown}' at '{name}' failed to satisfy constraint: {constraint}"
    )


def one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    """Check the value of an enumeration."""
    if value is not None and value not in allowed:
        raise violation(name, value, f"Member must satisfy enum value set: [{', '.join(allowed)}]")


def _check_text(name: str, text: str, rule: Text) -> None:
    if len(text) > rule.longest:
        raise violation(name, text, f"Member must have length less than or equal to {rule.longest}")
    if len(text) < rule.shortest:
        raise violation(name, text, f"Member must have length greater than or equal to {rule.shortest}")
    if not re.fullmatch(rule.pattern, text, re.ASCII) or "\x00" in text:
        raise violation(name, text, f"Member must satisfy regular expression pattern: {rule.pattern}")


def group_named(tx: LogTx, log_group_name: str) -> LogGroup:
    """Find a log group; raises `ResourceNotFoundException`."""
    group = tx.get(LogGroup, log_group_name)
    if group is None:
        raise ResourceNotFoundException(NO_GROUP)
    return group


def stream_named(tx: LogTx, group: LogGroup, log_stream_name: str) -> LogStream:
    """Find a log stream; raises `ResourceNotFoundException`."""
    stream = tx.get(LogStream, nouns.stream_key(group.id, log_stream_name))
    if stream is None:
        raise ResourceNotFoundException(NO_STREAM)
    return stream


def name_in(scope: Scope, params: Mapping[str, Any]) -> str:
    """Tell which group is meant by `logGroupName` or `logGroupIdentifier`, of which exactly one must be there."""
    name, identifier = params.get("logGroupName"), params.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise InvalidParameterException(
            "Exactly one of the parameters logGroupName and logGroupIdentifier must be specified."
        )
    return str(name) if name is not None else identified(scope, str(identifier))


def identified(scope: Scope, identifier: str) -> str:
    """Tell the name of the group that a name or an ARN means; raises `ResourceNotFoundException` for another's."""
    name = nouns.name_of(scope, identifier)
    if name is None:
        raise ResourceNotFoundException(NO_GROUP)
    return name
