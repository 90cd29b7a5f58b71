"""Names of parameters: what they may be, their paths and their ARNs.

Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
"""

from __future__ import annotations

import re

from wherry.model.arn import Scope
from wherry.model.base import Value
from wherry.model.errors import ValidationException
from wherry.model.ssm.errors import HierarchyLevelLimitExceededException

MAX_LEVELS = 15
MAX_LENGTH = 1011
SECRETS = "/aws/reference/secretsmanager/"
"""What names begin with that stand for secrets of Secrets Manager."""

_NAME = re.compile(r"/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_PATH = re.compile(r"(/[A-Za-z0-9_.-]+)*/?")
_RULES = (
    "If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of "
    "letters, numbers and the following 3 symbols .-_"
)
_PATH_RULES = (
    "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "
    '"/". It can\'t be prefixed with "aws" or "ssm" (case-insensitive). It must use only letters, numbers, or the '
    "following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, if "
    'specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.'
)


class Selected(Value, frozen=True):
    """A name or ARN, and the version number or label that was written behind it with a colon."""

    name: str
    selector: str | None = None


def check(name: str) -> None:
    """Raise ValidationException or HierarchyLevelLimitExceededException for what cannot be a parameter's name."""
    first = name.lstrip("/").partition("/")[0].lower()
    if first.startswith(("aws", "ssm")):
        raise ValidationException(
            f'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive). {_RULES}'
        )
    if "/" in name and not name.startswith("/"):
        raise ValidationException("Parameter name must be a fully qualified name.")
    if not _NAME.fullmatch(name) or len(name) > MAX_LENGTH:
        raise ValidationException(f"Parameter name: {_RULES}")
    if name.count("/") > MAX_LEVELS:
        raise HierarchyLevelLimitExceededException(
            "A hierarchy can have a maximum of 15 levels. For more information, see Requirements and constraints for "
            "parameter names in the AWS Systems Manager User Guide."
        )


def check_path(path: str) -> str:
    """Return a path without a slash at its end, "" for the root; raises ValidationException."""
    if not path.startswith("/") or not _PATH.fullmatch(path):
        raise ValidationException(_PATH_RULES)
    return path.rstrip("/")


def arn_prefix(scope: Scope) -> str:
    """Return what the ARNs of all parameters begin with; the name without a leading slash follows."""
    return f"arn:aws:ssm:{scope.region}:{scope.account_id}:parameter/"


def arn(scope: Scope, name: str) -> str:
    """Return the ARN of a parameter by its name, or an ARN as it is."""
    return name if name.startswith("arn:") else arn_prefix(scope) + name.removeprefix("/")


def parent(name: str) -> str:
    """Return the path that a name lies in: "/a" of "/a/b", "" for one at the root."""
    return name.rpartition("/")[0]


def split(text: str) -> Selected:
    """Take the selector off a name or an ARN."""
    colons = 5 if text.startswith("arn:") else 0
    parts = text.split(":")
    if len(parts) > colons + 2:
        raise ValidationException(f"Invalid parameter selector in {text}. Write NAME, NAME:VERSION or NAME:LABEL.")
    selector = parts[colons + 1] if len(parts) == colons + 2 else None
    return Selected(name=":".join(parts[: colons + 1]), selector=selector or None)
