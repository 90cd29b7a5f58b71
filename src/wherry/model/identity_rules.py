"""What ECS demands of the roles of a task definition, and of the secrets that its containers are given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wherry.model import secret_reference
from wherry.model.problem import Path, Problem

Member = Mapping[str, Any]

_ROLE = re.compile(r"(?:arn:aws[a-z-]*:iam::\d{12}:role/(?:[\x21-\x7e]{1,510}/)?)?[\w+=,.@-]{1,64}", re.ASCII)
_SECRET = re.compile(r"(?:arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[\w/+=.@!-]+", re.ASCII)
_VARIABLE = re.compile(r"[^=\x00]+")


def problems(params: Member) -> Iterator[Problem]:
    """Find what is wrong with the roles and secrets in the parameters of RegisterTaskDefinition."""
    for member in ("taskRoleArn", "executionRoleArn"):
        if params.get(member) and not is_role(params[member]):
            yield Problem((member,), "Role is not valid")
    for position, container in enumerate(params.get("containerDefinitions") or ()):
        path = ("containerDefinitions", position)
        if container.get("secrets"):
            yield from _secrets(container, path)
        if _has_secrets(container) and not params.get("executionRoleArn"):
            text = "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
            yield Problem(path, text)
        if (credentials := container.get("repositoryCredentials")) is not None:
            yield from _repository_credentials(credentials, path, execution_role=params.get("executionRoleArn"))


def is_role(text: str) -> bool:
    """Tell whether this can be a role: its ARN, or its name alone."""
    return _ROLE.fullmatch(text) is not None


def _repository_credentials(credentials: Member, path: Path, *, execution_role: str | None) -> Iterator[Problem]:
    parameter = credentials.get("credentialsParameter") or ""
    if not _SECRET.fullmatch(parameter):
        text = f"Invalid 'credentialsParameter': '{parameter}'. It is the ARN or the name of a Secrets Manager secret."
        yield Problem((*path, "repositoryCredentials", "credentialsParameter"), text)
    if not execution_role:
        text = "When you are specifying repositoryCredentials, you must also specify a value for 'executionRoleArn'."
        yield Problem(path, text)


def _has_secrets(container: Member) -> bool:
    return bool(container.get("secrets") or (container.get("logConfiguration") or {}).get("secretOptions"))


def _secrets(container: Member, path: Path) -> Iterator[Problem]:
    taken = {variable.get("name") for variable in container.get("environment") or ()}
    for position, secret in enumerate(container["secrets"]):
        here, name = (*path, "secrets", position), secret.get("name") or ""
        if not _VARIABLE.fullmatch(name):
            yield Problem(here, "The secret name must not be empty, and has no '=' in it.")
        elif name in taken:
            text = "The secret name must be unique and not shared with any new or existing environment variables set on"
            yield Problem(here, f"{text} the container, such as '{name}'.")
        taken.add(name)
        yield from reference_problems(secret.get("valueFrom") or "", (*here, "valueFrom"))


def reference_problems(value_from: str, path: Path) -> Iterator[Problem]:
    """Object to a `valueFrom` that names neither a parameter nor a secret."""
    try:
        secret_reference.parse(value_from)
    except ValueError as error:
        yield Problem(path, str(error))
